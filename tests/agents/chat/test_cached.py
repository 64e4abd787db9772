"""The cache: what gets in, what is found again, and what several askers and processes share."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from recloop.agents.chat.build import build_chat
from recloop.agents.chat.cached import cached
from recloop.agents.chat.config import LLMConfig
from recloop.agents.chat.loopback import Loopback
from recloop.agents.chat.question import differences, digest, key_of, parts_of
from recloop.agents.chat.replay import replay_chat
from recloop.agents.chat.replies import Replies
from recloop.agents.chat.scripted import scripted_chat
from recloop.agents.chat.types import Facts, Message, Reply, Request, Sampling, Usage
from recloop.errors import DataError, ModelUnavailable, ReplyInvalid, RunError


def ranked(*names: str) -> str:
    return json.dumps({"reason": "so", "ranking": [{"item": name, "score": 0.5} for name in names]})


GOOD = ranked("A", "B", "C")


def keeping(replies: Replies, chat, *, endpoint: str = "e", model: str = "m"):
    return cached(chat, replies, endpoint=endpoint, model=model)


async def test_a_second_asking_costs_no_call_and_tells_the_same(replies, question) -> None:
    calls = []
    first_reply = Reply(GOOD, "m-2026", usage=Usage(10, 5), cost=0.5, seconds=1.25, turns=2, repairs=1)

    def answer(request):
        calls.append(request)
        return first_reply

    chat = keeping(replies, scripted_chat(answer))
    first, second = await chat(question()), await chat(question())
    assert len(calls) == 1
    assert not first.cached
    assert second == replace(first, cached=True)


async def test_five_draws_are_five_entries_replayed_in_order(replies, question, tmp_path: Path) -> None:
    count = iter(range(100))
    chat = keeping(replies, scripted_chat(lambda _: ranked(*("ABC" if next(count) % 2 else "CBA"))))
    drawn = [await chat(question(draw=draw)) for draw in range(5)]
    assert replies.stats().entries == 5
    replies.export(tmp_path / "replay.jsonl")
    again = replay_chat(tmp_path / "replay.jsonl")
    assert [(await again(question(draw=draw))).text for draw in range(5)] == [reply.text for reply in drawn]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(GOOD, "m", finish_reason="length"),
        Reply(GOOD, "m", finish_reason="refusal"),
        Reply(GOOD, "m", finish_reason="other"),
        Reply("no JSON", "m"),
        Reply(f"```json\n{GOOD}\n```", "m"),
        Reply(ranked("A", "B"), "m"),
        Reply(ranked("A", "B", "Z"), "m"),
    ],
)
async def test_what_is_not_valid_passes_and_is_not_kept(replies, question, reply) -> None:
    chat = keeping(replies, scripted_chat([reply]))
    assert await chat(question()) == reply
    assert replies.stats().entries == 0


@pytest.mark.parametrize("error", [ModelUnavailable("away"), ReplyInvalid("no", kind="refused")])
async def test_an_error_is_not_kept(replies, question, error) -> None:
    chat = keeping(replies, scripted_chat([error, GOOD]))
    with pytest.raises(type(error)):
        await chat(question())
    assert (await chat(question())).text == GOOD


async def test_equal_questions_in_flight_are_one_call(replies, question) -> None:
    calls = 0

    async def slow(request):
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.02)
        return GOOD

    chat = keeping(replies, scripted_chat(slow))
    got = await asyncio.gather(*(chat(question()) for _ in range(50)))
    assert calls == 1
    assert {reply.text for reply in got} == {GOOD}
    assert sum(not reply.cached for reply in got) == 1


async def test_when_the_one_that_asks_is_cancelled_another_takes_over(replies, question) -> None:
    calls = 0

    async def slow(request):
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.02)
        return GOOD

    chat = keeping(replies, scripted_chat(slow))
    first, second = asyncio.ensure_future(chat(question())), asyncio.ensure_future(chat(question()))
    await asyncio.sleep(0.005)
    first.cancel()
    assert (await second).text == GOOD
    assert calls == 2


CHANGES = {
    "messages": {"messages": (Message("system", "You judge."), Message("user", "Question 1: rank the items."))},
    "sampling": {"sampling": Sampling(max_tokens=100)},
    "draw": {"draw": 1},
    "logprobs": {"logprobs": True},
    "schema": {"schema": None},
}


@pytest.mark.parametrize("part", CHANGES)
def test_every_part_of_a_question_is_in_its_key(question, part) -> None:
    one, other = question(), replace(question(), **CHANGES[part])
    assert key_of(one, endpoint="e", model="m") != key_of(other, endpoint="e", model="m")
    (said,) = differences(parts_of(other, endpoint="e", model="m"), parts_of(one, endpoint="e", model="m"))
    assert said.startswith(part)


def test_who_is_asked_is_in_the_key_and_who_asks_is_not(question) -> None:
    key = key_of(question(), endpoint="e", model="m")
    assert key != key_of(question(), endpoint="e2", model="m")
    assert key != key_of(question(), endpoint="e", model="m2")
    other = replace(question(), agent="another", prompt="x@1", facts=Facts("rank", {}))
    assert key == key_of(other, endpoint="e", model="m")


def test_the_key_is_the_digest_of_the_parts_that_an_export_shows(question) -> None:
    hostile = Request((Message("user", 'quo"tes \n \u2028 \ud800 \x00 é 千'),))
    for request in (question(), question(draw=3, logprobs=True), hostile):
        parts = parts_of(request, endpoint="https://h/v1", model='m"x')
        assert key_of(request, endpoint="https://h/v1", model='m"x') == digest(json.loads(json.dumps(parts)))


async def test_a_miss_is_explained_by_the_part_that_differs(replies, question) -> None:
    assert replies.explain(parts_of(question(), endpoint="e", model="m")) == ["the cache is empty"]
    chat = keeping(replies, scripted_chat(lambda _: GOOD))
    for number in range(5):
        await chat(question(number))
    assert replies.explain(parts_of(question(3), endpoint="e", model="m")) == []
    assert replies.explain(parts_of(question(3), endpoint="e2", model="m")) == ["endpoint: 'e2' asked, 'e' kept"]
    (said,) = replies.explain(parts_of(question(3, max_tokens=9), endpoint="e", model="m"))
    assert said == "sampling.max_tokens: 9 asked, 512 kept"
    (said,) = replies.explain(parts_of(question(77), endpoint="e", model="m"))
    assert said.startswith("messages[1] (user), character 9:")


async def test_an_export_taken_in_elsewhere_answers_the_same(replies, question, tmp_path: Path) -> None:
    chat = keeping(replies, scripted_chat(lambda _: GOOD))
    kept = [await chat(question(number)) for number in range(3)]
    assert replies.export(tmp_path / "out.jsonl") == 3
    with Replies(tmp_path / "other.sqlite") as other:
        assert other.import_(tmp_path / "out.jsonl") == 3
        assert other.import_(tmp_path / "out.jsonl") == 0
        again = keeping(other, scripted_chat([]))
        assert [await again(question(number)) for number in range(3)] == [replace(r, cached=True) for r in kept]
        other.export(tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "out.jsonl").read_bytes()


async def test_a_torn_import_names_its_line_and_takes_nothing(replies, tmp_path: Path, question) -> None:
    await keeping(replies, scripted_chat([GOOD]))(question())
    replies.export(tmp_path / "out.jsonl")
    (tmp_path / "torn.jsonl").write_text((tmp_path / "out.jsonl").read_text() + '{"question": ')
    with Replies(tmp_path / "other.sqlite") as other:
        with pytest.raises(DataError, match=r"torn\.jsonl, line 2"):
            other.import_(tmp_path / "torn.jsonl")
        assert other.stats().entries == 0


async def test_prune_takes_what_is_named(replies, question) -> None:
    for model in ("small", "large"):
        await keeping(replies, scripted_chat([GOOD], model=model), model=model)(question())
    assert replies.prune(model="small") == 1
    assert replies.stats().models == {"large": 1}
    assert replies.prune(older_than=0.0) == 0
    assert replies.prune(older_than=4e9) == 1


async def test_a_reply_is_on_disk_once_it_is_given(replies, question) -> None:
    await keeping(replies, scripted_chat([GOOD]))(question())
    other = sqlite3.connect(f"file:{replies.path}?mode=ro", uri=True)
    assert other.execute("SELECT count(*) FROM replies").fetchone() == (1,)
    other.close()


async def test_a_reply_that_utf8_cannot_carry_is_kept_and_comes_back(replies, tmp_path: Path) -> None:
    request = Request((Message("user", "lone \ud800"),))
    chat = keeping(replies, scripted_chat(["half a pair: \udc00 \x00"]))
    first = await asyncio.wait_for(chat(request), 5)
    assert (await chat(request)).text == first.text
    replies.export(tmp_path / "out.jsonl")
    assert (await replay_chat(tmp_path / "out.jsonl")(request)).text == first.text


def test_a_file_that_is_no_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are no replies, but notes of some length\n" * 100)
    with pytest.raises(RunError, match=r"notes\.txt"):
        Replies(tmp_path / "notes.txt")


FILL = """
import asyncio, sys
from pathlib import Path
from recloop.agents.chat.cached import cached
from recloop.agents.chat.replies import Replies
from recloop.agents.chat.scripted import scripted_chat
from recloop.agents.chat.types import Message, Request

