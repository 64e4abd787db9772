"""What a run folder holds: which tasks are finished, what their records say, what they cost."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ...agents.agent import Records, Status
from ...errors import RunError
from .parts import RECORD_FIELDS, SCHEMA, scan

Shard = tuple[int, int]
"""(index, count): one of `count` disjoint shares of the tasks."""

_STATUSES = pa.array(get_args(Status), pa.string())
WHOLE: Shard = (0, 1)
COUNTED = ("calls", "repairs", "unmatched", "fenced", "prompt_tokens", "completion_tokens")


def belongs(key: str, shard: Shard) -> bool:
    """Whether a shard does this task: by CRC-32 of the key, the same on every machine and in every resume."""
    index, count = shard
    return count == 1 or zlib.crc32(key.encode()) % count == index


def finished_keys(
    folder: Path | str,
    *,
    retry_failed: bool = False,
    retry_invalid: bool = False,
    shard: Shard = WHOLE,
    torn: list[str] | None = None,
) -> set[str]:
    """Keys of the tasks that need not be done again: those with a record, less the failed ones on `retry_failed` and
    the invalid ones on `retry_invalid`.

    Reads the key and status columns only; other shards' keys are left out. A torn part is set aside and named in
    `torn`, so that its tasks are not among the finished; without that list it raises RunError.
    """
    finished: set[str] = set()
    again = [status for status, retry in (("failed", retry_failed), ("invalid", retry_invalid)) if retry]
    for table in scan(Path(folder), ["key", "status"], torn):
        retried = pc.is_in(table["status"], pa.array(again, pa.string()))
        finished.update(_mine(table["key"].filter(pc.invert(retried)), shard))
        finished.difference_update(_mine(table["key"].filter(retried), shard))
    return finished


def read_records(folder: Path | str) -> Records:
    """The records of a run, one row a task in the order of `agent.tasks`; the columns are the fields of `Record`.

    Where a key was written more than once (a failed task, retried) the last one counts. `cost` is NaN where unknown;
    `prompts` holds tuples. Raises RunError for a torn part and for two tasks of one key.
    """
    frame: pd.DataFrame = _latest(folder, SCHEMA.names).to_pandas(split_blocks=True, self_destruct=True)
    frame["prompts"] = pd.Series([tuple(digests) for digests in frame["prompts"]], index=frame.index, dtype=object)
    return frame.loc[:, list(RECORD_FIELDS)]


def commonest_error(*folders: Path | str, shard: Shard = WHOLE) -> tuple[str, int]:
    """The error that most of the failed and invalid records in these run folders have, and how many have it.

    ("", 0) where there are none.
    Errors that differ in numbers only are one; the first of them is given.
    """
    texts = [text for folder in folders for text in _errors(Path(folder), shard)]
    forms = [re.sub(r"\d+", "0", text[:300]) for text in texts]
    if not forms:
        return "", 0
    [(form, count)] = Counter(forms).most_common(1)
    return next(text[:300] for text, own in zip(texts, forms, strict=True) if own == form), count


def _errors(folder: Path, shard: Shard) -> list[str]:
    """The error of each task whose last record is unusable."""
    errors: dict[str, str] = {}
    for table in scan(folder, ["key", "status", "error"]):
        usable = pc.equal(table["status"], "ok")
        for key in errors.keys() & set(table["key"].filter(usable).to_pylist()) if errors else ():
            del errors[key]
        rows = table.filter(pc.invert(usable))
        keys, texts = rows["key"].to_pylist(), rows["error"].to_pylist()
        errors.update((key, text) for key, text in zip(keys, texts, strict=True) if belongs(key, shard))
    return list(errors.values())


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over records, one a key. `cost` is in US dollars, None as soon as one record's is unknown."""

    tasks: int = 0
    ok: int = 0
    invalid: int = 0
    failed: int = 0
    calls: int = 0
    repairs: int = 0
    unmatched: int = 0
    fenced: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = 0.0


def totals(folder: Path | str, *, shard: Shard = WHOLE) -> Totals:
    """What the records of a run, or of one shard of it, add up to. Raises RunError as `read_records` does.

    Holds numbers only, 100 bytes a record: at the end of a long run nothing may be needed that was not at its start.
    """
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("key", "status", "cost", "position", *COUNTED)}
    for table in scan(Path(folder), list(parts)):
        keys = table["key"].to_pylist()
        if shard != WHOLE:
            mine = [belongs(key, shard) for key in keys]
            table, keys = table.filter(pa.array(mine, pa.bool_())), [key for key in keys if belongs(key, shard)]
        parts["key"].append(pd.util.hash_array(np.array(keys, object), categorize=False))
        parts["status"].append(pc.index_in(table["status"], _STATUSES).to_numpy().astype(np.int8))
        for name in ("cost", "position", *COUNTED):
            parts[name].append(table[name].to_numpy())
    if not parts["key"]:
        return Totals()
    columns = {name: np.concatenate(parts.pop(name)) for name in tuple(parts)}
    last = _last_of_each(columns["position"])
    if len(np.unique(columns["key"][last])) < len(last):
        _refuse_clash(folder, _latest(folder, ["key", "position"]))
    status = np.bincount(columns["status"][last], minlength=len(_STATUSES))
    cost, calls = columns["cost"][last], columns["calls"][last]
    return Totals(
        tasks=len(last),
        **{str(name): int(count) for name, count in zip(_STATUSES, status, strict=True)},
        **{name: int(columns[name][last].sum()) for name in COUNTED},
        cost=None if bool(np.any(np.isnan(cost) & (calls > 0))) else float(np.nansum(cost)),
    )


def _mine(keys: pa.ChunkedArray, shard: Shard) -> list[str]:
    finished: list[str] = keys.to_pylist()
    return finished if shard == WHOLE else [key for key in finished if belongs(key, shard)]


def _latest(folder: Path | str, columns: Sequence[str]) -> pa.Table:
    """One row a task, the one written last, in the order of the tasks.

    A task's position tells it from the others as well as its key does, and integers are quick to sort.
    """
    # 64-bit offsets: the payloads of a large run are more than 2 GB together.
    wide = pa.schema(
        [(name, pa.large_string() if SCHEMA.field(name).type == pa.string() else SCHEMA.field(name).type)
         for name in columns]
    )  # fmt: skip
    table = pa.concat_tables([wide.empty_table(), *(part.cast(wide) for part in scan(Path(folder), columns))])
    table = table.take(pa.array(_last_of_each(table["position"].to_numpy())))
    _refuse_clash(folder, table)
    return table


def _last_of_each(position: np.ndarray) -> np.ndarray:
    """Where each position stands last, in the order of positions."""
    order = np.argsort(position, kind="stable")
    return order[np.append(position[order][1:] != position[order][:-1], np.ones(min(1, len(order)), bool))]


def _refuse_clash(folder: Path | str, table: pa.Table) -> None:
    """RunError where two rows of `table` have one key."""
    if pc.count_distinct(table["key"]).as_py() == table.num_rows:
        return
    counts = pc.value_counts(table["key"])
    clash = counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"].as_py()
    raise RunError(
        f"{folder}: two tasks have the key {clash!r}; an agent's keys must differ, or a resume cannot tell its "
        "tasks apart. Mend the agent's `tasks` and run into another folder"
    )
