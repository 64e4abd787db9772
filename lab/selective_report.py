"""The table of selective guidance as Markdown, from the cells on disk, and how reliable `offline` is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from gate_figures import draw_openings, draw_reliability
from recloop.recsys.data import Split, together
from recloop.recsys.data.groups import cold, head
from recloop.recsys.evaluation import holm, paired
from recloop.recsys.evaluation.intervals import Interval
from recloop.recsys.guidance.truth import truth_pairs
from reliability import reliability
from selective_cells import DATA, MODELS, ROWS, offline_scores, split_of
from selective_taste import taken_and_others

SEEDS = 100
"""Seeds of the table; those from here on are of `tune`."""
CONTROLS = {"global": "random", "held_out": "shuffled"}
"""Rows, and the row of the same settings whose scores say nothing."""
TITLES = {
    "ndcg": "NDCG@10",
    "ndcg cold": "cold users",
    "ndcg tail": "tail items",
    "ndcg head": "head items",
    "auc": "AUC",
    "logloss": "logloss",
}
COLUMNS = tuple(TITLES)
DRAWS = 10_000
"""Of the bootstrap: with fewer no p-value could come below .05 after a correction over 128 differences."""


def report(shared: Path, out: Path, figures: Path, weights: dict[str, float]) -> None:
    every = {name: cells for name, weight in weights.items() if (cells := cells_of(out, name, weight))}
    tested: list[Difference] = []
    for name, cells in every.items():
        tested += differences(name, cells, masks(split_of(name, shared)))
    starred = np.empty(len(tested))
    for column in COLUMNS:
        of = [at for at, one in enumerate(tested) if one.column == column]
        starred[of] = holm([tested[at].spread.p for at in of])
    for name, cells in every.items():
        print(f"\n### {name}, lambda {weights[name]:g}\n\n{described(cells)}")
        mine = [(one, p) for one, p in zip(tested, starred, strict=True) if one.data == name]
        print_cells(cells, mine, masks(split_of(name, shared)))
        figure_lines = {
            model: (np.array(llm_scores[0], np.float64), *llm_scores[1:])
            for (model, row, seed), (_, facts) in cells.items()
            if row == "held_out" and seed == 0 and (llm_scores := facts["opens"])
        }
        if figure_lines:
            print(f"\n{draw_openings(figure_lines, figures / f'selective-opens-{name}.png').name}")
    print(f"\n{len(tested) // len(COLUMNS)} differences a column; below .05 after Holm's correction over the column:")
    for column in COLUMNS:
        collected = sum(p < 0.05 for one, p in zip(tested, starred, strict=True) if one.column == column)
        print(f"{TITLES[column]} {collected}", end="; " if column != COLUMNS[-1] else ".\n")
    if (out / "runs.jsonl").exists():
        runs = [json.loads(line) for line in (out / "runs.jsonl").read_text().splitlines()]
        wall = sum(run["seconds"] for run in runs) / 60
        print(f"Wall clock of `table`: {wall:.0f} minutes in {len(runs)} run(s), {runs[-1]['workers']} processes.")


def reliabilities(shared: Path, out: Path, figures: Path) -> None:
    """`offline` against validation and test side of both data sets together, and the recorded LLM against its ten."""
    figure_lines = {}
    for name in DATA:
        split, scores = split_of(name, shared), offline_scores(name, shared, out)
        pairs = truth_pairs(scores, split.train, together(split.valid, split.test))
        figure_lines[f"offline, {name}"] = lines_of(f"`offline`, {name}", reliability(pairs, scores, split.train))
    llm_scores, train, held, _ = taken_and_others(shared)
    pairs = truth_pairs(llm_scores, train, held)
    figure_lines["recorded LLM, 80 users"] = lines_of(
        "the recorded LLM, 80 users", reliability(pairs, llm_scores, train)
    )
    print(f"\n{draw_reliability(figure_lines, figures / 'selective-reliability.png').name}")


def cells_of(out: Path, name: str, weight: float) -> dict[tuple[str, str, int], tuple[pd.DataFrame, dict]]:
    """(model, row, seed) -> users and facts, of what is on disk."""
    collected = {}
    for model in MODELS:
        for row in ROWS:
            for file in sorted((out / "cells").glob(f"{name}-{model}-{row.replace(' ', '_')}-s*-w{weight:g}.json")):
                seed = int(file.stem.split("-s")[-1].split("-w")[0])
                if seed < SEEDS:
                    collected[model, row, seed] = (
                        pd.read_parquet(file.with_suffix(".parquet")),
                        json.loads(file.read_text()),
                    )
    return collected


def described(cells: dict) -> str:
    train, judge = (sum(facts[part] for _, facts in cells.values()) for part in ("train_cpu", "judge_cpu"))
    seeds = sorted({seed for _, _, seed in cells})
    return (
        f"{len(cells)} trainings, seeds {', '.join(map(str, seeds))}; {train:.0f} CPU seconds of training and "
        f"{judge:.0f} of judging.\n"
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """A row held against another one of the same model, in one column."""

    data: str
    model: str
    row: str
    against: str
    column: str
    spread: Interval


def differences(data: str, cells: dict, groups: dict[str, np.ndarray]) -> list[Difference]:
    """Every row against `none`, and two rows against the control of the same settings; over users and seeds."""
    collected = []
    for model in MODELS:
        for row, against in [*((row, "none") for row in ROWS if row != "none"), *CONTROLS.items()]:
            seeds = [s for s in range(SEEDS) if {(model, row, s), (model, against, s)} <= cells.keys()]
            for column in COLUMNS if seeds else ():
                one, other = (values(cells, model, which, seeds, column, groups) for which in (row, against))
                spread = paired(one, other, np.random.default_rng(0), DRAWS, resample_seeds=len(seeds) > 1)
                collected.append(Difference(data, model, row, against, column, spread))
    return collected


def print_cells(cells: dict, tested: list[tuple[Difference, float]], groups: dict[str, np.ndarray]) -> None:
    """A line a model and row: what `none` reaches, and the differences from it; then those from the controls.

    A star: below .05 after Holm's correction over the column's differences on all data sets (bootstrap p-values).
    """
    titles = " | ".join(TITLES.values()) + " |"
    lines: dict[tuple[str, str, str], list[str]] = {}
    for one, p in tested:
        spread = one.spread
        cell = f"{spread.mean:+.4f} [{spread.low:+.4f}, {spread.high:+.4f}]{' *' if p < 0.05 else ''}"
        lines.setdefault((one.model, one.row, one.against), []).append(cell)
    print(f"| model | row | mean gate | {titles}\n|---|---|--:|---|---|---|---|---|---|")
    for model in dict.fromkeys(model for model, _, _ in cells):
        seeds = [s for m, row, s in cells if m == model and row == "none"]
        means = [np.nanmean(values(cells, model, "none", seeds, column, groups)) for column in COLUMNS]
        print(f"| {model} | none | - | " + " | ".join(f"{mean:.4f}" for mean in means) + " |")
        for (of, row, against), llm_scores in lines.items():
            if of == model and against == "none":
                print(f"| {model} | {row} | {_opened(cells, model, row)} | " + " | ".join(llm_scores) + " |")
    print(f"\n| model | row - control | {titles}\n|---|---|---|---|---|---|---|---|")
    for (model, row, against), llm_scores in lines.items():
        if against != "none":
            print(f"| {model} | {row} - {against} | " + " | ".join(llm_scores) + " |")


def _opened(cells: dict, model: str, row: str) -> str:
    """Mean weight of the pairs in the last epoch, over the seeds."""
    last = [f["gate"][-1]["mean"] for (m, r, _), (_, f) in cells.items() if (m, r) == (model, row) and f["gate"]]
    return f"{np.mean(last):.2f}" if last else "-"


def masks(split: Split) -> dict[str, np.ndarray]:
    few, popular = cold(split.train), head(split.train)
    return {"cold": few, "tail": ~popular, "head": popular}


def values(cells: dict, model: str, row: str, seeds: list[int], column: str, groups: dict) -> np.ndarray:
    """(seeds, users) of one column; NaN outside the group."""
    collected = []
    for seed in seeds:
        users = cells[model, row, seed][0]
        name, _, group = column.partition(" ")
        own = users[name].to_numpy(np.float64)
        if group:
            inside = groups[group][users["user" if group == "cold" else "item"].to_numpy()]
            own = np.where(inside, own, np.nan)
        collected.append(own)
    return np.stack(collected)


def lines_of(name: str, lines: pd.DataFrame) -> pd.DataFrame:
    """Prints the deciles, and gives them back."""
    print(f"\n### How often the order is right: {name}\n")
    print("| by | decile | from | to | users | pairs | agreement |\n|---|--:|--:|--:|--:|--:|---|")
    for row in lines.itertuples():
        ends = "- | -" if row.by == "all" else f"{row.lowest:.0f} | {row.highest:.0f}"
        print_cells = f"{row.agreement:.3f} [{row.low:.3f}, {row.high:.3f}]"
        print(f"| {row.by} | {row.decile or '-'} | {ends} | {row.users} | {row.pairs} | {print_cells} |")
    return lines
