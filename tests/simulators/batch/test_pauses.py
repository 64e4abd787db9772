"""What stood in memory before a run is set aside from the garbage collector, and taken back."""

import gc

from recloop.simulators.batch.gc_freeze import few_pauses


def test_what_was_there_before_is_set_aside_until_the_last_block_ends() -> None:
    first, second = few_pauses(), few_pauses()
    with first:
        assert gc.get_freeze_count() > 1_000
        second.__enter__()
    assert gc.get_freeze_count() > 1_000
    second.__exit__(None, None, None)
    assert gc.get_freeze_count() == 0


def test_garbage_made_inside_is_still_collected() -> None:
    class Node:
        def __init__(self) -> None:
            self.itself = self

    with few_pauses():
        made = len([x for x in gc.get_objects() if isinstance(x, Node)])
        for _ in range(10):
            Node()
        gc.collect()
        assert len([x for x in gc.get_objects() if isinstance(x, Node)]) == made
