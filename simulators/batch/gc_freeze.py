"""`few_pauses`: Python's garbage collector looks at what a run makes, not at all that was there before it.

A process that has torch, chromadb and a catalogue loaded holds more than a million objects, and each full collection
walks all of them: 0.2 s a time, 8 % of a run with 64 requests in flight (measured), in which no reply is taken in.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_inside = 0


@contextmanager
def few_pauses() -> Iterator[None]:
    """Sets aside what is there now (`gc.freeze`) while the block runs, and takes it back at the end.

    Blocks may be nested or overlap, as runs in one event loop do: the last one to end takes it back.
    """
    global _inside
    gc.freeze()
    _inside += 1
    try:
        yield
    finally:
        _inside -= 1
        if not _inside:
            gc.unfreeze()
