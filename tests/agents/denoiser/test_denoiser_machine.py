"""The machine in worlds of two tastes: what is doubted goes, what replaces it must convince or is rolled back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from recloop.agents.agent import Tools
from recloop.agents.chat.likelihood import Scored, ScoringRequest, scripted_likelihood
from recloop.agents.chat.offline import offline_chat
from recloop.agents.chat.types import Chat, Reply, Request
from recloop.agents.denoiser import Denoise, Denoiser
from recloop.agents.memory import ListMemory, tfidf_svd
from recloop.agents.tuning import doubt_question, find_question, next_doubts, next_questions
from recloop.errors import ConfigError, DataError
from recloop.recsys.data import Dataset
from recloop.simulators.batch.records import read_records
from recloop.simulators.batch.runner import run_batch

from tests.recsys.denoising.worlds import EACH, strangers, tastes

EMBED = tfidf_svd(["kite wind line", "robot tin gear", "kite", "robot"], size=2)
STRANGER = [0, 1, 2, EACH, 3, 4, 5, 6]


def payload_of(agent: Denoiser, data: Dataset, chat: Chat, user: str = "u0") -> dict[str, Any]:
    import asyncio

    task = next(task for task in agent.tasks(data) if task.key == f"user:{user}")
    tools = Tools(chat, ListMemory(EMBED))
    return asyncio.run(agent.graph().ainvoke(dict(task.state), context=tools))["payload"]


def offline(data: Dataset) -> Chat:
    return offline_chat(data.items["title"].tolist())


def verdicts(payload: Mapping[str, Any]) -> list[str]:
    return [row["verdict"] for row in payload["rows"]]


@pytest.fixture(scope="module")
def world() -> Dataset:
    return tastes([STRANGER])


def test_the_stranger_goes_and_nothing_else(world: Dataset) -> None:
    told = payload_of(Denoiser(Denoise(), EMBED), world, offline(world))
    assert verdicts(told) == ["keep"] * 3 + ["remove"] + ["keep"] * 4
    row = told["rows"][3]
    assert (row["at"], row["item"], row["weight"]) == (3, EACH, 1.0)
    assert row["reason"] == "mean likeness of words to the others 0.00"
    assert row["score"] > 0.9


def test_a_replacement_comes_from_the_users_own_taste_and_is_looked_at_again(world: Dataset) -> None:
    told = payload_of(Denoiser(Denoise(action="replace"), EMBED), world, offline(world))
    row = told["rows"][3]
    assert row["verdict"] == "replace"
    assert row["new"] < EACH
    assert row["new"] not in STRANGER
    assert row["after"] < row["doubt"]
    assert not row["rolled_back"]


def scripted(doubts: list[dict[str, float]], world: Dataset) -> Chat:
    """`offline`, but for reviews: the n-th gives the item whose text holds the word the doubt told."""
    base, reviews = offline(world), iter(doubts)

    async def chat(request: Request) -> Reply:
        assert request.facts is not None
        if request.facts.kind != "review":
            return await base(request)
        said = next(reviews)
        rows = [
            {"item": h, "reason": "", "doubt": next((d for word, d in said.items() if word in text), 0.0)}
            for h, text in request.facts.values["options"].items()
        ]
        return Reply(json.dumps({"reason": "", "doubts": rows}), "scripted")

    return chat


def test_a_replacement_that_is_doubted_no_less_is_rolled_back(world: Dataset) -> None:
    agent = Denoiser(Denoise(action="replace"), EMBED)
    stranger = f"model{EACH}"
    named = payload_of(agent, world, offline(world))["rows"][3]["new"]
    worse = scripted([{stranger: 0.9}, {f"model{named}": 0.9}], world)
    row = payload_of(agent, world, worse)["rows"][3]
    assert (row["verdict"], row["rolled_back"], row["after"]) == ("keep", True, 0.9)
    better = scripted([{stranger: 0.9}, {f"model{named}": 0.89}], world)
    assert payload_of(agent, world, better)["rows"][3]["verdict"] == "replace"


def test_long_sequences_are_judged_in_even_windows() -> None:
    data = tastes([[at % EACH for at in range(25)]])
    state = dict(next(iter(Denoiser(Denoise(window=11)).tasks(data.rows(data.user == 1)))).state)
    assert [len(window) for window in state["windows"]] == [9, 8, 8]
    assert [at for window in state["windows"] for at in window] == list(range(25))


def test_the_whole_title_tells_apart_what_the_first_token_does_not(world: Dataset) -> None:
    """All kites and the robot begin alike; only later tokens say which is the stranger."""

    def script(question: ScoringRequest) -> list[list[float]]:
        return [[-1.0, -0.1 if "robot" in text else -3.0, -0.1] for text in question.continuations]

    def doubts(token: str) -> list[float]:
        agent = Denoiser(Denoise(mode="likelihood", token=token), EMBED, likelihood=scripted_likelihood(script))  # type: ignore[arg-type]
        return [row["doubt"] for row in payload_of(agent, world, offline(world))["rows"]]

    whole, first = doubts("whole"), doubts("first")
    assert np.argmax(whole) == 3
    assert len(set(first)) == 1


def test_a_title_is_weighed_to_its_closing_quote(world: Dataset) -> None:
    asked: list[ScoringRequest] = []

    def script(question: ScoringRequest) -> list[list[float]]:
        asked.append(question)
        return [[-1.0]] * len(question.continuations)

    payload_of(
        Denoiser(Denoise(mode="likelihood"), EMBED, likelihood=scripted_likelihood(script)), world, offline(world)
    )
    assert asked[0].begun.endswith('"')
    assert asked[0].continuations[3] == f'{world.items["title"][EACH]}"'


@pytest.mark.parametrize("question", ["find", "judge", "next"])
def test_a_tuned_model_is_asked_in_the_words_it_has_learnt_and_over_titles_alone(world: Dataset, question: str) -> None:
    """The robot is the stranger: most likely as the noise, No by the kites, and none the likelier after them."""
    asked: list[ScoringRequest] = []

    def script(question: ScoringRequest) -> list[list[float]]:
        asked.append(question)
        if question.continuations == ("Yes", "No"):
            strange = "robot" in str(question.prompt[-1]).split("take this one?")[1]
            return [[-3.0], [-0.1]] if strange else [[-0.1], [-3.0]]
        if "comes next?" in str(question.prompt[-1]):
            known = "kite" in str(question.prompt[-1])
            return [[-2.0, -1.0] if known and "robot" not in text else [-3.0, -1.0] for text in question.continuations]
        return [[-0.1 if "robot" in text else -3.0] for text in question.continuations]

    config = Denoise(mode="likelihood", question=question)  # type: ignore[arg-type]
    rows = payload_of(Denoiser(config, EMBED, likelihood=scripted_likelihood(script)), world, offline(world))["rows"]
    assert np.argmax([row["doubt"] for row in rows]) == 3
    titles = [world.items["title"][item] for item in STRANGER]
    told = {"find": [find_question(titles)], "judge": [doubt_question(titles, at) for at in range(len(titles))]}
    assert asked == (told | {"next": next_questions(titles)})[question]


def test_a_title_that_the_others_make_likelier_is_doubted_less_whatever_its_length() -> None:
    def row(*logprobs: float) -> tuple[Scored, ...]:
        return (Scored("x", ("t",) * len(logprobs), logprobs),)

    alone = (*row(-2.0, -2.0), *row(-5.0), *row(-1.0, -1.0, -1.0))
    told = next_doubts([row(-1.0, -1.0), row(-5.0), row(-2.0, -2.0, -2.0), alone])
    assert told == pytest.approx([1 / (1 + math.e), 0.5, math.e / (1 + math.e)])
    assert next_doubts([row(0.0), row(-1e9)]) == pytest.approx([0.0])
    assert next_doubts([row(-1e9), row(0.0)]) == pytest.approx([1.0])


def test_tuned_words_without_likelihood_are_refused() -> None:
    with pytest.raises(ValueError, match="needs mode likelihood"):
        Denoise(question="find")


def test_likelihood_without_a_model_that_weighs_is_refused(world: Dataset) -> None:
    with pytest.raises(ConfigError, match=r"llm\.provider local"):
        payload_of(Denoiser(Denoise(mode="likelihood"), EMBED), world, offline(world))


def test_only_hard_candidates_are_asked_about_and_the_profile_forgets_what_is_wrong(world: Dataset) -> None:
    losses = np.full((3, len(world)), 0.1)
    start = int(world.indptr[1])
    losses[:, start + 3] = [4.0, 1.0, 3.0]
    losses[:, start + 5] = [4.0, 1.2, 3.0]
    hard = {"high": 2 / len(world), "vary": 1.0, "flagged_epochs": 1}
    agent = Denoiser(Denoise(mode="hard_samples", hard=hard, threshold=0.6), EMBED, losses=losses)
    assert [task.key for task in agent.tasks(world)] == ["user:u0"]
    told = payload_of(agent, world, offline(world))
    assert [row["at"] for row in told["rows"]] == [3, 5]
    assert verdicts(told) == ["remove", "keep"]
    assert "robot" not in told["profile"]
    assert "kite" in told["profile"]
    with pytest.raises(DataError, match="losses of 3 rows"):
        list(Denoiser(agent.config, EMBED, losses=losses[:, :3]).tasks(world))


def test_a_rating_is_not_held_against_a_review() -> None:
    with pytest.raises(ValidationError, match="action replace needs mode review"):
        Denoise(mode="hard_samples", action="replace")


# --- fold -------------------------------------------------------------------------------------------------------------


def ran(agent: Denoiser, data: Dataset, folder: Any) -> Any:
    chat, memory = offline(data), ListMemory(EMBED)
    run_batch(agent, data, lambda task: Tools(chat, memory), folder, seed=0)
    return read_records(folder)


@pytest.mark.parametrize("action", ["remove", "replace", "weight"])
def test_every_edit_is_in_its_place_with_its_origin(action: str, tmp_path: Any) -> None:
    data, noise = strangers()
    agent = Denoiser(Denoise(action=action), EMBED)  # type: ignore[arg-type]
    records = ran(agent, data, tmp_path)
    folded = agent.fold(data, records)
    edited = (folded.interactions["origin"] != "raw").to_numpy()
    assert edited[noise].mean() > 0.5
    assert edited[~noise & (data.user > 0)].mean() < 0.05
    match action:
        case "remove":
            assert (folded.weight[edited] == 0).all()
        case "weight":
            assert (folded.weight[edited] == 0.5).all()
        case _:
            assert (folded.item[edited] != data.item[edited]).all()
            assert folded.interactions["was"].to_numpy()[edited].tolist() == data.item[edited].tolist()
    untouched = folded.interactions[~edited]
    pd.testing.assert_frame_equal(untouched[list(data.interactions)], data.interactions[~edited])
    assert (data.weight == 1).all(), "the data that is folded into stays as it was"
    assert agent.report(data, records)["judged"] == len(data)


def test_records_of_other_data_are_refused(tmp_path: Any) -> None:
    data, _ = strangers()
    agent = Denoiser(Denoise(), EMBED)
    records = ran(agent, data, tmp_path)
    with pytest.raises(DataError, match="fold it into the data that was asked about"):
        agent.fold(strangers(seed=4)[0], records)
