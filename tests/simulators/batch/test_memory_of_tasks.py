"""A memory in process belongs to one task; one on disk is the run's."""

from pathlib import Path

from recloop.agents.agent import Task
from recloop.agents.chat.scripted import scripted_chat
from recloop.agents.memory import ChromaMemory, ListMemory, Memo
from recloop.simulators.studies.step_tools import tools_of

from tests.agents.memory_contract import MemoryContract

MEMO = Memo("user:1", "profile", "likes ships")


def recalled(memory: ChromaMemory | ListMemory) -> list[int]:
    """How many memos two tasks find, after the first has written one."""
    tools_for = tools_of(scripted_chat([]), memory)
    first, second = tools_for(Task("user:1", {})).memory, tools_for(Task("user:1 again", {})).memory
    first.remember([MEMO])
    return [len(task.recall("user:1", "ships", 5, now=1)) for task in (first, second)]


def test_what_a_task_remembers_in_process_goes_with_the_task() -> None:
    assert recalled(ListMemory(MemoryContract.embed)) == [1, 0]


def test_what_is_remembered_on_disk_stays_for_the_run(tmp_path: Path) -> None:
    with ChromaMemory(MemoryContract.embed, path=tmp_path) as memory:
        assert recalled(memory) == [1, 1]