async def run(path, start):
    with Replies(path) as replies:
        chat = cached(scripted_chat(lambda _: "yes"), replies, endpoint="e", model="m")
        await asyncio.gather(*(chat(Request((Message("user", str(n)),))) for n in range(start, start + 60)))

asyncio.run(run(Path(sys.argv[1]), int(sys.argv[2])))
"""


def test_several_processes_share_one_file(tmp_path: Path) -> None:
    path = tmp_path / "shared.sqlite"
    workers = [subprocess.Popen([sys.executable, "-c", FILL, str(path), str(start)]) for start in (0, 30, 60)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    with Replies(path) as replies:
        assert replies.stats().entries == 120


async def test_a_whole_chain_asks_a_repaired_question_once(tmp_path: Path, question) -> None:
    faults = {"wrong_schema": 0.15, "unknown_handle": 0.1, "not_json": 0.1}
    async with Loopback(faults=faults) as server:
        config = LLMConfig(provider="openai", model="m", base_url=server.url)
        with Replies(tmp_path / "replies.sqlite") as replies:
            chat = build_chat(config, cache=replies)
            asked = await asyncio.gather(*(chat(question(n)) for n in range(60)), return_exceptions=True)
            valid = [n for n, reply in enumerate(asked) if isinstance(reply, Reply)]
            assert any(asked[n].repairs for n in valid)
            assert replies.stats().entries == len(valid)
            requests = server.counts["requests"]
            again = [await chat(question(n)) for n in valid]
            assert server.counts["requests"] == requests
            assert [(r.text, r.turns, r.repairs, r.usage) for r in again] == [
                (asked[n].text, asked[n].turns, asked[n].repairs, asked[n].usage) for n in valid
            ]


async def test_a_cache_whose_writer_cannot_start_refuses_every_reply_and_keeps_nobody_waiting(
    replies, question, monkeypatch
) -> None:
    def refused(_: object) -> None:
        raise RuntimeError("can't start new thread")

    chat = keeping(replies, scripted_chat(lambda _: GOOD))
    with monkeypatch.context() as patch:
        patch.setattr("threading.Thread.start", refused)
        for number in range(2):
            with pytest.raises(RunError, match="cannot be written: can't start new thread"):
                await asyncio.wait_for(chat(question(number)), 5)
    await asyncio.wait_for(chat(question(0)), 60)
    assert replies.stats().entries == 1


@pytest.mark.parametrize("error", [MemoryError("full"), RuntimeError("of no known kind")])
@pytest.mark.parametrize("broken", ["_row", "_opened"])
async def test_a_writer_survives_what_it_cannot_write(replies, question, monkeypatch, broken, error) -> None:
    def failing(*_: object) -> None:
        raise error

    chat = keeping(replies, scripted_chat(lambda _: GOOD))
    with monkeypatch.context() as patch:
        patch.setattr(f"recloop.agents.chat.replies.{broken}", failing)
        for number in range(2):
            with pytest.raises(MemoryError if isinstance(error, MemoryError) else RunError, match=str(error)):
                await asyncio.wait_for(chat(question(number)), 5)
    await asyncio.wait_for(chat(question(0)), 60)
    assert replies.stats().entries == 1
