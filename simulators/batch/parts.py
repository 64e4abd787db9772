"""Records on disk: Parquet parts that appear whole, are merged while small, and are set aside when torn.

folder/parts/part-<shard>-<n>.parquet      `n` grows over all shards and resumes: later parts win
folder/parts/torn/                         parts that could not be read; their tasks are done again
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ...agents.agent import Record
from ...atomic import TEMPORARY, write_whole
from ...errors import RunError

FORMAT = b"1"
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("agent", pa.string()),
        ("status", pa.string()),
        ("payload", pa.string()),
        ("error", pa.string()),
        ("model", pa.string()),
        ("prompts", pa.list_(pa.string())),
        ("calls", pa.int32()),
        ("repairs", pa.int32()),
        ("unmatched", pa.int32()),
        ("fenced", pa.int32()),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("cost", pa.float64()),
        ("seconds", pa.float64()),
        ("position", pa.int64()),
    ],
    metadata={b"recloop.records": FORMAT},
)
"""The fields of `Record`, and the task's position among `agent.tasks(data)`: the order in which records are read."""

RECORD_FIELDS = tuple(f.name for f in fields(Record))
UNREADABLE = (pa.ArrowInvalid, pa.ArrowSerializationError, pa.ArrowKeyError, OSError)
"""What pyarrow raises over a file that is cut off or scrambled (its ArrowIOError is an OSError)."""


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """One file of records. Parts sort by age: the later one wins where both hold a key."""

    n: int
    shard: int
    path: Path


def parts_of(folder: Path) -> list[Part]:
    """The parts of a run folder, oldest first; unfinished files and torn parts are not among them."""
    named = (
        (path, re.fullmatch(r"part-(\d+)-(\d+)\.parquet", path.name)) for path in (folder / "parts").glob("part-*")
    )
    return sorted(Part(n=int(name[2]), shard=int(name[1]), path=path) for path, name in named if name)


def next_number(folder: Path) -> int:
    """A number above those of all parts, torn ones too: what is written from now on wins over what lies there."""
    torn = (re.search(r"-(\d+)\.parquet", path.name) for path in (folder / "parts" / "torn").glob("part-*"))
    return 1 + max([0, *(part.n for part in parts_of(folder)), *(int(match[1]) for match in torn if match)])


def read_part(part: Part, columns: Sequence[str]) -> pa.Table:
    """Some columns of one part, page checksums verified. Raises one of `UNREADABLE` for a torn file.

    Raises RunError for a sound file of another format: that is nothing to set aside.
    """
    with pq.ParquetFile(part.path, page_checksum_verification=True) as file:
        written = (file.schema_arrow.metadata or {}).get(b"recloop.records")
        if written != FORMAT:
            raise RunError(
                f"{part.path}: not a part of this version of recloop (format {written!r}, not {FORMAT!r}); move it "
                "out of the run folder or read it with the version named in manifest.json"
            )
        return file.read(columns=list(columns), use_threads=False)


def scan(folder: Path, columns: Sequence[str], torn: list[str] | None = None) -> Iterator[pa.Table]:
    """These columns of every part, oldest first.

    A part that cannot be read is moved under parts/torn/ and its name added to `torn`; without that list it raises
    RunError, which says how to mend the run. A scrambled payload is found, by its checksum, when that column is read.
    """
    read: set[Path] = set()
    looking = True
    while looking:
        looking = False
        for part in [part for part in parts_of(folder) if part.path not in read]:
            try:
                table = read_part(part, columns)
            except FileNotFoundError:
                # Its writer, a live one, has merged it into a later part: look again for what is not read yet.
                looking = True
                break
            except UNREADABLE as error:
                _set_aside(part, error, torn)
                continue
            read.add(part.path)
            yield table


