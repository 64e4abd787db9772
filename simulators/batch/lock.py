"""One writer a run, or one a shard: locks the system drops by itself when their process dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ...errors import RunError
from .records import Shard

PATIENCE = 10.0
"""Seconds to wait for workers that are about to notice that their parent is dead."""


@contextmanager
def locked(path: Path, *, wait: float = 0.0, shared: bool = False) -> Iterator[None]:
    """Hold `path` while the block runs, after waiting at most `wait` seconds for whoever holds it.

    Any number of `shared` holders get along with each other, and with no other holder.

    `flock` belongs to the open file, so the lock of a dead process is free at once; the pid and host written into the
    file are for the message only. Raises RunError while another process (or thread) holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(descriptor, path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, time.monotonic() + wait)
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, kind: int, until: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                holder = path.read_text(encoding="utf-8").strip() or "another process"
                raise RunError(
                    f"{path.parent} is being written by {holder}; wait for it, stop it, or choose another folder"
                ) from None
            time.sleep(0.05)


@contextmanager
def writing(folder: Path, shard: Shard | None) -> Iterator[None]:
    """Hold a run folder as the only writer of `shard`, or of all of it (None).

    Who writes all of it also waits out the workers of a sharded run whose parent was killed a moment ago. Raises
    RunError while another process writes.
    """
    with ExitStack() as held:
        if shard is None:
            held.enter_context(locked(folder / "run.lock"))
            with locked(folder / "shards.lock", wait=PATIENCE):
                pass
        else:
            held.enter_context(locked(folder / "shards.lock", wait=PATIENCE, shared=True))
            held.enter_context(locked(folder / f"shard-{shard[0]}.lock", wait=PATIENCE))
        yield
