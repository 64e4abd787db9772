"""`Replies`: validated replies in one SQLite file that several processes may share, found by the question's digest.

Write-ahead logging lets readers and a writer work at once. Writes go through one thread that commits whatever has
gathered, so a commit costs little and the event loop never waits for another process's lock. A reply is stored
once it is committed: a kill -9 after that loses nothing.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ...atomic import write_whole
from ...errors import DataError, RunError
from .question import Parts, as_json, canonical, digest, from_json, nearest
from .types import Reply

_TABLE = """
CREATE TABLE IF NOT EXISTS replies (
    key      BLOB PRIMARY KEY,  -- SHA-256 of the question
    said     BLOB NOT NULL,     -- digest of all messages, and
    opening  BLOB NOT NULL,     -- of the first one: where to look for the nearest entry
    question BLOB NOT NULL,     -- canonical JSON, deflated
    reply    TEXT NOT NULL,     -- JSON
    created  REAL NOT NULL      -- seconds since 1970
) WITHOUT ROWID
"""
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS by_said ON replies (said)",
    "CREATE INDEX IF NOT EXISTS by_opening ON replies (opening)",
)
_INSERT = "INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?)"
_MOST_IN_A_COMMIT = 512
_NEIGHBOURS = 200
"""Entries compared when a miss is explained; the newest first."""

Row = tuple[bytes, bytes, bytes, bytes, str, float]
Entry = tuple[bytes, Parts, Reply, float]
"""key, question, reply, created"""


@dataclass(frozen=True, slots=True)
class CacheStats:
    entries: int
    bytes: int
    """Size of the file."""
    models: dict[str, int]
    """Entries by model."""
    completion_tokens: int
    usd: float
    """What the replies cost when they were made, where a price was known."""
    oldest: float | None
    newest: float | None
    """Seconds since 1970."""


class Replies:
    """A file of replies. Make one a process; close it, or use it in a `with`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        try:
            self._reader = _opened(path)
        except sqlite3.DatabaseError as error:
            raise RunError(f"the reply cache {path} cannot be used ({error}): move it away, or name another") from None
        self._queue: SimpleQueue[tuple[Entry, asyncio.Future[None]] | None] = SimpleQueue()
        self._writer: threading.Thread | None = None

    def __enter__(self) -> Replies:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, key: bytes) -> Reply | None:
        """The reply kept under `key`, marked as cached; None where there is none."""
        row = self._reader.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        return from_json(json.loads(row[0])) if row else None

    async def put(self, key: bytes, parts: Parts, reply: Reply) -> None:
        """Keep `reply`; returns when it is committed. A reply that is there already stays: the first one is the one."""
        committed = asyncio.get_running_loop().create_future()
        if self._writer is None:
            writer = threading.Thread(target=self._write, name="replies", daemon=True)
            try:
                writer.start()
            except RuntimeError as error:
                raise RunError(
                    f"the reply cache {self.path} cannot be written: {error}; free memory, or raise the limits of "
                    "memory and processes, and start the run again"
                ) from error
            self._writer = writer  # only now: where no thread starts, later calls must not wait for one
        self._queue.put(((key, parts, reply, time.time()), committed))
        await committed

    def stats(self) -> CacheStats:
        """How many replies of which models, and what they cost when they were made."""
        entries, oldest, newest, tokens, usd = self._reader.execute(
            "SELECT count(*), min(created), max(created), sum(json_extract(reply, '$.completion_tokens')), "
            "sum(json_extract(reply, '$.cost')) FROM replies"
        ).fetchone()
        models = self._reader.execute("SELECT json_extract(reply, '$.model') AS m, count(*) FROM replies GROUP BY m")
        return CacheStats(
            entries, self.path.stat().st_size, dict(models.fetchall()), tokens or 0, usd or 0.0, oldest, newest
        )

    def explain(self, parts: Parts) -> list[str]:
        """Why a question is not found: where it differs from the nearest entry, in words. Empty where it is found.

        Nearest is sought among the entries with the same messages, else with the same first message, else the newest.
        """
        if self.get(digest(parts)) is not None:
            return []
        messages_digest, opening = _places(parts)
        for where, values in (("said = ?", [messages_digest]), ("opening = ?", [opening]), ("1", [])):
            rows = self._reader.execute(
                f"SELECT question FROM replies WHERE {where} ORDER BY created DESC LIMIT {_NEIGHBOURS}", values
            ).fetchall()
            if rows:
                return nearest(parts, (_question(row[0]) for row in rows))
        return ["the cache is empty"]

    def export(self, path: Path, *, model: str | None = None) -> int:
        """Write a replay file (JSON lines of question and reply, ordered by key); how many entries it holds.

        `model` (as a study's llm.model names it) leaves the questions asked of others out.
        """
        count = 0

        def write(temporary: Path) -> None:
            nonlocal count
            # Lone surrogates do turn up in replies, and have to come back as they were.
            with temporary.open("w", encoding="utf-8", errors="surrogatepass") as file:
                for deflated, reply in self._reader.execute("SELECT question, reply FROM replies ORDER BY key"):
                    question = _question(deflated)
                    if model is None or question.get("model") == model:
                        file.write(canonical({"question": question, "reply": json.loads(reply)}) + "\n")
                        count += 1

        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, write)
        return count

    def import_(self, path: Path) -> int:
        """Take in a replay file; how many entries were new. Raises DataError naming the line that cannot be read."""
        rows = [_row(digest(parts), parts, reply, time.time()) for parts, reply in read_replay(path)]
        before = self._reader.total_changes
        with self._reader:
            self._reader.executemany(_INSERT, rows)
        return self._reader.total_changes - before

    def absorb(self, path: Path) -> int:
        """Take in the entries of another cache's file, which nobody may be writing; how many were new."""
        before = self._reader.total_changes
        self._reader.execute("ATTACH ? AS other", (str(path),))
        try:
            with self._reader:
                self._reader.execute("INSERT OR IGNORE INTO replies SELECT * FROM other.replies")
        finally:
            self._reader.execute("DETACH other")
        return self._reader.total_changes - before

    def count(self, *, older_than: float | None = None, model: str | None = None) -> int:
        """How many entries `prune` would delete."""
        where, values = _condition(older_than, model)
        number: int = self._reader.execute(f"SELECT count(*) FROM replies WHERE {where}", values).fetchone()[0]
        return number

    def prune(self, *, older_than: float | None = None, model: str | None = None) -> int:
        """Delete the entries created before `older_than` (seconds since 1970) and of `model`, where given; how many."""
        where, values = _condition(older_than, model)
        with self._reader:
            deleted = self._reader.execute(f"DELETE FROM replies WHERE {where}", values).rowcount
        self._reader.execute("VACUUM")
        return deleted

    def close(self) -> None:
        """Commit what is waiting, and let go of the file."""
        if self._writer is not None:
            self._queue.put(None)
            self._writer.join()
            self._writer = None
        self._reader.close()

    def _write(self) -> None:
        """The writer thread: it lives until `close`, whatever fails, since each `put` waits for its answer."""
        connection: sqlite3.Connection | None = None
        ended = False
        while not ended:
            gathered = [self._queue.get()]
            while len(gathered) < _MOST_IN_A_COMMIT and not self._queue.empty():
                gathered.append(self._queue.get())
            ended = None in gathered
            waiting = [entry for entry in gathered if entry is not None]
            failure: Exception | None = None
            try:
                connection = connection or _opened(self.path)
                with connection:
                    connection.executemany(_INSERT, [_row(*entry) for entry, _ in waiting])
            except MemoryError as error:
                failure = error
            except Exception as error:
                failure = RunError(f"the reply cache {self.path} cannot be written: {error}")
            _tell([committed for _, committed in waiting], failure)
        if connection is not None:
            connection.close()


