"""Batch runs: tasks through a bounded pool into Parquet parts, resumed, sharded over processes or Ray."""
