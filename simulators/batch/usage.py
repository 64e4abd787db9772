"""A study's accounts: what every run of it has paid, by agent, and one budget over all of them.

folder/usage.json              of runs in one process
folder/usage/shard-<n>.json    of a sharded run's workers
folder/usage/ledger.json       what each worker was granted of the budget, while they run

Each account counts its own calls and no other's, so that none is counted twice; the budget is held against their sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from ...agents.chat.budget_ledger import Leases
from ...agents.chat.meter import Budget, Meter, Spent, read_account

USAGE = "usage.json"
SHARDS = "usage"
LEDGER = "ledger.json"
HERE = "here"
"""What the ledger names the account of runs in one process by."""


def open_meter(folder: Path, budget: Budget) -> Meter:
    """The account of a run in one process; what workers have spent counts against the budget, too."""
    return Meter(budget, folder / USAGE, elsewhere=spent_by_shards(folder))


def spent_by_shards(folder: Path) -> Spent:
    """What the workers of all sharded runs have spent; none may be at work."""
    return sum_of(_of_shards(folder))


def share_out(folder: Path, budget: Budget, sharers: int) -> None:
    """Open the ledger for `sharers` workers; none may be at work in this folder."""
    if budget != Budget():
        accounts = _of_shards(folder)
        if (folder / USAGE).exists():
            accounts[HERE] = sum_of(read_account(folder / USAGE))
        Leases.begin(folder / SHARDS / LEDGER, budget, accounts, sharers)


def open_share(folder: Path, budget: Budget, shard: int) -> Meter:
    """The account of one worker, which draws on the ledger that `share_out` has opened."""
    name = f"shard-{shard}"
    path = folder / SHARDS / f"{name}.json"
    if budget == Budget():
        return Meter(budget, path)
    ledger = Leases(folder / SHARDS / LEDGER)
    return Meter(ledger.granted(name), path, more=partial(ledger.more, name))


def usage(folder: Path) -> dict[str, Spent]:
    """What was paid in all accounts of a study's folder, by agent; empty where nothing was."""
    spending: dict[str, Spent] = {}
    for path in [folder / USAGE, *_shard_files(folder)]:
        for agent, spent in read_account(path).items() if path.exists() else ():
            spending.setdefault(agent, Spent()).add(spent)
    return spending


def sum_of(accounts: Mapping[str, Spent]) -> Spent:
    """All of these together."""
    total = Spent()
    for spent in accounts.values():
        total.add(spent)
    return total


def _of_shards(folder: Path) -> dict[str, Spent]:
    return {path.stem: sum_of(read_account(path)) for path in _shard_files(folder)}


def _shard_files(folder: Path) -> list[Path]:
    return sorted((folder / SHARDS).glob("shard-*.json"))
