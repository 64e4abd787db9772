"""Where confidence comes from: token log-probabilities, what the model states, or votes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from recloop.agents.agent import Tools
from recloop.agents.chat.build import build_chat
from recloop.agents.chat.config import LLMConfig
from recloop.agents.chat.loopback import Loopback
from recloop.agents.chat.replay import replay_chat
from recloop.agents.chat.replies import Replies
from recloop.agents.chat.scripted import scripted_chat
from recloop.agents.chat.types import Chat, Reply, Request, Sampling
from recloop.agents.discriminator import Discriminate, Discriminator
from recloop.agents.discriminator.confidence import by_tokens, share, stated
from recloop.agents.memory import ListMemory
from recloop.errors import ConfigError, ModelUnavailable

from tests.agents.worlds import small_world

LOG = math.log


def said(*tokens: str | tuple[str, float, dict[str, float]]) -> Reply:
    """A reply of these tokens; a triple names its probability and those of its alternatives."""
    logprobs, others = [], []
    for token in tokens:
        text, p, more = token if isinstance(token, tuple) else (token, 1.0, {})
        logprobs.append((text, LOG(p)))
        others.append(((text, LOG(p)), *((other, LOG(q)) for other, q in more.items())))
    whole = tuple(others) if any(len(one) > 1 for one in others) else None
    return Reply("".join(text for text, _ in logprobs), "m", logprobs=tuple(logprobs), alternatives=whole)


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_p_yes_is_yes_over_yes_and_no() -> None:
    reply = said('{"answer": "', ("yes", 0.6, {"no": 0.2, "perhaps": 0.2}), '"}')
    assert by_tokens(reply, ["yes"]) == pytest.approx([0.75])


def test_a_no_counts_the_yes_beside_it() -> None:
    reply = said('{"answer": "', ("no", 0.7, {"yes": 0.3}), '"} {"answer":"', ("yes", 0.9, {"no": 0.1}), '"}')
    assert by_tokens(reply, ["no", "yes"]) == pytest.approx([0.3, 0.9])


@pytest.mark.parametrize("pieces", [('"answer": "ye', "s"), ('{"answer"', ': "y', "es"), ('{"answer": ', '"yes"')])
def test_tokens_may_cut_the_answer_anywhere(pieces: tuple[str, ...]) -> None:
    at = max(n for n, piece in enumerate(pieces) if "y" in piece)
    tokens = [(p, 0.8, {p.replace("yes", "no").replace("ye", "no").replace("y", "n"): 0.2}) if n == at else p
              for n, p in enumerate(pieces)]  # fmt: skip
    [found] = by_tokens(said(*tokens), ["yes"]) or [math.nan]
    assert found == pytest.approx(0.8, abs=0.01) or pieces[at].startswith('"answer')


def test_without_alternatives_what_is_left_is_the_other_answers() -> None:
    assert by_tokens(said('{"answer": "', ("yes", 0.9, {}), '"}'), ["yes"]) == pytest.approx([0.9])
    assert by_tokens(said('{"answer": "', ("no", 0.9, {}), '"}'), ["no"]) == pytest.approx([0.1])


def test_tokens_of_another_reply_are_not_read() -> None:
    assert by_tokens(said('{"answer": "', ("yes", 0.9, {}), '"}'), ["no"]) is None
    assert by_tokens(Reply('{"answer": "yes"}', "m"), ["yes"]) is None


def test_the_word_yes_in_a_reason_is_no_answer() -> None:
    reply = said('{"reason": "yes, "', ', "answer": "', ("no", 0.8, {"yes": 0.2}), '"}')
    assert by_tokens(reply, ["no"]) == pytest.approx([0.2])


def test_stated_confidence_and_votes() -> None:
    assert stated("yes", 0.9) == 0.9
    assert stated("no", 0.9) == pytest.approx(0.1)
    assert share([["yes", "no"], ["yes", "no"], ["no", "no"], ["yes", "yes"]]) == [0.75, 0.25]


# --- the machine ------------------------------------------------------------------------------------------------------


async def rows(chat: Chat, sampling: Sampling = Sampling(), **settings: Any) -> list[dict[str, Any]]:
    """What the first task's record says of its rows."""
    agent = Discriminator(Discriminate(calibration_users=2, folds=2, **settings), sampling)
    task = next(iter(agent.tasks(small_world())))
    final = await agent.graph().ainvoke(dict(task.state), context=Tools(chat, ListMemory(_nothing)))
    return list(final["payload"]["rows"])


def _nothing(texts: Any) -> Any:
    raise AssertionError("the discriminator remembers nothing")


_nothing.name = "nothing"  # type: ignore[attr-defined]


def answering(answer: str, confidence: float = 0.8) -> Any:
    def reply(request: Request) -> str:
        names = request.facts.values["options"]  # type: ignore[union-attr]
        told = [{"item": name, "answer": answer, "confidence": confidence} for name in reversed(names)]
        return json.dumps({"reason": "", "judgements": told})

    return reply


async def test_stated_scores_stand_in_where_a_server_gives_no_tokens() -> None:
    found = await rows(scripted_chat(answering("no", 0.8)))
    assert {row["by"] for row in found} == {"graded"}
    assert {row["confidence"] for row in found} == {0.2}


async def test_a_server_that_refuses_log_probabilities_is_asked_without() -> None:
    def refusing(request: Request) -> Any:
        if request.logprobs:
            return ModelUnavailable("400: logprobs are not supported with reasoning models", status=400)
        return answering("yes", 0.7)(request)

    found = await rows(scripted_chat(refusing))
    assert {(row["by"], row["confidence"]) for row in found} == {("graded", 0.7)}


async def test_another_refusal_is_raised() -> None:
    with pytest.raises(ModelUnavailable, match="context length"):
        await rows(scripted_chat(lambda _: ModelUnavailable("400: context length", status=400)))


async def test_votes_are_draws_and_their_share_is_the_confidence() -> None:
    drawn: list[int] = []

    def voting(request: Request) -> str:
        drawn.append(request.draw)
        return answering("yes" if request.draw < 3 else "no")(request)

    found = await rows(scripted_chat(voting), Sampling(temperature=1.0), confidence="votes", votes=4)
    assert {(row["by"], row["confidence"]) for row in found} == {("votes", 0.75)}
    assert sorted(set(drawn)) == [0, 1, 2, 3]


def test_votes_at_temperature_0_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"set llm.temperature above 0"):
        Discriminator(Discriminate(confidence="votes"))


async def test_tokens_come_over_the_wire_through_cache_and_replay(tmp_path: Path) -> None:
    async with Loopback(keep=True) as server:
        config = LLMConfig(provider="openai", model="loopback", base_url=server.url)
        with Replies(tmp_path / "replies.sqlite") as cache:
            first = await rows(build_chat(config, cache=cache))
            asked = server.counts["requests"]
            again = await rows(build_chat(config, cache=cache))
            assert server.counts["requests"] == asked
            cache.export(tmp_path / "replay.jsonl")
        assert all(body["logprobs"] and body["top_logprobs"] == 5 for body in server.bodies)
    replayed = await rows(replay_chat(tmp_path / "replay.jsonl"))
    assert {row["by"] for row in first} == {"logprobs"}
    assert first == again == replayed
    assert all(0 < row["confidence"] < 1 for row in first)