def _set_aside(part: Part, error: Exception, torn: list[str] | None) -> None:
    if isinstance(error, OSError) and error.errno is not None:
        raise RunError(f"{part.path} cannot be read ({error}); mend that and start again") from error
    aside = part.path.parent / "torn" / part.path.name
    if torn is None:
        raise RunError(
            f"{part.path} is torn ({error}); move it to {aside} and start the run again: its tasks are redone, from "
            "the reply cache where that is on"
        ) from error
    aside.parent.mkdir(exist_ok=True)
    part.path.replace(aside)
    torn.append(part.path.name)


def drop_unfinished(folder: Path, shard: int) -> None:
    """Delete what a killed writer of this shard left half written."""
    for path in (folder / "parts").glob(f"part-{shard}-*{TEMPORARY}"):
        path.unlink(missing_ok=True)


class PartWriter:
    """Buffers one shard's records and writes a part every `rows` records or `seconds`, whichever comes first.

    A slow run makes many small parts, so every `small` of them in a row are merged into the last: a run holds at most
    records / rows + `small` parts a shard. `add` and `flush` may be called from different threads.
    """

    def __init__(self, folder: Path, shard: int, *, rows: int = 2_000, seconds: float = 2.0, small: int = 32) -> None:
        self._folder, self._shard, self._rows, self._seconds, self._small = folder, shard, rows, seconds, small
        (folder / "parts").mkdir(parents=True, exist_ok=True)
        self._n = next_number(folder)
        self._buffer: list[tuple[Record, int]] = []
        self._since = time.monotonic()
        self._mergeable: list[Part] = []
        self._buffering, self._writing = threading.Lock(), threading.Lock()

    def add(self, record: Record, position: int) -> bool:
        """Keep a record for the next flush; whether the buffer is full."""
        with self._buffering:
            if not self._buffer:
                self._since = time.monotonic()
            self._buffer.append((record, position))
            return len(self._buffer) >= self._rows

    def due(self) -> bool:
        """Whether the oldest buffered record has waited `seconds`."""
        with self._buffering:
            return bool(self._buffer) and time.monotonic() - self._since >= self._seconds

    def flush(self, first: Callable[[], None] = lambda: None) -> None:
        """Write what is buffered as one part. Raises OSError (a full disk); the records then stay buffered.

        `first` runs before the write: what these records rely on is made durable before they are.
        """
        with self._writing:
            with self._buffering:
                rows, self._buffer = self._buffer, []
            if not rows:
                return
            part = Part(self._n, self._shard, self._path(self._n))
            try:
                first()
                _write(part.path, _table(rows))
            except BaseException:
                with self._buffering:
                    self._buffer = rows + self._buffer
                raise
            self._n += 1
            self._merge(part, len(rows))
            # Arrow's allocator keeps what it was given; over a hundred thousand tasks that was 60 MB.
            pa.default_memory_pool().release_unused()

    def _merge(self, part: Part, rows: int) -> None:
        """Keys within one run's parts are distinct, so merging them into the latest changes no record."""
        if rows >= self._rows:
            self._mergeable = []
            return
        self._mergeable.append(part)
        if len(self._mergeable) < self._small:
            return
        together = pa.concat_tables([read_part(small, SCHEMA.names) for small in self._mergeable])
        # A kill between the rename and the deletions leaves rows twice; readers keep one row a key.
        _write(part.path, together)
        for small in self._mergeable[:-1]:
            small.path.unlink()
        self._mergeable = [part] if together.num_rows < self._rows else []

    def _path(self, n: int) -> Path:
        return self._folder / "parts" / f"part-{self._shard}-{n}.parquet"


def _write(path: Path, table: pa.Table) -> None:
    write_whole(path, lambda temporary: pq.write_table(table, temporary, compression="zstd", write_page_checksum=True))


def _table(rows: Sequence[tuple[Record, int]]) -> pa.Table:
    columns = {name: [getattr(record, name) for record, _ in rows] for name in RECORD_FIELDS}
    return pa.table({**columns, "position": [position for _, position in rows]}, schema=SCHEMA)
