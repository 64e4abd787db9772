"""One budget, several processes: instalments that never add up to more."""

import asyncio
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recloop.agents.chat.budget_ledger import Leases
from recloop.agents.chat.meter import Budget, Meter, Spent
from recloop.errors import BudgetExceeded


def worker(ledger: Leases, name: str, path=None) -> Meter:
    return Meter(ledger.granted(name), path, more=partial(ledger.more, name))


async def spend(meter: Meter, calls: int, tokens: int = 10) -> int:
    """Calls made until the budget said no."""
    for made in range(calls):
        try:
            reserved = await meter.reserve(tokens, 0.0)
        except BudgetExceeded:
            return made
        meter.settle(reserved, "tester", Spent(calls=1, prompt_tokens=tokens))
    return calls


async def test_workers_together_spend_the_budget_and_no_more(tmp_path) -> None:
    ledger = Leases.begin(tmp_path / "ledger.json", Budget(calls=100), {}, sharers=4)
    workers = [worker(ledger, str(n)) for n in range(4)]
    made = await asyncio.gather(*(spend(one, 1000) for one in workers))
    assert sum(made) == 100


@settings(max_examples=30, deadline=None)
@given(
    orders=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 400)), max_size=40),
    tokens=st.integers(0, 3000),
)
def test_what_is_granted_never_passes_the_budget(tmp_path_factory, orders, tokens) -> None:
    path = tmp_path_factory.mktemp("ledger") / "ledger.json"
    ledger = Leases.begin(path, Budget(tokens=tokens), {}, sharers=3)
    for holder, wanted in orders:
        before = ledger.granted(str(holder)).tokens
        after = ledger.more(str(holder), 0, wanted, 0.0)
        assert after is None or after.tokens >= before + wanted
        assert sum(ledger.granted(str(n)).tokens for n in range(3)) <= tokens


async def test_what_earlier_runs_spent_is_not_granted_again(tmp_path) -> None:
    earlier = {"here": Spent(calls=30), "0": Spent(calls=50)}
    ledger = Leases.begin(tmp_path / "ledger.json", Budget(calls=100), earlier, sharers=1)
    account = Meter(path=tmp_path / "0.json")
    await spend(account, 50)
    account.save()
    resumed = worker(ledger, "0", tmp_path / "0.json")
    assert await spend(resumed, 1000) == 20


async def test_a_worker_that_has_used_up_its_share_says_so(tmp_path) -> None:
    ledger = Leases.begin(tmp_path / "ledger.json", Budget(calls=2), {}, sharers=2)
    meter = worker(ledger, "0")
    await spend(meter, 2)
    with pytest.raises(BudgetExceeded, match="one worker's share"):
        await meter.reserve(1, 0.0)


async def test_what_was_spent_elsewhere_counts_against_the_budget_and_not_in_the_account() -> None:
    meter = Meter(Budget(calls=5), elsewhere=Spent(calls=3))
    assert await spend(meter, 10) == 2
    assert meter.total.calls == 2
