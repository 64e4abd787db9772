"""Control edits, what they are matched on, and the table that shows it."""

from .balance import balance
from .control import popularity_edit, random_edit
from .edits import edit_size

__all__ = ["balance", "edit_size", "popularity_edit", "random_edit"]
