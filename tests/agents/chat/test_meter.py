"""The budget is hard: under concurrency, through a kill and a resume, in calls, tokens and money."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from recloop.agents.chat.build import build_chat
from recloop.agents.chat.config import LLMConfig
from recloop.agents.chat.loopback import Loopback
from recloop.agents.chat.meter import LOST, Budget, Meter, Spent
from recloop.agents.chat.metered import metered
from recloop.agents.chat.prices import Price, price_of, read_prices
from recloop.agents.chat.scripted import scripted_chat
from recloop.agents.chat.token_bounds import prompt_token_bound
from recloop.agents.chat.types import Message, Reply, Request, Usage
from recloop.errors import BudgetExceeded, ConfigError, ModelUnavailable, ReplyInvalid, RunError

DEAR = {"m": Price(prompt=1000.0, completion=2000.0)}


async def outcomes(chat, questions) -> list:
    return await asyncio.gather(*map(chat, questions), return_exceptions=True)


async def test_sixty_four_at_once_never_pass_a_limit_of_calls(question, tmp_path: Path) -> None:
    async with Loopback(latency=0.01) as server:
        meter = Meter(Budget(calls=40), tmp_path / "usage.json")
        chat = build_chat(LLMConfig(provider="openai", model="m", base_url=server.url), meter=meter)
        got = await outcomes(chat, [question(n) for n in range(64)])
        assert sum(isinstance(one, Reply) for one in got) == 40
        assert sum(isinstance(one, BudgetExceeded) for one in got) == 24
        assert server.counts["requests"] == 40
    assert meter.total.calls == 40


async def test_sixty_four_at_once_never_pass_a_limit_of_tokens_and_come_near_it(question) -> None:
    async def answer(request):
        await asyncio.sleep(0.001)
        return Reply("x", "m", usage=Usage(10, 20))

    meter = Meter(Budget(tokens=20_000))
    chat = metered(scripted_chat(answer), meter, model="m")
    got = await outcomes(chat, [question(n) for n in range(1000)])
    assert meter.total.tokens <= 20_000
    # The next call might have taken all of its max_tokens: no nearer can a hard limit be approached.
    assert meter.total.tokens > 20_000 - prompt_token_bound(question()) - 512 - 30
    assert sum(isinstance(one, Reply) for one in got) == meter.total.calls


async def test_a_limit_of_money_is_kept(question) -> None:
    meter = Meter(Budget(usd=5.0))
    chat = metered(scripted_chat(lambda _: Reply("x", "m", usage=Usage(10, 20))), meter, model="m", prices=DEAR)
    got = await outcomes(chat, [question(n) for n in range(300)])
    costs = [one.cost for one in got if isinstance(one, Reply)]
    assert costs[0] == pytest.approx(0.05)
    assert sum(costs) == pytest.approx(meter.total.usd)
    assert 0 < meter.total.usd <= 5.0


async def test_a_limit_is_not_refused_while_calls_in_flight_may_make_room(question) -> None:
    async def refuse_first(request):
        await asyncio.sleep(0.01)
        if request == question(0):
            raise ModelUnavailable("busy", retryable=True, status=429, busy=True)
        return "x"

    meter = Meter(Budget(calls=1))
    chat = metered(scripted_chat(refuse_first), meter, model="m")
    first, second = await outcomes(chat, [question(0), question(1)])
    assert isinstance(first, ModelUnavailable)
    assert isinstance(second, Reply)


def test_a_budget_in_dollars_needs_a_price() -> None:
    with pytest.raises(ConfigError, match=r"no price of model 'm'.*llm\.prices"):
        metered(scripted_chat([]), Meter(Budget(usd=1)), model="m")


async def test_an_unknown_price_is_unknown_and_not_zero(question) -> None:
    meter = Meter()
    reply = await metered(scripted_chat(["x"]), meter, model="m")(question())
    assert reply.cost is None
    assert meter.total.unpriced_calls == 1


@pytest.mark.parametrize(
    ("error", "calls", "lost"),
    [
        (ModelUnavailable("refused", status=429), 0, 0),
        (ModelUnavailable("broke off", spent=True), 1, 1),
        (ReplyInvalid("filtered", kind="refused"), 1, 1),
    ],
)
async def test_a_lost_answer_is_counted_and_a_refused_request_is_not(question, error, calls, lost) -> None:
    meter = Meter()
    with pytest.raises(type(error)):
        await metered(scripted_chat([error]), meter, model="m")(question())
    assert (meter.total.calls, meter.total.lost_calls) == (calls, lost)


async def test_a_reply_without_usage_is_counted_at_an_estimate(question) -> None:
    meter = Meter()
    await metered(scripted_chat([Reply("four words are here", "m")]), meter, model="m")(question())
    assert meter.total.estimated_calls == 1
    assert meter.total.tokens > 0


async def test_the_usage_of_each_agent_is_told_apart() -> None:
    meter = Meter()
    chat = metered(scripted_chat(["a b", "c", "d"]), meter, model="m")
    for agent in ("one", "two", "one"):
        await chat(Request((Message("user", "x"),), agent=agent))
    assert {name: spent.calls for name, spent in meter.agents.items()} == {"one": 2, "two": 1}


async def test_a_resumed_run_goes_on_where_it_stopped(question, tmp_path: Path) -> None:
    path = tmp_path / "usage.json"
    for _ in range(3):
        meter = Meter(Budget(calls=10), path)
        await outcomes(metered(scripted_chat(lambda _: "x"), meter, model="m"), [question(n) for n in range(4)])
        meter.save()
    assert Meter(Budget(calls=10), path).total.calls == 10


async def test_what_was_in_flight_at_a_kill_is_counted_once(question, tmp_path: Path) -> None:
    path = tmp_path / "usage.json"
    killed = Meter(Budget(calls=10), path)
    for _ in range(4):
        reservation = await killed.reserve(100, 0.0)
    killed.settle(reservation, "a", Spent(calls=1))
    for _ in range(3):
        resumed = Meter(Budget(calls=10), path)
        assert resumed.total.calls == 4
    assert resumed.agents[LOST].calls == 4


SPEND_AND_DIE = """
import asyncio, os, sys
from contextlib import suppress
from pathlib import Path
from recloop.agents.chat.build import build_chat
from recloop.agents.chat.config import LLMConfig
from recloop.agents.chat.meter import Budget, Meter
from recloop.agents.chat.types import Message, Request, Sampling
from recloop.errors import BudgetExceeded

