"""The refined log, written as the log was: real rows word for word in their places, new ones behind their user's last.

Rows that are held to be noise and removed are left out; they, and every other row that was changed, stand with their
provenance in `changes.parquet` of the run folder.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from ...agents.fusion import GENERATED, REMOVED, REPLACED
from ...recsys.data import Dataset
from ...recsys.data.dataset import PROVENANCE_COLUMNS
from ...recsys.data.streams import RAW, Log
from .blocks import Blocks

ADDED = ("weight", *PROVENANCE_COLUMNS)
"""Columns that are written beside each row."""
_BATCH, _GROUP = 20_000, 100_000
"""Rows merged at once, which all blocks share; rows of a group of a Parquet file."""
_AT, _SEQ = "row:at", "row:seq"
"""Where a row goes: behind row `at` of the file, as number `seq` (0: that row itself)."""


def block_rows(log: Log, blocks: Blocks, block: int, data: Dataset, provenance: bool) -> pa.Table:
    """A block's rows as they are written, in the order of the file, with their places."""
    if log.kind == "sequences":
        return _sequences(log, data)
    frame = data.interactions
    raw = blocks.read(block)
    stays = frame[(frame["origin"] != REMOVED).to_numpy()]
    real = stays[stays["row"] >= 0].sort_values("row", kind="stable")
    made = _placed(frame, stays)
    known = raw["row"].to_numpy()
    kept = raw.take(pa.array(np.searchsorted(known, real["row"].to_numpy())))
    copied = raw.take(pa.array(np.searchsorted(known, made["at"].to_numpy())))
    catalogue = data.items["item_id"].to_numpy()
    ids = catalogue[made["item"].to_numpy(np.int64)]
    if log.kind == "lines":
        lines = [
            *_marked_lines(log, kept["raw:line"], real, provenance, catalogue),
            *_new_lines(log, copied, made, ids, provenance),
        ]
        columns: dict[str, Any] = {"line": pa.array(lines, pa.string())}
    else:
        columns = _columns(log, kept, copied, real, made, ids, provenance, catalogue)
    at = np.concatenate([real["row"].to_numpy(np.int64), made["at"].to_numpy(np.int64)])
    seq = np.concatenate([np.zeros(len(real), np.int64), made["seq"].to_numpy(np.int64)])
    order = np.lexsort((seq, at))
    return pa.table({**columns, _AT: at, _SEQ: seq}).take(pa.array(order))


def changes(data: Dataset, reasons: Mapping[tuple[str, int], str] | None = None) -> pa.Table:
    """The rows of a block that an agent has made or changed: ids, weight, provenance, row of the file (-1: new).

    `was_id` is the item that a replaced row had, null elsewhere; `reason` what `reasons` says by record and item code.
    """
    frame = data.interactions
    changed = frame[(frame["origin"] != "raw").to_numpy()]
    ids = data.items["item_id"].to_numpy()
    found: dict[str, Any] = {
        "user_id": data.users["user_id"].to_numpy()[changed["user"]],
        "item_id": ids[changed["item"]],
    }
    found |= {name: changed[name].to_numpy() for name in ("row", *ADDED)}
    was = changed["was"].to_numpy() if "was" in changed else np.full(len(changed), -1)
    kind = pa.int64() if data.items["item_id"].dtype.kind in "iu" else pa.string()
    found["was_id"] = pa.array([plain(ids[item]) if item >= 0 else None for item in was], kind)
    old = np.where(was >= 0, was, changed["item"].to_numpy())
    told = [(reasons or {}).get(about, "") for about in zip(changed["record"], old.tolist(), strict=True)]
    found["reason"] = pa.array(told, pa.string())
    return pa.table(found)


def written(log: Log, tables: list[Path], out: Path, provenance: bool) -> int:
    """The rows of all blocks (files of `block_rows`) merged into `out`; how many."""
    rows = 0
    with ExitStack() as held:
        sink = held.enter_context(_Sink(log, out, provenance))
        for batch in merged(tables):
            rows += batch.num_rows
            sink.write(batch.drop_columns([_AT, _SEQ]))
    return rows


