"""`LogWriter`: a file in the form of the log that was read, header first, taking tables of rows one after the other."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from ...recsys.data.log_file import LogFile
from .rows import ADDED

GROUP_ROWS = 100_000
"""Rows of a group of a Parquet file."""


class LogWriter:
    """Open as a context; the file is whole when the context is left without an error."""

    def __init__(self, log: LogFile, path: Path, provenance: bool) -> None:
        self.log, self.path = log, path
        self.provenance = provenance and log.kind not in ("sequences", "lines")
        self.parquet: parquet.ParquetWriter | None = None
        self.waiting: list[pa.Table] = []
        self.bytes: Any = None
        # One for the whole file: UTF-16 begins with a mark, once.
        self._encoder = codecs.getincrementalencoder(log.form.encoding.removesuffix("-sig"))()

    def __enter__(self) -> LogWriter:
        if self.log.kind != "parquet":
            packed = self.log.file.path.suffix == ".gz"
            # Without a time stamp, or the same log would never be the same bytes.
            self.bytes = gzip.GzipFile(self.path, "wb", mtime=0) if packed else self.path.open("wb")
            if self.log.bom:
                self.bytes.write(codecs.BOM_UTF8)
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
            self._groups(GROUP_ROWS)
            return
        if self.log.kind == "lines":
            ended = "".join(f"{line}{self.log.line_end}" for line in table["line"].to_pylist())
            self.bytes.write(ended.encode("utf-8", "surrogateescape"))
            return
        form = self.log.form
        if (
            len(form.separator) == 1
            and form.escape is None
            and form.encoding.lower().replace("-", "") in ("utf8", "ascii")
        ):
            # An order of magnitude faster, where no field needs a quote.
            options = arrow_csv.WriteOptions(include_header=False, delimiter=form.separator, quoting_style="none")
            buffer = io.BytesIO()
            try:
                arrow_csv.write_csv(table, buffer, options)
            except pa.ArrowInvalid:
                pass
            else:
                # No field holds a line end: it would have needed quotes.
                self.bytes.write(buffer.getvalue().replace(b"\n", self.log.line_end.encode()))
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
        end = self.log.line_end
        if self.log.kind == "sequences" and self.log.headless and "item_id" not in self.log.places:
            text = "".join(form.separator.join(field for field in row if field) + end for row in rows)
        elif len(form.separator) > 1 or not form.quoted:
            text = "".join(form.separator.join(row) + end for row in rows)
        else:
            buffer = io.StringIO(newline="")
            csv.writer(
                buffer,
                delimiter=form.separator,
                lineterminator=end,
                escapechar=form.escape,
                doublequote=form.escape is None,
            ).writerows(rows)
            text = buffer.getvalue()
        self.bytes.write(self._encoder.encode(text))

    def _names(self) -> list[str]:
        own = list(self.log.names)
        more = [self.log.places.get(name, name) for name in ADDED] if self.provenance else []
        return [*own, *(name for name in more if name not in own)]

    def _label(self, name: str) -> str:
        if self.log.kind != "atomic" or name in self.log.names:
            return name
        return f"{name}:{'float' if name in ('weight', 'confidence') else 'token'}"
