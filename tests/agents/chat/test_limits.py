"""Waiting and asking again: one retry layer, adaptive concurrency, an outage, and a minute's window."""

import asyncio
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recloop.agents.chat.build import build_chat
from recloop.agents.chat.circuit import Circuit
from recloop.agents.chat.concurrency import Concurrency
from recloop.agents.chat.config import LLMConfig
from recloop.agents.chat.limited import Limits, limited
from recloop.agents.chat.loopback import Loopback
from recloop.agents.chat.openai_chat import openai_chat
from recloop.agents.chat.rates import RateWindow
from recloop.agents.chat.retried import retried
from recloop.agents.chat.scripted import scripted_chat
from recloop.agents.chat.types import Reply
from recloop.errors import BudgetExceeded, ConfigError, ModelUnavailable, ReplyInvalid


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def patient(replies, clock: Clock, **more):
    return retried(scripted_chat(replies), clock=clock, sleep=clock.sleep, jitter=random.Random(1), **more)


FAILED = ModelUnavailable("500", retryable=True, status=500)
BUSY = ModelUnavailable("429", retryable=True, status=429, busy=True)


# --- retried ----------------------------------------------------------------------------------------------------------


async def test_a_failure_that_may_pass_is_tried_again(question) -> None:
    assert (await patient([FAILED, FAILED, "x"], Clock())(question())).text == "x"


async def test_it_gives_up_after_so_many_attempts_and_says_so(question) -> None:
    clock = Clock()
    with pytest.raises(ModelUnavailable, match=r"gave up after 3 tries .*500") as caught:
        await patient([FAILED] * 9, clock, attempts=3)(question())
    assert len(clock.slept) == 2
    assert not caught.value.retryable
    assert caught.value.status == 500


@pytest.mark.parametrize(
    "error", [ModelUnavailable("400", status=400), ReplyInvalid("no"), BudgetExceeded("over"), ConfigError("key")]
)
async def test_what_must_fail_again_is_not_tried_again(question, error) -> None:
    clock = Clock()
    with pytest.raises(type(error)):
        await patient([error, "x"], clock)(question())
    assert clock.slept == []


async def test_a_busy_server_uses_up_patience_and_no_attempt(question) -> None:
    clock = Clock()
    assert (await patient([BUSY] * 20 + ["x"], clock, attempts=2)(question())).text == "x"
    with pytest.raises(ModelUnavailable, match="gave up"):
        await patient([BUSY] * 1000, Clock(), attempts=2, patience=60)(question())


async def test_waits_grow_and_are_jittered(question) -> None:
    clock = Clock()
    await patient([FAILED] * 8 + ["x"], clock, attempts=9, first_wait=1, longest_wait=8)(question())
    for seconds, step in zip(clock.slept, [1, 2, 4, 8, 8, 8, 8, 8], strict=True):
        assert step / 2 <= seconds <= step
    assert len(set(clock.slept)) == 8


async def test_retry_after_is_honoured(question) -> None:
    clock = Clock()
    told = ModelUnavailable("429", retryable=True, status=429, busy=True, retry_after=17)
    await patient([told, "x"], clock)(question())
    assert 17 <= clock.slept[0] <= 18


async def test_a_retry_after_beyond_all_patience_is_not_waited_for(question) -> None:
    clock = Clock()
    told = ModelUnavailable("429", retryable=True, status=429, busy=True, retry_after=86400)
    with pytest.raises(ModelUnavailable, match="gave up after 1 tries"):
        await patient([told, "x"], clock, patience=600)(question())
    assert clock.slept == []


async def test_retries_are_not_multiplied_by_layers(question) -> None:
    """Counted where it matters: at the server."""
    async with Loopback(faults={"error_500": 1.0}) as server:
        chat = retried(openai_chat("m", base_url=server.url, api_key_env=None), attempts=4, first_wait=0.01)
        with pytest.raises(ModelUnavailable):
            await chat(question())
        assert server.counts["requests"] == 4


# --- concurrency ------------------------------------------------------------------------------------------------------


def test_a_burst_of_refusals_halves_once_a_round_trip() -> None:
    pace = Concurrency(64)
    for _ in range(30):
        pace.refused(sent=0.0, now=1.0)
    assert pace.limit == 32
    pace.refused(sent=0.9, now=1.9)
    assert pace.limit == 32
    pace.refused(sent=1.1, now=2.1)
    assert pace.limit == 16


