"""Data: readers, filters, splits, groups and writers of a `Dataset`."""

from .amazon import read_amazon
from .atomic import read_atomic
from .data_config import SPLITS, DataConfig
from .dataset import Dataset, Split, together
from .filters import at_least, drop_duplicates, k_core, time_window
from .frames import read_frame
from .groups import ColdConfig, HeadConfig, cold, head
from .logs import write_log
from .movielens import read_movielens
from .sources import SOURCES, load, load_split, split
from .splits import given, global_time, leave_last_out, per_user_ratio
from .summary import describe
from .table_form import Events, TableForm
from .tables import read_table
from .windows import read_windows
from .writers import read_written, write

__all__ = [
    "SOURCES",
    "SPLITS",
    "ColdConfig",
    "DataConfig",
    "Dataset",
    "Events",
    "HeadConfig",
    "Split",
    "TableForm",
    "at_least",
    "cold",
    "describe",
    "drop_duplicates",
    "given",
    "global_time",
    "head",
    "k_core",
    "leave_last_out",
    "load",
    "load_split",
    "per_user_ratio",
    "read_amazon",
    "read_atomic",
    "read_frame",
    "read_movielens",
    "read_table",
    "read_windows",
    "read_written",
    "split",
    "time_window",
    "together",
    "write",
    "write_log",
]
