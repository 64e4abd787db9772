"""A log of one user: nobody has items that the user lacks, and no agent ends in a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from recloop.agents.agent import Agent
from recloop.agents.catalogue import item_texts
from recloop.agents.chat.offline import offline_chat
from recloop.agents.denoiser import Denoise, Denoiser
from recloop.agents.discriminator import Discriminate, Discriminator
from recloop.agents.generator import Generate, Generator
from recloop.agents.memory import tfidf_svd
from recloop.agents.pair_scorer import PairScorer
from recloop.recsys.data import Dataset

from tests.agents.contract import ran

LOG = pd.DataFrame({"user_id": ["only"] * 10, "item_id": [f"i{n}" for n in range(10)], "timestamp": range(10)})
TITLES = pd.DataFrame({"item_id": LOG["item_id"], "title": [f"red kite {n}" for n in range(10)]})
DATA = Dataset.of("one user", LOG, items=TITLES)
EMBED = tfidf_svd(list(item_texts(DATA).values()), size=4)


@pytest.mark.parametrize(
    "agent",
    [
        Denoiser(Denoise(), EMBED),
        Denoiser(Denoise(action="replace"), EMBED),
        Discriminator(Discriminate()),
        Discriminator(Discriminate(negatives="popularity", set_size=1)),
        Generator(Generate(), EMBED),
        Generator(Generate(quota=0.5), EMBED),
        Generator(Generate(mode="pairs"), EMBED),
        Generator(Generate(mode="cold_item"), EMBED),
        Generator(Generate(free=True), EMBED),
        PairScorer(),
    ],
    ids=lambda agent: f"{agent.name}-{getattr(agent.config, 'mode', '')}",
)
def test_every_task_of_a_log_of_one_user_ends_with_a_record(agent: Agent, tmp_path: Path) -> None:
    if not list(agent.tasks(DATA)):
        return
    records = ran(agent, DATA, offline_chat(list(item_texts(DATA).values())), EMBED, tmp_path)
    assert set(records["status"]) == {"ok"}
    folded = agent.fold(DATA, records)
    assert len(folded) == len(DATA)


@pytest.mark.parametrize("mode", ["next_item", "pairs"])
def test_who_has_every_item_is_not_asked_about_and_the_reason_says_so(mode: Any) -> None:
    agent = Generator(Generate(mode=mode), EMBED)
    assert not list(agent.tasks(DATA))
    assert "an item left that they have not had" in agent.no_tasks_reason(DATA)
