"""The set-wise loop taken apart: one row a setting, each by configuration alone, with its calls and tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from ...agents.setwise import Setwise, SetwiseRanking
from ...identity import digest
from ...recsys.data import Split
from ...recsys.data.sources import load_split
from ...recsys.evaluation import interval, paired
from ..batch.event_loop import run_async
from ..batch.progress import Watcher
from ..batch.records import read_records
from .agent_runner import AgentRunner, open_runner
from .held_out_lists import HeldOutList, by_popularity, chance, held_out_lists, ndcg_of, questions, walked_users
from .step_identity import identity_of
from .study import Study

ONCE = "one list-wise question, no loop"

SHIPPED, POINTWISE = "as the study has it", "point-wise (1)"
ROWS: dict[str, dict[str, Any]] = {
    SHIPPED: {},
    POINTWISE: {"set_size": 1, "stride": 1, "dealings": 1},
    "pair-wise (2, overlap 1)": {"set_size": 2, "stride": 1, "dealings": 1},
    "sets of 4, overlap 2, by rank": {"set_size": 4, "stride": 2, "dealings": 1, "merge": "rank"},
    "sets of 4, no overlap, by score": {"set_size": 4, "stride": 4, "dealings": 1, "merge": "score"},
    "sets of 5, no overlap, by score": {"set_size": 5, "stride": 5, "dealings": 1, "merge": "score"},
    "list-wise (all 10)": {"set_size": 10, "stride": 10, "dealings": 1},
    "user path only": {"paths": ["user"]},
    "item path only": {"paths": ["item"]},
    "no reflection": {"rounds": 0},
    "no acceptance test": {"acceptance": False},
    "acceptance by earlier lists, too": {"replay": 2},
    "claims without evidence": {"evidence": False},
    "nothing forgotten": {"forget_below": 0.0},
    ONCE: {"set_size": 10, "stride": 10, "dealings": 1, "rounds": 0, "walk": 0, "seed_items": 10},
}
"""Name -> what differs from the study's own settings of the step."""
MORE: dict[str, dict[str, Any]] = {
    "sets of 3, overlap 2, by rank": {"set_size": 3, "stride": 1, "dealings": 1, "merge": "rank"},
    "sets of 3, no overlap, by score": {"set_size": 3, "stride": 3, "dealings": 1, "merge": "score"},
    "sets of 4, overlap 2, by score": {"set_size": 4, "stride": 2, "dealings": 1, "merge": "score"},
    "sets of 4, no overlap, by rank": {"set_size": 4, "stride": 4, "dealings": 1, "merge": "rank"},
    "sets of 5, overlap 4, by rank": {"set_size": 5, "stride": 1, "dealings": 1, "merge": "rank"},
    "sets of 5, no overlap, by rank": {"set_size": 5, "stride": 5, "dealings": 1, "merge": "rank"},
    "sets of 5, the same each round": {
        "set_size": 5, "stride": 5, "dealings": 1, "merge": "score", "deal": "same"
    },
    "sets of 5, two dealings, by rank": {"set_size": 5, "stride": 5, "dealings": 2, "merge": "rank"},
    "sets of 5, two dealings, by score": {"set_size": 5, "stride": 5, "dealings": 2, "merge": "score"},
    "1 round": {"rounds": 1},
    "2 rounds": {"rounds": 2},
    "3 rounds": {"rounds": 3},
    "forgets twice as fast": {"half_life": 5.0},
    "nothing settled": {"settle": False},
    "no notes": {"notes": 0},
}  # fmt: skip
"""More of the same; 0 rounds is no reflection."""

