"""A bench on a small bazaar whose model is any scripted chat, and the folder of recorded answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from recloop.agents.chat.scripted import scripted_chat
from recloop.agents.chat.types import Request
from recloop.recsys.data import together
from recloop.recsys.data.sources import load_split
from recloop.simulators.fidelity.bench import FidelityBench
from recloop.simulators.studies.agent_runner import open_runner
from recloop.simulators.studies.study import Study

DATA = {"source": "bazaar", "n_users": 300, "n_items": 300, "split": {"leave_last_out": {"valid": 0, "test": 10}}}
MakeBench = Callable[..., Any]


@pytest.fixture
def replies(shared_data: Path) -> Path:
    folder = shared_data.parent / "replies"
    if not folder.is_dir():
        pytest.fail(f"recorded answers not found at {folder}")
    return folder


@pytest.fixture
def a_study(tmp_path: Path) -> Callable[..., Study]:
    def made(**fidelity: Any) -> Study:
        data = fidelity.pop("data", DATA)
        steps = fidelity.pop("steps", [{"setwise": {"walk": 2, "rounds": 1}}])
        llm = fidelity.pop("llm", {})
        return Study(name="believable", data=data, llm=llm, steps=steps, fidelity=fidelity, out=tmp_path)

    return made


@pytest.fixture
def a_bench(a_study: Callable[..., Study]) -> MakeBench:
    @asynccontextmanager
    async def opened(answer: Callable[[Request], Any] | None = None, **fidelity: Any) -> AsyncIterator[FidelityBench]:
        study = a_study(**fidelity)
        split = load_split(study.data)
        async with open_runner(study, together(split.train, split.valid)) as asked:
            if answer is not None:
                asked.chat = scripted_chat(answer)
            yield FidelityBench(study, study.fidelity, split, asked)

    return opened