def merged(tables: list[Path]) -> Iterator[pa.Table]:
    """The rows of several tables, each in order, in the order of all; a little of each is in memory at a time."""
    readers = [parquet.ParquetFile(path).iter_batches(batch_size=max(1_000, _BATCH // len(tables))) for path in tables]
    held: list[pa.Table | None] = [_next(reader) for reader in readers]
    while any(part is not None for part in held):
        border = min(int(part[_AT][-1].as_py()) for part in held if part is not None)
        ready: list[pa.Table] = []
        for place, part in enumerate(held):
            # A row's followers may stand in the next batch: they come with it.
            while part is not None and int(part[_AT][-1].as_py()) <= border:
                ready.append(part)
                part = _next(readers[place])
            if part is not None:
                size = int(np.searchsorted(part[_AT].to_numpy(), border, side="right"))
                ready.append(part.slice(0, size))
                part = part.slice(size)
            held[place] = part
        whole = pa.concat_tables(ready)
        order = np.lexsort((whole[_SEQ].to_numpy(), whole[_AT].to_numpy()))
        yield whole.take(pa.array(order))


def _next(reader: Iterator[pa.RecordBatch]) -> pa.Table | None:
    for batch in reader:
        if batch.num_rows:
            return pa.Table.from_batches([batch])
    return None


def _placed(frame: pd.DataFrame, stays: pd.DataFrame) -> pd.DataFrame:
    """The new rows, with the row of the file that each stands behind (its user's last) and its number there."""
    last = frame[frame["row"] >= 0].groupby("user", sort=True)["row"].last()
    made = stays[stays["row"] < 0]
    made = made.assign(at=last.reindex(made["user"]).to_numpy(np.int64))
    return made.assign(seq=made.groupby("user", sort=False).cumcount() + 1)


def _columns(
    log: Log,
    kept: pa.Table,
    copied: pa.Table,
    real: pd.DataFrame,
    made: pd.DataFrame,
    ids: Any,
    provenance: bool,
    catalogue: Any,
) -> dict[str, Any]:
    """Column of the file -> the real rows' fields as they were, then the new rows'."""
    ours = {theirs: name for name, theirs in log.places.items()}
    found: dict[str, Any] = {}
    for name in log.names:
        old, new = kept[f"{RAW}{name}"], copied[f"{RAW}{name}"]
        match ours.get(name):
            case "user_id" | "timestamp":
                pass
            case "item_id":
                new = pa.chunked_array([pa.array(ids.tolist(), old.type)])
                old = _with_replaced(old, real, catalogue)
            case "value":
                new = _like(new, made["value"].to_numpy(np.float32))
            case _:
                blank = "" if pa.types.is_string(old.type) else None
                new = pa.chunked_array([pa.array([blank] * len(made), old.type)])
        found[name] = pa.chunked_array([*old.chunks, *new.chunks], old.type)
    if provenance:
        both = pd.concat([real, made], ignore_index=True)
        for ours_name in ADDED:
            theirs = log.places.get(ours_name, ours_name)
            found[theirs] = _told(both[ours_name], text=log.kind != "parquet")
    return found


def _told(column: pd.Series, *, text: bool) -> pa.Array:
    if column.dtype.kind != "f":
        return pa.array(column.fillna("").tolist(), pa.string())
    numbers = column.to_numpy(np.float32)
    if not text:
        return pa.array(numbers, mask=np.isnan(numbers))
    return pa.array(["" if one != one else str(one) for one in numbers], pa.string())


def _like(fields: pa.ChunkedArray, values: Any) -> pa.ChunkedArray:
    """Values written as the fields are: 4 or 4.0."""
    if not pa.types.is_string(fields.type):
        return pa.chunked_array([pa.array(values).cast(fields.type, safe=False)])
    told = [
        str(int(value)) if "." not in str(old) and float(value).is_integer() else str(value)
        for old, value in zip(fields.to_pylist(), values, strict=True)
    ]
    return pa.chunked_array([pa.array(told, pa.string())])


def _new_lines(log: Log, copied: pa.Table, made: pd.DataFrame, ids: Any, provenance: bool) -> list[str]:
    found = []
    for line, item, row in zip(copied["raw:line"].to_pylist(), ids, made.to_dict("records"), strict=True):
        before = json.loads(line)
        record = {log.places[name]: before[log.places[name]] for name in ("user_id", "timestamp")}
        record |= {log.places["item_id"]: plain(item), log.places["value"]: float(row["value"])}
        found.append(json.dumps(record | (_provenance(row) if provenance else {}), ensure_ascii=False))
    return found


def _with_replaced(fields: pa.ChunkedArray, real: pd.DataFrame, catalogue: Any) -> pa.ChunkedArray:
    """The real rows' item fields as they were, but where another item stands in the row now."""
    replaced = np.flatnonzero((real["origin"] == REPLACED).to_numpy())
    if not len(replaced):
        return fields
    values, items = fields.to_pylist(), real["item"].to_numpy(np.int64)
    for at in replaced.tolist():
        ident = plain(catalogue[items[at]])
        values[at] = str(ident) if pa.types.is_string(fields.type) else ident
    return pa.chunked_array([pa.array(values, fields.type)])


def _marked_lines(log: Log, lines: pa.ChunkedArray, real: pd.DataFrame, provenance: bool, catalogue: Any) -> list[str]:
    texts: list[str] = lines.to_pylist()
    for at in np.flatnonzero((real["origin"] != "raw").to_numpy()):
        row = real.iloc[at].to_dict()
        if row["origin"] != REPLACED and not provenance:
            continue
        record = json.loads(texts[at])
        if row["origin"] == REPLACED:
            record[log.places["item_id"]] = plain(catalogue[int(row["item"])])
        texts[at] = json.dumps(record | (_provenance(row) if provenance else {}), ensure_ascii=False)
    return texts


def _provenance(row: dict[Any, Any]) -> dict[str, Any]:
    sure = float(row["confidence"])
    told = {"weight": round(float(row["weight"]), 6), "confidence": None if sure != sure else round(sure, 6)}
    return {**told, **{name: row[name] for name in ("origin", "agent", "record")}}


def plain(ident: Any) -> Any:
    return int(ident) if isinstance(ident, np.integer) else ident


def _sequences(log: Log, data: Dataset) -> pa.Table:
    """A row a user; the last item stays a real one, as whoever tests on it expects."""
    frame = data.interactions[(data.interactions["origin"] != REMOVED).to_numpy()]
    items = data.items["item_id"].astype(str).to_numpy(object)[frame["item"]]
    real = (frame["origin"] != GENERATED).to_numpy()
    users = frame["user"].to_numpy()
    place = np.arange(len(frame), dtype=np.float64)
    last = pd.Series(place[real]).groupby(users[real]).max()
    ends = last.reindex(users).to_numpy()
    place = np.where(~real & (place > ends), ends - 0.5, place)
    order = np.lexsort((place, users))
    starts = pd.Series(data.interactions["row"].to_numpy())[(data.interactions["row"] >= 0).to_numpy()]
    row = starts.groupby(data.interactions["user"].to_numpy()[starts.index]).first()
    lists = pd.Series(items[order]).groupby(users[order]).agg(list)
    lists = lists[lists.map(len) > 1]
    found = {
        log.places["user_id"]: [str(data.users["user_id"].iat[user]) for user in lists.index],
        log.places["item_id_list"]: [" ".join(one[:-1]) for one in lists],
        log.places["item_id"]: [one[-1] for one in lists],
    }
    at = row.reindex(lists.index).to_numpy(np.int64)
    table = pa.table({**{name: pa.array(found.get(name, [""] * len(lists)), pa.string()) for name in log.names},
                      _AT: at, _SEQ: np.zeros(len(at), np.int64)})  # fmt: skip
    return table.take(pa.array(np.argsort(at, kind="stable")))


class _Sink:
    """A file in the form of the log, header first, taking tables one after the other."""

    def __init__(self, log: Log, path: Path, provenance: bool) -> None:
        self.log, self.path = log, path
        self.provenance = provenance and log.kind not in ("sequences", "lines")
        self.parquet: parquet.ParquetWriter | None = None
        self.waiting: list[pa.Table] = []
        self.bytes: Any = None

    def __enter__(self) -> _Sink:
        if self.log.kind != "parquet":
            packed = self.log.file.path.suffix == ".gz"
            # Without a time stamp, or the same log would never be the same bytes.
            self.bytes = gzip.GzipFile(self.path, "wb", mtime=0) if packed else self.path.open("wb")
            if self.log.kind != "lines" and not self.log.headless:
                self._text([[self._label(name) for name in self._names()]])
        return self

    def __exit__(self, *_: object) -> None:
        if left := sum(table.num_rows for table in self.waiting):
            self._groups(left)
        for opened in (self.parquet, self.bytes):
            if opened is not None:
                opened.close()

    def write(self, table: pa.Table) -> None:
        if self.log.kind == "parquet":
            self.waiting.append(table)
            self._groups(_GROUP)
            return
        if self.log.kind == "lines":
            self.bytes.write(
                "".join(f"{line}\n" for line in table["line"].to_pylist()).encode("utf-8", "surrogateescape")
            )
            return
        form = self.log.form
        if len(form.separator) == 1 and form.encoding.lower().replace("-", "") in ("utf8", "ascii"):
            # An order of magnitude faster, where no field needs a quote.
            options = arrow_csv.WriteOptions(include_header=False, delimiter=form.separator, quoting_style="none")
            buffer = io.BytesIO()
            try:
                arrow_csv.write_csv(table, buffer, options)
            except pa.ArrowInvalid:
                pass
            else:
                self.bytes.write(buffer.getbuffer())
                return
        texts = [pc.fill_null(column.cast(pa.string()), "").to_pylist() for column in table.columns]
        self._text(list(map(list, zip(*texts, strict=True))))

    def _groups(self, size: int) -> None:
        """Write what waits in groups of `size` rows: a file must not tell in which pieces it was made."""
        whole = pa.concat_tables(self.waiting)
        at = 0
        while whole.num_rows - at >= size:
            if self.parquet is None:
                self.parquet = parquet.ParquetWriter(self.path, whole.schema)
            self.parquet.write_table(whole.slice(at, size).combine_chunks())
            at += size
        self.waiting = [whole.slice(at)]

    def _text(self, rows: list[list[str]]) -> None:
        form = self.log.form
        encoding = form.encoding.removesuffix("-sig")
        if len(form.separator) > 1 or not form.quoted:
            text = "".join(form.separator.join(row) + "\n" for row in rows)
        else:
            told = io.StringIO(newline="")
            csv.writer(told, delimiter=form.separator, lineterminator="\n").writerows(rows)
            text = told.getvalue()
        self.bytes.write(text.encode(encoding))

    def _names(self) -> list[str]:
        own = list(self.log.names)
        more = [self.log.places.get(name, name) for name in ADDED] if self.provenance else []
        return [*own, *(name for name in more if name not in own)]

    def _label(self, name: str) -> str:
        if self.log.kind != "atomic" or name in self.log.names:
            return name
        return f"{name}:{'float' if name in ('weight', 'confidence') else 'token'}"
