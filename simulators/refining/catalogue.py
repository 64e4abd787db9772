"""How a log is written, and what is known of its items: the catalogue over which every block is a Dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...recsys.data import Dataset
from ...recsys.data.assemble import assemble
from ...recsys.data.atomic import described as described_atomic
from ...recsys.data.delimited import Format
from ...recsys.data.descriptions import described
from ...recsys.data.files import one
from ...recsys.data.log_detection import logged
from ...recsys.data.log_file import LogFile
from ...recsys.data.table_form import TableForm
from .blocks import Blocks
from .config import LogConfig


def log_of(source: Path, config: LogConfig) -> LogFile:
    """How the log is written, as its file and the settings say."""
    return logged(
        source,
        config.columns,
        time=config.time,
        separator=config.separator,
        encoding=config.encoding,
        escape=config.escape,
        sequences=config.sequences,
        quoted=config.quoted,
        names=config.header,
    )


def catalogue_of(log: LogFile, blocks: Blocks, config: LogConfig, *, unseen: bool) -> Dataset:
    """The items of the log by first appearance, their texts joined on; with `unseen` the others of the table too."""
    ids = blocks.item_ids
    table = None
    source: Any = log.file
    if config.items is not None:
        source = one(config.items)
        if source.name.removesuffix(".gz").endswith(".item"):
            form = Format("\t", config.quoted, config.encoding)
            mapped = {k: str(v) for k, v in config.item_columns.items()}
            table = described_atomic(source, "item_id", form, mapped, raw_texts=config.raw_texts)
        else:
            of_items = TableForm(config.items_separator, config.encoding, config.escape)
            table = described(source, "item_id", config.item_columns, of_items, raw_texts=config.raw_texts)
        if unseen:
            kind = (lambda one: one) if ids.dtype.kind == "i" else str
            more = [kind(ident) for ident in table["item_id"].tolist()]
            ids = ids.append(pd.Index(dict.fromkeys(more)).difference(ids, sort=False))
    rows = pd.DataFrame({"user_id": np.zeros(len(ids), np.int64), "item_id": ids})
    data = assemble(
        log.file.name.split(".")[0], rows, table, source=log.file, items_source=source, twice=config.duplicate_ids
    )
    return data.with_(interactions=data.interactions.iloc[:0], users=data.users.iloc[:0])
