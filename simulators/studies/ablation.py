"""`ablate`: the set-wise loop with one setting changed at a time, ranked on held-out lists, with calls and tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import pandas as pd

from ...agents.setwise import Setwise, SetwiseRanking
from ...errors import ConfigError, RunError
from ...identity import digest
from ...recsys.data import Split
from ...recsys.data.sources import load_split
from ...recsys.evaluation import Interval, interval, paired
from ..batch.event_loop import run_async
from ..batch.progress import Watcher
from ..batch.records import read_records
from .agent_runner import AgentRunner, open_runner
from .held_out_lists import (
    HeldOutList,
    by_popularity,
    chance,
    held_out_lists,
    ranking_queries,
    true_item_ndcg,
    walked_users,
)
from .step_identity import identity_of
from .study import AnyStudy, Study, study_of

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
    study: AnyStudy,
    settings: Sequence[str] = (),
    *,
    rows: Mapping[str, Mapping[str, Any]] | Literal["short", "all"] = "short",
    negatives: Literal["uniform", "popularity"] = "uniform",
    side: Literal["valid", "test"] = "test",
    progress: Watcher | None = None,
) -> pd.DataFrame:
    """Run the set-wise loop of every row on the train side, and let its final profiles rank held-out lists of 10.

    study: as for `run`; its first set-wise step gives the settings that rows change. rows: name -> changed settings;
    "short" is ROWS, "all" ROWS and MORE. negatives: how the nine other items of a list are sampled. side: where its
    true item comes from.

    Columns: `n` users; `ndcg@k`, means with the final profiles; `above_chance`, NDCG@10 minus that of a random order,
    `above_shipped`, minus that of the first row, and `above_first`, minus its own with the profiles before any
    reflection, all three as Interval (95 %, bootstrap over users, paired except against chance); `calls` and `tokens`
    of the loop a user, `test_calls` and `test_tokens` of one ranking a user. The first two rows use no agent: a random
    order (exact) and train popularity. A second call repeats nothing that is finished. Raises ConfigError for a study
    without a set-wise step and RunError where no user's loop has a usable record.
    """
    study = study_of(study, settings)
    if not any("setwise" in step for step in study.steps):
        raise ConfigError(f"study {study.name} has no set-wise step; write steps: [setwise]")
    if isinstance(rows, str):
        rows = {**ROWS, **MORE} if rows == "all" else ROWS
    return run_async(_ablate(study, load_split(study.data), rows, negatives, side, progress))


async def _ablate(
    study: Study,
    split: Split,
    rows: Mapping[str, Mapping[str, Any]],
    kind: Literal["uniform", "popularity"],
    side: Literal["valid", "test"],
    progress: Watcher | None,
) -> pd.DataFrame:
    own = next((step["setwise"] for step in study.steps if "setwise" in step), {})
    table: list[dict[str, Any]] = []
    shipped: pd.DataFrame | None = None
    async with open_runner(study, split.train, progress) as opened:
        for name, changes in rows.items():
            settings = {**own, **changes}
            _, folder = await opened.step("setwise", settings, split.train, study.folder / "ablation" / "loop")
            records = read_records(folder)
            lists = held_out_lists(split, walked_users(records), kind=kind, side=side, seed=study.seed)
            if not lists:
                summary = opened.totals[folder.name]
                raise RunError(f"row {name!r}: no user to evaluate: {summary.stopped or summary.unusable or 'no task'}")
            if not table:
                table += _without_agent(lists, split)
            final = await _ranked(opened, study, settings, lists, records, "final", split)
            first = await _ranked(opened, study, settings, lists, records, "first", split)
            shipped = final[0] if shipped is None else shipped
            table.append(_row(name, opened, folder.name, final, first, shipped))
    return pd.DataFrame(table, columns=list(COLUMNS))


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
    queries = ranking_queries(lists, records, state)
    agent = SetwiseRanking(queries, config, opened.around.sampling, opened.around.wording, study.seed)
    identity = identity_of(study, "setwise", settings, split.train)
    named = digest([identity, [[q.user, list(q.candidates), list(q.claims)] for q in queries]])
    folder = study.folder / "ablation" / f"{state}-{named}"
    await opened.ask(agent, split.train, folder, identity["run"], keep_memory=False)
    return true_item_ndcg(lists, read_records(folder)), folder.name


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
            _signed_interval(row["above_chance"]),
            _signed_interval(row["above_shipped"]),
        ]
        cells += [_figure(row["first_round"], ".4f"), _signed_interval(row["above_first"])]
        cells += [_figure(row[c], f) for c, f in COSTS.items()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def as_json(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows in plain values; intervals as `{mean, low, high, n, p}`."""
    return [
        {str(name): asdict(value) if isinstance(value, Interval) else value for name, value in row.items()}
        for row in table.to_dict("records")
    ]


def _signed_interval(value: Interval | float | None) -> str:
    """`+0.0123 [+0.0020, +0.0226]`; nothing where a row has none."""
    return f"{value.mean:+.4f} [{value.low:+.4f}, {value.high:+.4f}]" if isinstance(value, Interval) else ""


def _figure(value: float | None, form: str) -> str:
    return "" if value is None or np.isnan(value) else format(value, form)
