"""What judgements change: rows below the cut go, noise counts less, and who is not believed changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from recloop.agents.agent import Records
from recloop.agents.catalogue import item_texts
from recloop.agents.chat.scripted import scripted_chat
from recloop.agents.chat.types import Chat, Request
from recloop.agents.discriminator import Cut, Discriminate, Discriminator, Noise
from recloop.agents.fusion import added, is_generated
from recloop.agents.memory import tfidf_svd
from recloop.recsys.data import Dataset
from recloop.recsys.data.bazaar import world

from tests.agents.contract import ran

WORLD = world(3, users=40, items=120, noise=0.15)


@pytest.fixture(scope="module")
def data() -> Dataset:
    """A world to which good and bad rows were added: what users like best, and what they like least."""
    whole, rows = WORLD.dataset, []
    for user in range(whole.n_users):
        open_ = np.setdiff1d(np.flatnonzero(whole.item_counts), whole.history(user))
        order = open_[np.argsort(WORLD.affinity(user, open_))]
        rows += [(user, int(item), 0.5, f"user:{user}") for item in (*order[:2], *order[-2:])]
    return added(whole, pd.DataFrame(rows, columns=["user", "item", "confidence", "record"]), "generate")


def knowing(data: Dataset, sharp: float) -> Chat:
    """Judges by the true taste of the user whose history is shown; sharp 0 says the same of everything."""
    codes = {text: item for item, text in item_texts(data).items()}
    taste = {frozenset(data.history(u).tolist()): u for u in range(data.n_users)}

    def user_of(history: list[int]) -> int:
        return max(taste.items(), key=lambda pair: len(pair[0] & set(history)))[1]

    def answer(request: Request) -> str:
        shown: Any = request.facts.values  # type: ignore[union-attr]
        user = user_of([codes[text] for text in shown["history"]])
        told = []
        for name, text in shown["options"].items():
            sure = 0.5 + sharp * (float(WORLD.affinity(user, codes[text], 0.5)) - 0.3)
            sure = min(0.99, max(0.01, sure))
            told.append({"item": name, "answer": "yes" if sure >= 0.5 else "no", "confidence": max(sure, 1 - sure)})
        return json.dumps({"reason": "", "judgements": told})

    return scripted_chat(answer)


def judged(data: Dataset, folder: Path, sharp: float = 1.0, **settings: Any) -> tuple[Discriminator, Records]:
    agent = Discriminator(Discriminate(calibration_users=40, **settings))
    embed = tfidf_svd(list(item_texts(data).values()), size=8)
    records = ran(agent, data, knowing(data, sharp), embed, folder)
    assert set(records["status"]) == {"ok"}
    return agent, records


@pytest.fixture(scope="module")
def sound(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Discriminator, Records]:
    return judged(data, tmp_path_factory.mktemp("sound"))


def changed(agent: Discriminator, **settings: Any) -> Discriminator:
    return Discriminator(agent.config.model_copy(update=settings))


def test_what_suits_stays_and_what_does_not_goes(data: Dataset, sound: tuple[Discriminator, Records]) -> None:
    agent, records = sound
    folded = agent.fold(data, records)
    told = agent.report(data, records)
    assert told["calibration"]["auc"] > 0.75
    assert told["calibration"]["informative"]
    before, after = is_generated(data), is_generated(folded)
    suits = WORLD.affinity(folded.user[after], folded.item[after])
    assert 20 < after.sum() < before.sum() / 2 + 10
    assert suits.mean() > 2 * WORLD.affinity(data.user[before], data.item[before]).mean() * 0.8
    assert suits.min() > 0.2
    rates = told["acceptance"]
    made = [rates[f"generated_{side}"] for side in ("head", "tail")]
    assert sum(one["judged"] for one in made) == before.sum()
    assert sum(one["accepted"] for one in made) == after.sum()


def test_noise_is_down_weighted_says_who_did_it(data: Dataset, sound: tuple[Discriminator, Records]) -> None:
    agent, records = changed(sound[0], noise=Noise(quantile=0.15, weight=0.25)), sound[1]
    folded = agent.fold(data, records)
    rows = folded.interactions
    weak = (rows["weight"] == 0.25).to_numpy()
    noise = WORLD.noise_in(folded)
    assert noise[weak].mean() > 2 * noise[~is_generated(folded)].mean()
    assert set(rows.loc[weak, "origin"]) == {"reweighted"}
    assert set(rows.loc[weak, "agent"]) == {"discriminate"}
    assert set(rows.loc[weak, "record"]) <= set(records["key"])


def test_removed_noise_weighs_nothing_and_stays_in_its_place(
    data: Dataset, sound: tuple[Discriminator, Records]
) -> None:
    agent = changed(sound[0], noise=Noise(action="remove", quantile=0.15))
    rows = agent.fold(data, sound[1]).interactions
    gone = rows["weight"] == 0
    assert gone.sum() > 10
    assert set(rows.loc[gone, "origin"]) == {"removed"}
    assert (~is_generated(agent.fold(data, sound[1]))).sum() == len(WORLD.dataset)


def test_the_word_of_a_judge_who_says_the_same_of_everything_keeps_nothing(data: Dataset, tmp_path: Path) -> None:
    agent, records = judged(data, tmp_path, sharp=0.0)
    told = agent.report(data, records)["calibration"]
    assert told["auc"] == 0.5
    assert not told["informative"]
    folded = agent.fold(data, records)
    assert not is_generated(folded).any()
    assert (folded.weight == 1).all()
    trusting = changed(agent, cut=Cut(untested="keep"))
    assert is_generated(trusting.fold(data, records)).sum() == is_generated(data).sum()


def test_a_generated_row_without_an_answer_does_not_stay(data: Dataset, sound: tuple[Discriminator, Records]) -> None:
    agent, records = sound
    lost = records.copy()
    lost.loc[lost["key"] == "user:u0000", ["status", "payload"]] = ["failed", ""]
    folded = agent.fold(data, lost)
    assert not (is_generated(folded) & (folded.user == 0)).any()
    only_real = changed(agent, judge=("real",))
    assert (is_generated(only_real.fold(data, lost)) & (data.user == 0)).sum() == 4


def test_no_set_shows_what_it_asks_about_and_every_row_is_asked_once(data: Dataset) -> None:
    agent = Discriminator(Discriminate(calibration_users=5, set_size=4))
    for task in agent.tasks(data):
        asked = [(row["item"], row["role"]) for one in task.state["sets"] for row in one["rows"]]
        assert len(set(asked)) == len(asked)
        for one in task.state["sets"]:
            items = {row["item"] for row in one["rows"]}
            assert one["history"]
            assert not items & set(one["history"])
            assert len(items) <= 4
        if task.state["purpose"] == "judge":
            user = int(str(task.state["user"])[1:])
            assert {item for item, role in asked if role == "real"} == set(WORLD.dataset.history(user).tolist())


def test_the_prompt_does_not_tell_real_from_made_up(data: Dataset, tmp_path: Path) -> None:
    """Roles stand in the task and in the record only."""
    heard: list[str] = []
    agent = Discriminator(Discriminate(calibration_users=2, folds=2, users=3))
    chat = knowing(data, 1.0)

    async def listening(request: Request) -> Any:
        heard.extend(message.content for message in request.messages)
        return await chat(request)

    ran(agent, data, listening, tfidf_svd(list(item_texts(data).values()), size=8), tmp_path)
    assert heard
    for word in ("generated", "negative", "synthetic", "role"):
        assert not [text for text in heard if word in text]
