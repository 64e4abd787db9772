"""A small search, and what two searches must have alike."""

import sys

from recloop.recsys.data import DataConfig
from recloop.recsys.tuning import SearchResult, Tuning

BPR = {"bpr": {"epochs": 2, "batch_size": 256}}


def search(out, *, data=None, models=("itemknn",), seeds=(0,), name="small", **how) -> Tuning:
    """Three trials a model on a small built-in world, unless told otherwise."""
    data = data or {"source": "bazaar", "n_users": 60, "n_items": 120}
    train = {"models": list(models), "seeds": list(seeds)}
    return Tuning(name=name, data=DataConfig(**data), train=train, tune={"trials": 3, **how}, out=out)


def outcome(found: SearchResult) -> list[tuple]:
    """Every trial, but for the seconds it took."""
    return found.table.drop(columns="seconds").to_records(index=False).tolist()


def module(name):
    """A module of the package, some of which are hidden behind a function of their name."""
    return sys.modules[f"recloop.recsys.tuning.{name}"]
