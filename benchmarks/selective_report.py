"""The table of selective guidance as Markdown, from the cells on disk, and how reliable `offline` is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from recloop.recsys.data import Split, together
from recloop.recsys.data.groups import cold, head
from recloop.recsys.evaluation import holm, paired
from recloop.recsys.guidance.figures import draw_reliability
from recloop.recsys.guidance.reliability import reliability
from recloop.recsys.guidance.truth import truth_pairs
from selective_cells import DATA, MODELS, ROWS, offline_scores, split_of
from selective_taste import taken_and_others

COLUMNS = ("ndcg", "ndcg cold", "ndcg tail", "ndcg head", "auc", "logloss")


def report(shared: Path, out: Path, weights: dict[str, float]) -> None:
    for name, weight in weights.items():
        cells = kept(out, name, weight)
        if cells:
            print(f"\n### {name}, lambda {weight:g}\n\n{described(cells)}")
            differences(cells, split_of(name, shared))


def reliabilities(shared: Path, out: Path, figures: Path) -> None:
    """`offline` against validation and test side of both data sets together, and the recorded LLM against its ten."""
    drawn = {}
    for name in DATA:
        split, scores = split_of(name, shared), offline_scores(name, shared, out)
        pairs = truth_pairs(scores, split.train, together(split.valid, split.test))
        drawn[f"offline, {name}"] = lines_of(f"`offline`, {name}", reliability(pairs, scores, split.train))
    told, train, held, _ = taken_and_others(shared)
    pairs = truth_pairs(told, train, held)
    drawn["recorded LLM, 80 users"] = lines_of("the recorded LLM, 80 users", reliability(pairs, told, train))
    print(f"\n{draw_reliability(drawn, figures / 'selective-reliability.png').name}")


def kept(out: Path, name: str, weight: float) -> dict[tuple[str, str, int], tuple[pd.DataFrame, dict]]:
    """(model, row, seed) -> users and facts, of what is on disk."""
    found = {}
    for model in MODELS:
        for row in ROWS:
            for file in sorted((out / "cells").glob(f"{name}-{model}-{row.replace(' ', '_')}-s*-w{weight:g}.json")):
                seed = int(file.stem.split("-s")[-1].split("-w")[0])
                if seed < 100:
                    found[model, row, seed] = (
                        pd.read_parquet(file.with_suffix(".parquet")),
                        json.loads(file.read_text()),
                    )
    return found


def described(cells: dict) -> str:
    seconds = sum(facts["seconds"] for _, facts in cells.values())
    seeds = sorted({seed for _, _, seed in cells})
    return (
        f"{len(cells)} trainings, seeds {', '.join(map(str, seeds))}, {seconds / 60:.0f} minutes of training in all.\n"
    )


def differences(cells: dict, split: Split) -> None:
    """A line a model and row: means, and differences from `none` with intervals over users and seeds.

    A star: below .05 after Holm's correction over all differences of this table (bootstrap p-values).
    """
    groups = masks(split)
    lines, tested = [], []
    for model in MODELS:
        seeds = sorted({s for m, r, s in cells if m == model and r == "none"})
        if not seeds:
            continue
        none = {column: values(cells, model, "none", seeds, column, groups) for column in COLUMNS}
        for row in ROWS:
            shared_seeds = [s for s in seeds if (model, row, s) in cells]
            if not shared_seeds:
                continue
            gate = [cells[model, row, s][1]["gate"] for s in shared_seeds]
            heard = np.mean([log[-1]["mean"] for log in gate if log]) if all(gate) else np.nan
            line = [model, row, str(len(shared_seeds)), "-" if np.isnan(heard) else f"{heard:.2f}"]
            for column in COLUMNS:
                own = values(cells, model, row, shared_seeds, column, groups)
                if row == "none":
                    line.append(f"{np.nanmean(own):.4f}")
                    continue
                base = none[column][[seeds.index(s) for s in shared_seeds]]
                spread = paired(own, base, np.random.default_rng(0), resample_seeds=len(shared_seeds) > 1)
                tested.append((len(lines), len(line), spread.p))
                line.append(f"{spread.mean:+.4f} [{spread.low:+.4f}, {spread.high:+.4f}]")
            lines.append(line)
    for (at, column, _), p in zip(tested, holm([p for *_, p in tested]), strict=True):
        if p < 0.05:
            lines[at][column] += " *"
    print("| model | row | seeds | mean gate | NDCG@10 | cold users | tail items | head items | AUC | logloss |")
    print("|---|---|--:|--:|---|---|---|---|---|---|")
    for line in lines:
        print("| " + " | ".join(line) + " |")


def masks(split: Split) -> dict[str, np.ndarray]:
    few, popular = cold(split.train), head(split.train)
    return {"cold": few, "tail": ~popular, "head": popular}


def values(cells: dict, model: str, row: str, seeds: list[int], column: str, groups: dict) -> np.ndarray:
    """(seeds, users) of one column; NaN outside the group."""
    found = []
    for seed in seeds:
        users = cells[model, row, seed][0]
        name, _, group = column.partition(" ")
        own = users[name].to_numpy(np.float64)
        if group:
            inside = groups[group][users["user" if group == "cold" else "item"].to_numpy()]
            own = np.where(inside, own, np.nan)
        found.append(own)
    return np.stack(found)


def lines_of(name: str, lines: pd.DataFrame) -> pd.DataFrame:
    """Prints the deciles, and gives them back."""
    print(f"\n### How often the order is right: {name}\n")
    print("| by | decile | from | to | users | pairs | agreement |\n|---|--:|--:|--:|--:|--:|---|")
    for row in lines.itertuples():
        ends = "- | -" if row.by == "all" else f"{row.lowest:.0f} | {row.highest:.0f}"
        shown = f"{row.agreement:.3f} [{row.low:.3f}, {row.high:.3f}]"
        print(f"| {row.by} | {row.decile or '-'} | {ends} | {row.users} | {row.pairs} | {shown} |")
    return lines
