"""The set-wise loop taken apart: one row a setting, each by configuration alone, with its calls and tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from ..agents.setwise import Setwise, SetwiseRanking
from ..recsys.data import Split
from ..recsys.data.sources import load_split
from ..recsys.evaluation import interval, paired
from .asking import Asking, asking, identity_of
from .heldout import HeldOutList, by_popularity, chance, held_out_lists, ndcg_of, questions, walked_users
from .progress import Watcher
from .records import read_records
from .study import Study, digest

ONCE = "one list-wise question, no loop"

ROWS: dict[str, dict[str, Any]] = {
    "set-wise (4 of 10, overlap 2)": {},
    "point-wise (1)": {"set_size": 1, "stride": 1},
    "pair-wise (2, overlap 1)": {"set_size": 2, "stride": 1},
    "list-wise (all 10)": {"set_size": 10, "stride": 10},
    "no overlap (4, 4, 2)": {"stride": 4},
    "user path only": {"paths": ["user"]},
    "item path only": {"paths": ["item"]},
    "no reflection": {"rounds": 0},
    "no acceptance test": {"acceptance": False},
    ONCE: {"set_size": 10, "stride": 10, "rounds": 0, "walk": 0, "seed_items": 10},
}
"""Name -> what differs from the study's own settings of the step."""

COSTS = {"calls": ".1f", "tokens": ",.0f", "test_calls": ".1f", "test_tokens": ",.0f"}
COLUMNS = ("row", "n", "ndcg@1", "ndcg@5", "ndcg@10", "above_chance", "first_round", "above_first", *COSTS)


def ablate(
    study: Study,
    rows: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    negatives: Literal["uniform", "popularity"] = "uniform",
    side: Literal["valid", "test"] = "test",
    progress: Watcher | None = None,
) -> pd.DataFrame:
    """Every row's loop run on the train side and its final profiles asked to rank held-out lists of 10.

    Columns: `n` users; `ndcg@k`, means with the final profiles; `above_chance`, NDCG@10 less that of a random order,
    and `above_first`, less its own with the profiles before any reflection, both as Interval (95 %, bootstrap over
    users); `calls` and `tokens` a user of the loop, `test_calls` and `test_tokens` a user of one ranking. First come
    the rows without an agent, `random` (exact) and `popularity`. Runs resume; replies come from the study's cache.
    """
    split = load_split(study.data)
    return asyncio.run(_ablate(study, split, ROWS if rows is None else rows, negatives, side, progress))


async def _ablate(
    study: Study,
    split: Split,
    rows: Mapping[str, Mapping[str, Any]],
    kind: Literal["uniform", "popularity"],
    side: Literal["valid", "test"],
    progress: Watcher | None,
) -> pd.DataFrame:
    own = next((step["setwise"] for step in study.steps if "setwise" in step), {})
    found: list[dict[str, Any]] = []
    async with asking(study, split.train, progress) as opened:
        for name, changes in rows.items():
            settings = {**own, **changes}
            _, folder = await opened.step("setwise", settings, split.train, study.folder / "ablation" / "loop")
            records = read_records(folder)
            lists = held_out_lists(split, walked_users(records), kind=kind, side=side, seed=study.seed)
            if not found:
                found += _without_agent(lists, split)
            final = await _ranked(opened, study, settings, lists, records, "final", split)
            first = await _ranked(opened, study, settings, lists, records, "first", split)
            found.append(_row(name, opened, folder.name, final, first))
    return pd.DataFrame(found, columns=list(COLUMNS))


async def _ranked(
    opened: Asking,
    study: Study,
    settings: Mapping[str, Any],
    lists: Sequence[HeldOutList],
    records: pd.DataFrame,
    state: Literal["first", "final"],
    split: Split,
) -> tuple[pd.DataFrame, str]:
    config = Setwise.model_validate({key: value for key, value in settings.items() if key != "fold"})
    asked = questions(lists, records, state)
    agent = SetwiseRanking(asked, config, opened.around.sampling, opened.around.wording)
    identity = identity_of(study, "setwise", settings, split.train)
    named = digest([identity, [[q.user, list(q.candidates), q.profile] for q in asked]])
    folder = study.folder / "ablation" / f"{state}-{named}"
    await opened.ask(agent, split.train, folder, identity["run"], keep_memory=False)
    return ndcg_of(lists, read_records(folder)), folder.name


def _row(
    name: str, opened: Asking, loop: str, final: tuple[pd.DataFrame, str], first: tuple[pd.DataFrame, str]
) -> dict[str, Any]:
    both = final[0].merge(first[0], on="user", suffixes=("", " first"))
    walked, tested = opened.totals[loop], opened.totals[final[1]]
    values, before = both["ndcg@10"].to_numpy(), both["ndcg@10 first"].to_numpy()
    return {
        "row": name,
        "n": len(both),
        **{metric: both[metric].mean() for metric in ("ndcg@1", "ndcg@5", "ndcg@10")},
        "above_chance": interval(values - chance(10, 10), np.random.default_rng(0)),
        "first_round": before.mean(),
        "above_first": paired(values, before, np.random.default_rng(0)),
        "calls": walked.calls / max(1, walked.tasks),
        "tokens": (walked.prompt_tokens + walked.completion_tokens) / max(1, walked.tasks),
        "test_calls": tested.calls / max(1, tested.tasks),
        "test_tokens": (tested.prompt_tokens + tested.completion_tokens) / max(1, tested.tasks),
    }


def _without_agent(lists: Sequence[HeldOutList], split: Split) -> list[dict[str, Any]]:
    popular = by_popularity(lists, split.train)
    values = popular["ndcg@10"].to_numpy()
    means = {metric: popular[metric].mean() for metric in ("ndcg@1", "ndcg@5", "ndcg@10")}
    above = interval(values - chance(10, 10), np.random.default_rng(0))
    return [
        {"row": "random order (exact)", "n": len(lists)} | {f"ndcg@{k}": chance(10, k) for k in (1, 5, 10)},
        {"row": "train popularity, no agent", "n": len(lists), **means, "above_chance": above},
    ]


def as_markdown(table: pd.DataFrame) -> str:
    """The table as Markdown; tokens and calls are means a user."""
    head = ["row", "users", "NDCG@1", "@5", "@10", "above chance", "own first round", "above it"]
    head += ["calls", "tokens", "calls to rank once", "tokens to rank once"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    for row in table.to_dict("records"):
        cells = [
            row["row"],
            str(row["n"]),
            *(f"{row[f'ndcg@{k}']:.4f}" for k in (1, 5, 10)),
            _shown(row["above_chance"]),
        ]
        cells += [_figure(row["first_round"], ".4f"), _shown(row["above_first"])]
        cells += [_figure(row[c], f) for c, f in zip(COLUMNS[8:], (".1f", ",.0f", ".1f", ",.0f"), strict=True)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _shown(found: Any) -> str:
    return (
        "" if found is None or isinstance(found, float) else f"{found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
    )


def _figure(value: float | None, form: str) -> str:
    return "" if value is None or np.isnan(value) else format(value, form)
