"""The leak test: nothing of a validation or test side reaches any request, by any path, and the test would notice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from recloop.agents.catalogue import item_texts
from recloop.agents.chat.loopback import Loopback
from recloop.agents.chat.offline import offline_chat
from recloop.agents.chat.question import canonical, parts_of
from recloop.agents.chat.types import Chat, Reply, Request
from recloop.agents.memory import tfidf_svd
from recloop.agents.setwise import Setwise, SetwiseAgent
from recloop.recsys.data import Dataset, Split
from recloop.recsys.data.data_config import DataConfig
from recloop.recsys.data.sources import load
from recloop.recsys.data.splits import leave_last_out
from recloop.simulators.studies.run import run
from recloop.simulators.studies.study import Study

from tests.agents.contract import ran
from tests.agents.setwise.walks import Person, wrong
from tests.agents.worlds import CANARY, held_out_only, small_world, with_another_future, with_canary

CONFIG = Setwise(walk=2, rounds=2, notes=3, set_size=4, stride=2)


class Listening:
    """Passes requests on and keeps all that a model or `offline` could read of them."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self.heard: list[str] = []
        self.asked: list[str] = []
        self.kinds: set[str] = set()

    async def __call__(self, request: Request) -> Reply:
        assert request.facts is not None
        self.kinds.add(request.facts.kind)
        parts = canonical(parts_of(request, endpoint="", model=""))
        self.asked.append(parts)
        self.heard.append(parts + json.dumps(dict(request.facts.values), ensure_ascii=False, default=str))
        return await self.chat(request)


def offline(data: Dataset) -> Chat:
    return offline_chat(list(item_texts(data).values()))


def always_wrong(data: Dataset) -> Chat:
    """Errs each time, so that every path is walked to its end."""
    order = {text: place for place, text in enumerate(item_texts(data).values())}
    person = Person(liking=lambda profile, text: wrong(profile, text) - order.get(text, 0) % 7)

    async def chat(request: Request) -> Reply:
        return Reply(person(request), "person")

    return chat


def requests(data: Dataset, chat: Chat, folder: Path, config: Setwise = CONFIG) -> Listening:
    """Everything that all tasks on `data` ask, one task after the other."""
    listening = Listening(chat)
    embed = tfidf_svd(list(item_texts(data).values()), size=16)
    records = ran(SetwiseAgent(config, embed=embed), data, listening, embed, folder, concurrency=1)
    assert set(records["status"]) == {"ok"}
    assert listening.kinds == {"describe", "assess", "revise_profile", "revise_items"}
    return listening


# --- canaries ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chat", [offline, always_wrong])
@pytest.mark.parametrize("negatives", ["uniform", "popularity"])
def test_items_of_the_held_out_sides_are_in_no_request(
    chat: Callable[[Dataset], Chat], negatives: str, tmp_path: Path
) -> None:
    split = leave_last_out(with_canary(small_world()))
    assert held_out_only(split).sum() >= 3
    config = CONFIG.model_copy(update={"negatives": negatives})
    listening = requests(split.train, chat(split.train), tmp_path, config)
    assert len(listening.heard) > 100
    assert not [heard for heard in listening.heard if CANARY in heard]


def test_an_agent_that_is_handed_everything_is_caught_by_the_canary(tmp_path: Path) -> None:
    data = with_canary(small_world())
    listening = requests(data, offline(data), tmp_path)
    assert any(CANARY in heard for heard in listening.heard)


# --- another future ---------------------------------------------------------------------------------------------------


def futures() -> tuple[Dataset, Dataset]:
    """Two logs with equal train sides and unequal held-out sides."""
    one, other = small_world(), with_another_future(small_world())
    first, second = leave_last_out(one), leave_last_out(other)
    assert first.train.fingerprint == second.train.fingerprint
    assert first.valid.fingerprint != second.valid.fingerprint
    assert first.test.fingerprint != second.test.fingerprint
    return one, other


@pytest.mark.parametrize("chat", [offline, always_wrong])
def test_another_future_changes_no_byte_of_any_request(chat: Callable[[Dataset], Chat], tmp_path: Path) -> None:
    heard = []
    for place, data in enumerate(futures()):
        train = leave_last_out(data).train
        heard.append(requests(train, chat(train), tmp_path / str(place)).heard)
    assert heard[0] == heard[1]


def test_an_agent_that_is_handed_everything_is_caught_by_another_future(tmp_path: Path) -> None:
    heard = [requests(data, offline(data), tmp_path / str(n)).asked for n, data in enumerate(futures())]
    assert sorted(heard[0]) != sorted(heard[1])


@pytest.mark.parametrize("one_row", ["valid", "test"])
def test_one_held_out_row_that_slips_into_train_is_noticed(one_row: str, tmp_path: Path) -> None:
    """The invariance holds for whole sides; here it is shown to break for a single interaction."""
    split = leave_last_out(small_world())
    slipped = getattr(split, one_row).interactions.iloc[[0]]
    train = split.train
    leaky = train.with_(interactions=pd.concat([train.interactions, slipped], ignore_index=True))
    clean = requests(train, offline(train), tmp_path / "clean").asked
    assert requests(leaky, offline(train), tmp_path / "leaky").asked != clean


# --- the whole study --------------------------------------------------------------------------------------------------


async def sent_by_a_study(source: str, out: Path, seed: int = 0) -> list[str]:
    """The bodies that `recloop run` sends to a server on this machine."""
    async with Loopback(keep=True) as server:
        study = Study.model_validate(
            {
                "name": "leak",
                "data": {"source": f"tests.agents.worlds:{source}", "seed": seed},
                "llm": {"provider": "openai", "model": "loopback", "base_url": server.url, "concurrency": 4},
                "memory": {"store": "process"},
                "steps": [{"setwise": {"walk": 2, "rounds": 1}}],
                "train": {"models": ["popularity"], "seeds": [0]},
                "evaluate": {"metrics": ["ndcg@10"], "groups": [], "controls": [], "draws": 100},
                "out": out,
            }
        )
        verdict = await asyncio.to_thread(run, study)
        assert not verdict.stopped
        return sorted(canonical(body) for body in server.bodies)


async def test_a_whole_study_sends_nothing_of_the_held_out_sides(tmp_path: Path) -> None:
    sent = await sent_by_a_study("canary_source", tmp_path)
    assert len(sent) > 100
    assert not [body for body in sent if CANARY in body]


async def test_a_whole_study_of_another_future_sends_the_same_bytes(tmp_path: Path) -> None:
    futures()
    first = await sent_by_a_study("source_by_seed", tmp_path / "one", seed=0)
    assert await sent_by_a_study("source_by_seed", tmp_path / "other", seed=1) == first


async def test_a_study_whose_split_leaks_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def leaky(config: DataConfig) -> Split:
        data = load(config)
        return Split(data, *(getattr(leave_last_out(data), side) for side in ("valid", "test")))

    monkeypatch.setattr("recloop.simulators.studies.run.load_split", leaky)
    assert any(CANARY in body for body in await sent_by_a_study("canary_source", tmp_path))