COSTS = {"calls": ".1f", "tokens": ",.0f", "test_calls": ".1f", "test_tokens": ",.0f"}
FIGURES = ("ndcg@1", "ndcg@5", "ndcg@10")
COLUMNS = ("row", "n", *FIGURES, "above_chance", "above_shipped", "first_round", "above_first", *COSTS)


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
    `above_shipped`, less that of the first row, and `above_first`, less its own with the profiles before any
    reflection, all three as Interval (95 %, bootstrap over users, paired but for chance); `calls` and `tokens` a user
    of the loop, `test_calls` and `test_tokens` a user of one ranking. First come the rows without an agent, `random`
    (exact) and `popularity`. Runs resume; replies come from the study's cache.
    """
    split = load_split(study.data)
    return run_async(_ablate(study, split, ROWS if rows is None else rows, negatives, side, progress))


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
    shipped: pd.DataFrame | None = None
    async with open_runner(study, split.train, progress) as opened:
        for name, changes in rows.items():
            settings = {**own, **changes}
            _, folder = await opened.step("setwise", settings, split.train, study.folder / "ablation" / "loop")
            records = read_records(folder)
            lists = held_out_lists(split, walked_users(records), kind=kind, side=side, seed=study.seed)
            if not found:
                found += _without_agent(lists, split)
            final = await _ranked(opened, study, settings, lists, records, "final", split)
            first = await _ranked(opened, study, settings, lists, records, "first", split)
            shipped = final[0] if shipped is None else shipped
            found.append(_row(name, opened, folder.name, final, first, shipped))
    return pd.DataFrame(found, columns=list(COLUMNS))


async def _ranked(
    opened: AgentRunner,
    study: Study,
    settings: Mapping[str, Any],
    lists: Sequence[HeldOutList],
    records: pd.DataFrame,
    state: Literal["first", "final"],
    split: Split,
) -> tuple[pd.DataFrame, str]:
    config = Setwise.model_validate({key: value for key, value in settings.items() if key != "fold"})
    asked = questions(lists, records, state)
    agent = SetwiseRanking(asked, config, opened.around.sampling, opened.around.wording, study.seed)
    identity = identity_of(study, "setwise", settings, split.train)
    named = digest([identity, [[q.user, list(q.candidates), list(q.claims)] for q in asked]])
    folder = study.folder / "ablation" / f"{state}-{named}"
    await opened.ask(agent, split.train, folder, identity["run"], keep_memory=False)
    return ndcg_of(lists, read_records(folder)), folder.name


def _row(
    name: str,
    opened: AgentRunner,
    loop: str,
    final: tuple[pd.DataFrame, str],
    first: tuple[pd.DataFrame, str],
    shipped: pd.DataFrame,
) -> dict[str, Any]:
    both = final[0].merge(first[0], on="user", suffixes=("", " first"))
    beside = final[0].merge(shipped, on="user", suffixes=("", " shipped"))
    against = beside["ndcg@10"].to_numpy(), beside["ndcg@10 shipped"].to_numpy()
    walked, tested = opened.totals[loop], opened.totals[final[1]]
    values, before = both["ndcg@10"].to_numpy(), both["ndcg@10 first"].to_numpy()
    return {
        "row": name,
        "n": len(both),
        **{metric: both[metric].mean() for metric in FIGURES},
        "above_chance": interval(values - chance(10, 10), np.random.default_rng(0)),
        "above_shipped": None if shipped is final[0] else paired(*against, np.random.default_rng(0)),
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
    means = {metric: popular[metric].mean() for metric in FIGURES}
    above = interval(values - chance(10, 10), np.random.default_rng(0))
    return [
        {"row": "random order (exact)", "n": len(lists)} | {f"ndcg@{k}": chance(10, k) for k in (1, 5, 10)},
        {"row": "train popularity, no agent", "n": len(lists), **means, "above_chance": above},
    ]


def as_markdown(table: pd.DataFrame) -> str:
    """The table as Markdown; tokens and calls are means a user."""
    head = ["row", "users", "NDCG@1", "@5", "@10", "above chance", "above the first row", "own first round", "above it"]
    head += ["calls", "tokens", "calls to rank once", "tokens to rank once"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    for row in table.to_dict("records"):
        cells = [
            row["row"],
            str(row["n"]),
            *(f"{row[f'ndcg@{k}']:.4f}" for k in (1, 5, 10)),
            _shown(row["above_chance"]),
            _shown(row["above_shipped"]),
        ]
        cells += [_figure(row["first_round"], ".4f"), _shown(row["above_first"])]
        cells += [_figure(row[c], f) for c, f in COSTS.items()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _shown(found: Any) -> str:
    return (
        "" if found is None or isinstance(found, float) else f"{found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
    )


def _figure(value: float | None, form: str) -> str:
    return "" if value is None or np.isnan(value) else format(value, form)