async def run(path, url, name):
    chat = build_chat(
        LLMConfig(provider="openai", model="m", base_url=url, concurrency=8), meter=Meter(Budget(calls=40), path)
    )
    with suppress(BudgetExceeded):
        await chat(Request((Message("user", name),), sampling=Sampling(max_tokens=99)))
    asyncio.get_running_loop().call_later(0.12, os._exit, 9)
    asked = [Request((Message("user", f"{name} {n}"),), sampling=Sampling(max_tokens=99)) for n in range(500)]
    await asyncio.gather(*map(chat, asked), return_exceptions=True)
    await asyncio.sleep(60)

asyncio.run(run(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
"""


async def test_kills_at_any_moment_do_not_raise_the_limit(question, tmp_path: Path) -> None:
    path = tmp_path / "usage.json"
    async with Loopback(latency=0.05) as server:
        for name in "abc":
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", SPEND_AND_DIE, str(path), server.url, name
            )
            assert await process.wait() == 9
        sent = server.counts["requests"]
        meter = Meter(Budget(calls=40), path)
        # At most the eight in flight at each kill are counted without having been sent.
        assert 3 <= sent <= meter.total.calls <= sent + 3 * 8
        chat = build_chat(LLMConfig(provider="openai", model="m", base_url=server.url), meter=meter)
        await outcomes(chat, [question(n) for n in range(60)])
        assert meter.total.calls == 40
        assert server.counts["requests"] <= 40


def test_a_torn_account_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "usage.json").write_text('{"agents": {')
    with pytest.raises(RunError, match=r"usage\.json cannot be read"):
        Meter(Budget(calls=1), tmp_path / "usage.json")


async def test_the_file_can_be_read_by_people(question, tmp_path: Path) -> None:
    meter = Meter(Budget(calls=5), tmp_path / "usage.json")
    await metered(scripted_chat(["x"]), meter, model="m")(question())
    meter.save()
    state = json.loads((tmp_path / "usage.json").read_text())
    assert state["agents"]["tester"]["calls"] == 1
    assert state["in_flight"]["calls"] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["usage.json"]


def test_prices_are_found_by_name_then_by_the_longest_pattern(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(
        "gpt: {prompt: 1, completion: 2}\n'gpt*': {prompt: 3, completion: 4}\n'g*': {prompt: 5, completion: 6}\n"
    )
    prices = read_prices(path)
    assert [price_of(name, prices).prompt for name in ("gpt", "gpt-5", "gemma")] == [1, 3, 5]
    assert price_of("qwen", prices) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [("m: {prompt: -1, completion: 2}", "m.prompt"), ("m: 3", "m"), ("m: {prompt: 1}", "m.completion"), ("{", "")],
)
def test_a_wrong_price_file_is_named_with_its_entry(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "prices.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"prices\.yaml.*{said}"):
        read_prices(tmp_path / "prices.yaml")
