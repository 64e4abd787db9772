"""How a log of any size is refined: cut into blocks of whole users, asked about block by block, and written again."""
