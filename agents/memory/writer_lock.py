"""One writer a folder: a lock that goes with its process, however that ends."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ...errors import RunError


class WriterLock:
    """Held from construction to `release`; RunError where another process, or another memory of this one, holds it.

    Chroma gives no such warning: two processes in one folder each keep an index of their own and miss the other's rows.
    SQLite's exclusive lock is the one of the standard library that all systems have, that no crash leaves behind and
    that a forked child does not inherit.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                folder / "writer.lock", timeout=0.0, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.OperationalError) as error:
            raise RunError(f"memory folder {folder} cannot be written: {error}; name another `path`") from error
        try:
            self._connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            self._connection.close()
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise RunError(f"memory folder {folder} cannot be locked: {error}; name another `path`") from error
            raise RunError(
                f"memory folder {folder}: another writer has it open, and it takes one only. Close that one, or let "
                f"both share a server: `chroma run --path {folder}`, and its address as `url`"
            ) from error

    def release(self) -> None:
        self._connection.close()