def _condition(older_than: float | None, model: str | None) -> tuple[str, list[Any]]:
    """An SQL condition for entries created before `older_than` and of `model`, where given, and its values."""
    parts = {"created < ?": older_than, "json_extract(reply, '$.model') = ?": model}
    parts = {condition: value for condition, value in parts.items() if value is not None}
    return " AND ".join(["1", *parts]), list(parts.values())


def read_replay(path: Path) -> Iterator[tuple[dict[str, Any], Reply]]:
    """The questions and replies of a replay file. Raises DataError naming file and line."""
    try:
        with path.open(encoding="utf-8", errors="surrogatepass") as file:
            for number, line in enumerate(file, 1):
                try:
                    entry = json.loads(line)
                    yield entry["question"], from_json(entry["reply"])
                except (ValueError, LookupError, TypeError) as error:
                    raise DataError(
                        f"replay file {path}, line {number}: no question with its reply "
                        f"({type(error).__name__}: {error}); write the file anew with `recloop cache export`"
                    ) from None
    except OSError as error:
        raise DataError(f"replay file {path}: {error.strerror}") from None


def _opened(path: Path) -> sqlite3.Connection:
    # Several processes write: each waits for the others' commits, which take well under a second.
    connection = sqlite3.connect(path, timeout=60, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    # Without an fsync a commit: a kill loses nothing, a power cut at most the last replies, and neither harms the file.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(_TABLE)
    for index in _INDEXES:
        connection.execute(index)
    connection.commit()
    return connection


def _tell(futures: list[asyncio.Future[None]], failure: Exception | None) -> None:
    """Wake those who wait for a commit, in the event loop they live in."""

    def resolve(mine: list[asyncio.Future[None]]) -> None:
        for future in mine:
            if not future.done():
                future.set_exception(failure) if failure else future.set_result(None)

    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for future in futures:
        by_loop.setdefault(future.get_loop(), []).append(future)
    for loop, mine in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(resolve, mine)


def _row(key: bytes, parts: Parts, reply: Reply, created: float) -> Row:
    question = zlib.compress(canonical(parts).encode(errors="surrogatepass"), level=1)
    return key, *_places(parts), question, json.dumps(as_json(reply), separators=(",", ":")), created


def _question(deflated: bytes) -> dict[str, Any]:
    question: dict[str, Any] = json.loads(zlib.decompress(deflated).decode(errors="surrogatepass"))
    return question


def _places(parts: Parts) -> tuple[bytes, bytes]:
    messages = parts["messages"]
    return digest({"said": messages})[:8], digest({"said": messages[:1]})[:8]