def test_it_climbs_back_and_never_above_the_most() -> None:
    pace = Concurrency(64)
    pace.refused(sent=0.0, now=1.0)
    for _ in range(64 * 16):
        pace.succeeded(sent=2.0, now=2.1)
    assert pace.limit == 64


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 5)), max_size=200), st.integers(1, 500))
def test_it_stays_between_one_and_the_most(events: list[tuple[bool, float]], most: int) -> None:
    pace, now = Concurrency(most, slow_after=2.0), 0.0
    for refused, latency in events:
        now += 0.1
        (pace.refused if refused else pace.succeeded)(now - latency, now)
        assert 1 <= pace.limit <= most


def test_replies_near_the_deadline_count_as_overload() -> None:
    pace = Concurrency(100, slow_after=10)
    pace.succeeded(sent=0, now=11)
    assert pace.limit == 80


def test_refusals_that_come_whatever_the_concurrency_do_not_hold_it_down() -> None:
    pace, rng, now = Concurrency(64), random.Random(1), 0.0
    limits = []
    for _ in range(4000):
        now += 1 / pace.limit
        sent = now - 1
        (pace.refused if rng.random() < 0.2 else pace.succeeded)(sent, now)
        limits.append(pace.limit)
    assert sum(limits[2000:]) / 2000 > 32


async def test_a_server_of_limited_capacity_is_adapted_to(question) -> None:
    capacity: float = 8
    in_flight = sent = 0

    async def answer(request):
        nonlocal in_flight, sent
        sent += 1
        if in_flight >= capacity:
            raise ModelUnavailable("429", retryable=True, status=429, busy=True, retry_after=0.02)
        in_flight += 1
        await asyncio.sleep(0.02)
        in_flight -= 1
        return "x"

    limits = Limits(concurrency=64)
    chat = retried(limited(scripted_chat(answer), limits), first_wait=0.02)
    await asyncio.gather(*(chat(question(n)) for n in range(200)))
    assert limits.pace.cuts >= 3
    assert limits.pace.limit < 24
    assert sent < 1.6 * 200
    capacity = math.inf
    await asyncio.gather(*(chat(question(n)) for n in range(1000, 1400)))
    assert limits.pace.limit > 24


async def test_a_server_that_queues_is_kept_busy(question) -> None:
    """It works on 16 at once and never refuses: nothing is a reason to send fewer."""
    async with Loopback(capacity=16, queueing=True, hold=33) as server:
        limits = Limits(concurrency=64, timeout=600)
        chat = limited(openai_chat("m", base_url=server.url, api_key_env=None), limits)
        await asyncio.gather(*(chat(question(n)) for n in range(160)))
        assert server.most_in_flight >= 33
        assert (limits.pace.cuts, limits.pace.limit) == (0, 64)


async def test_a_cancelled_waiter_gives_its_place_to_the_next(question) -> None:
    gate = asyncio.Event()

    async def wait(request):
        await gate.wait()
        return "x"

    chat = limited(scripted_chat(wait), Limits(concurrency=1))
    calls = [asyncio.ensure_future(chat(question(n))) for n in range(4)]
    await asyncio.sleep(0.01)
    calls[1].cancel()
    calls[0].cancel()
    gate.set()
    assert [(await call).text for call in calls[2:]] == ["x", "x"]


# --- an outage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["error_503", "disconnect"])
async def test_an_outage_in_mid_run_fails_nothing_and_the_server_is_spared(question, kind) -> None:
    """The outage begins at the 60th request; it ends once the pause has begun and three probes have failed."""
    circuit = Circuit(failures=10, first_wait=0.02, longest_wait=0.05)
    probes: list[int] = []
    async with Loopback() as server:

        def script(_) -> None:
            if server.counts["requests"] == 60:
                server.away = kind
            if server.away and circuit.open:
                probes.append(server.in_flight)
                if len([alone for alone in probes if alone == 1]) > 3:
                    server.away = ""

        server.script = script
        limits = Limits(concurrency=32, circuit=circuit)
        chat = retried(
            limited(openai_chat("m", base_url=server.url, api_key_env=None), limits),
            attempts=4,
            first_wait=0.01,
            longest_wait=0.05,
        )
        outcomes = await asyncio.gather(*(chat(question(n)) for n in range(200)))
    assert all(isinstance(one, Reply) for one in outcomes)
    assert circuit.pauses >= 1
    # After those that were under way at its beginning, one request at a time.
    assert all(alone == 1 for alone in probes[32:])


