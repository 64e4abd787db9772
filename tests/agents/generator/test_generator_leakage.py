"""Nothing of a held-out side reaches the generator or the discriminator, by any path, and the test would notice."""

from __future__ import annotations

from pathlib import Path

import pytest
from recloop.agents.agent import Agent
from recloop.agents.catalogue import item_texts
from recloop.agents.chat.offline import offline_chat
from recloop.agents.discriminator import Discriminate, Discriminator
from recloop.agents.generator import Generate, Generator
from recloop.agents.memory import Embedder, tfidf_svd
from recloop.recsys.data import Dataset
from recloop.recsys.data.groups import HeadConfig
from recloop.recsys.data.splits import leave_last_out

from tests.agents.contract import ran
from tests.agents.setwise.test_setwise_leakage import Listening, futures
from tests.agents.worlds import CANARY, held_out_only, small_world, with_canary

WIDE = HeadConfig(by="count", value=4)
CONFIGS = {
    "next_item": Generate(slate_size=30, proposals=10, pool=200, head=WIDE),
    "cold_item": Generate(mode="cold_item", slate_size=8, head=WIDE),
    "pairs": Generate(mode="pairs", slate_size=30),
    "free": Generate(free=True),
}


def heard(data: Dataset, config: Generate, folder: Path) -> list[str]:
    """All that is read of a study of generator and discriminator on `data`."""
    texts = list(item_texts(data).values())
    embed: Embedder = tfidf_svd(texts, size=16)
    listening = Listening(offline_chat(texts))
    steps: list[Agent] = [Generator(config, embed), Discriminator(Discriminate(calibration_users=10))]
    for place, agent in enumerate(steps):
        records = ran(agent, data, listening, embed, folder / str(place), concurrency=1)
        assert set(records["status"]) == {"ok"}
        data = agent.fold(data, records)
    return listening.heard


@pytest.mark.parametrize("mode", CONFIGS)
def test_items_of_the_held_out_sides_are_in_no_request(mode: str, tmp_path: Path) -> None:
    split = leave_last_out(with_canary(small_world()))
    assert held_out_only(split).sum() >= 3
    said = heard(split.train, CONFIGS[mode], tmp_path)
    assert len(said) > 30
    assert not [one for one in said if CANARY in one]


@pytest.mark.parametrize("mode", CONFIGS)
def test_an_agent_that_is_handed_everything_is_caught(mode: str, tmp_path: Path) -> None:
    assert any(CANARY in one for one in heard(with_canary(small_world()), CONFIGS[mode], tmp_path))


def test_targets_that_train_does_not_know_are_caught_too(tmp_path: Path) -> None:
    split = leave_last_out(with_canary(small_world()))
    assert any(CANARY in one for one in heard(split.train, Generate(mode="cold_item", unseen=True), tmp_path))


@pytest.mark.parametrize("mode", CONFIGS)
def test_another_future_changes_no_byte_of_any_request(mode: str, tmp_path: Path) -> None:
    one, other = futures()
    first = heard(leave_last_out(one).train, CONFIGS[mode], tmp_path / "one")
    assert heard(leave_last_out(other).train, CONFIGS[mode], tmp_path / "other") == first