async def test_a_server_that_is_gone_for_good_ends_the_run(question) -> None:
    server = Loopback()
    await server.start()
    await server.stop()
    circuit = Circuit(failures=3, patience=0.3, first_wait=0.02, longest_wait=0.05)
    chat = limited(openai_chat("m", base_url=server.url, api_key_env=None), Limits(concurrency=4, circuit=circuit))
    chat = retried(chat, patience=0.3, first_wait=0.01, longest_wait=0.05)
    got = await asyncio.wait_for(
        asyncio.gather(*(chat(question(n)) for n in range(50)), return_exceptions=True), timeout=120
    )
    assert all(isinstance(one, ModelUnavailable) for one in got)
    # Those turned away during the outage name its cause, too.
    assert all("cannot be reached" in str(one) for one in got)


async def test_one_poisoned_question_does_not_stop_the_others(question) -> None:
    def answer(request):
        return FAILED if request == question(7) else "x"

    chat = retried(limited(scripted_chat(answer), Limits(concurrency=8)), attempts=3, first_wait=0.01)
    got = await asyncio.gather(*(chat(question(n)) for n in range(40)), return_exceptions=True)
    assert [n for n, one in enumerate(got) if not isinstance(one, Reply)] == [7]


# --- a minute's window ------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.floats(0, 30), st.integers(0, 40)), max_size=60))
def test_no_minute_ever_holds_more_than_the_limit(asked: list[tuple[int, float, int]]) -> None:
    clock = Clock()

    async def run() -> list[tuple[float, int]]:
        window = RateWindow(100, clock=clock, sleep=clock.sleep)
        made = []
        for amount, pause, settled in asked:
            await clock.sleep(pause)
            entry = await window.reserve(amount)
            window.settle(entry, min(settled, amount))
            made.append((entry.made, entry.amount))
        return made

    made = asyncio.run(run())
    for start, _ in made:
        assert sum(amount for at, amount in made if start <= at < start + 60) <= 100


async def test_what_a_reply_did_not_use_is_free_again() -> None:
    clock = Clock()
    window = RateWindow(100, clock=clock, sleep=clock.sleep)
    entry = await window.reserve(90)
    window.settle(entry, 10)
    await window.reserve(90)
    assert clock.slept == []
    await window.reserve(1)
    assert 60 <= sum(clock.slept) <= 61


async def test_a_request_larger_than_the_limit_waits_for_an_empty_window() -> None:
    clock = Clock()
    window = RateWindow(100, clock=clock, sleep=clock.sleep)
    await window.reserve(10_000)
    await window.reserve(1)
    assert sum(clock.slept) >= 60


# --- all together -----------------------------------------------------------------------------------------------------

STORM = {
    "error_429": 0.2,
    "error_500": 0.05,
    "disconnect": 0.03,
    "stall": 0.03,
    "malformed": 0.05,
    "truncated": 0.03,
    "refusal": 0.02,
    "unknown_handle": 0.02,
}


async def test_a_storm_of_faults_is_weathered(question, replies, tmp_path, caplog, monkeypatch) -> None:
    monkeypatch.setenv("STORM_KEY", "storm-key-that-nobody-may-see")
    caplog.set_level("DEBUG")
    async with Loopback(faults=STORM, retry_after=0.02, api_key="storm-key-that-nobody-may-see") as server:
        # Attempts for any machine: a slow one is late more often, and must come to the same end.
        config = LLMConfig(
            provider="openai", model="m", base_url=server.url, api_key_env="STORM_KEY", timeout=0.6, attempts=1000
        )
        chat = build_chat(config, cache=replies)
        outcomes = await asyncio.gather(*(chat(question(n)) for n in range(120)), return_exceptions=True)
        sent = server.counts["requests"]
    bad = [one for one in outcomes if not isinstance(one, Reply)]
    assert len(bad) <= 3
    assert all(isinstance(one, ReplyInvalid) for one in bad)
    assert replies.stats().entries == 120 - len(bad)
    # Every request is a turn or a logged retry: no second layer sends any.
    turns = sum(one.turns if isinstance(one, Reply) else one.reply.turns for one in outcomes)
    retries = sum(record.getMessage() == "asking again" for record in caplog.records)
    assert sent <= turns + retries
    replies.export(tmp_path / "out.jsonl")
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    texts = caplog.text + repr(bad) + "".join(str(one) for one in bad)
    assert b"storm-key" not in files
    assert "storm-key" not in texts
