"""Do edits that read nothing beat the controls? A null study a hundred times, and the coverage of its intervals.

    python benchmarks/controls.py rules --data ml-latest-small.zip --runs 100 --out runs.jsonl
    python benchmarks/controls.py coverage --studies 400

`rules`: a content-free rule edits the train side, itemknn and popularity are trained on raw, on the edit and on both
controls, and the verdict is made as a study makes it. Each run has a random 60 % of the users and a seed of its own.
Each run is a line of `--out`; runs that stand there are not made again.
`coverage`: synthetic per-user values without any effect of the variant, with an effect of the training seed.
"""

from __future__ import annotations

import argparse
import json
import time
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from recloop.recsys.controls import balance, popularity_edit, random_edit
from recloop.recsys.controls.strata import places
from recloop.recsys.data import Dataset, Split
from recloop.recsys.data.splits import leave_last_out
from recloop.recsys.evaluation import compare, evaluate, holm
from recloop.recsys.evaluation.intervals import resampled_means, summarised
from recloop.recsys.models import FitContext, model
from recloop.simulators.studies.report import conclusions

CONTROLS = {"random_edit": random_edit, "popularity_edit": popularity_edit}
RULES = ("popular", "oldest")


def content_free(raw: Dataset, rule: str, rng: np.random.Generator) -> Dataset:
    """`popular` adds each user's 5 most popular unseen items; `oldest` drops 60 % of the oldest third of histories."""
    if rule == "oldest":
        old = places(raw) >= 2 * raw.user_counts[raw.user] / 3
        return raw.rows(~(old & (rng.random(len(raw)) < 0.6)))
    ranked = np.argsort(-raw.item_counts, kind="stable")
    new = [
        (user, item, raw.timestamp[raw.indptr[user + 1] - 1])
        for user in np.flatnonzero(raw.user_counts)
        for item in ranked[~np.isin(ranked, raw.history(int(user)))][:5]
    ]
    added = pd.DataFrame(new, columns=["user", "item", "timestamp"]).assign(value=1.0, weight=1.0)
    added = added.astype({"user": np.int32, "item": np.int32, "value": np.float32, "weight": np.float32})
    return raw.with_(interactions=pd.concat([raw.interactions, added], ignore_index=True))


def ratings(path: Path) -> pd.DataFrame:
    """MovieLens latest-small's ratings."""
    with zipfile.ZipFile(path) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("ratings.csv")]
        frame = pd.read_csv(archive.open(name))
    return frame.rename(columns={"userId": "user_id", "movieId": "item_id", "rating": "value"})


def one_run(log: pd.DataFrame, rule: str, models: dict[str, dict[str, Any]], seed: int) -> dict[str, Any]:
    """The verdict on one rule and one sample of users.

    helps: whether any model's conclusion says so. above: what refined beats after correction. uncorrected: the same
    before correction. balance: means over the edited rows by variant.
    """
    rng = np.random.default_rng([seed, len(rule)])
    users = rng.permutation(log["user_id"].unique())
    split: Split = leave_last_out(
        Dataset.of("ml", log[log["user_id"].isin(users[: int(0.6 * len(users))])].reset_index(drop=True))
    )
    raw = split.train
    refined = content_free(raw, rule, rng)
    sides = {"raw": raw, "refined": refined} | {name: make(raw, refined, rng) for name, make in CONTROLS.items()}
    values = []
    for name, settings in models.items():
        for variant, train in sides.items():
            fitted = model(name, **settings)
            fitted.fit(train, split.valid, FitContext(seed))
            tidy = evaluate(fitted, split, metrics=["ndcg@10"]).tidy()
            values.append(tidy.assign(model=name, variant=variant, seed=0))
    table = compare(pd.concat(values), controls=tuple(CONTROLS), seed=seed)
    rows = table[(table["variant"] == "refined") & (table["against"] != "") & (table["group"] == "all")]
    higher = rows[rows["difference"] > 0]
    above, uncorrected = higher[higher["p_holm"] <= 0.05], higher[higher["p"] <= 0.05]
    means = balance(raw, {k: v for k, v in sides.items() if k != "raw"}, refined).set_index("variant")
    return {
        "rule": rule,
        "seed": seed,
        "helps": any(": helps" in line for line in conclusions(table, "ndcg@10")),
        "above": sorted(set(above["against"])),
        "uncorrected": sorted(set(uncorrected["against"])),
        "balance": {k: means.loc[k, ["popularity", "place", "activity", "shared"]].to_dict() for k in means.index},
    }


def coverage(studies: int, users: int, seeds: int, spread: float, resample: bool) -> dict[str, float]:
    """Null studies of 4 models x 3 comparisons: share of intervals that hold 0, of studies with any corrected p <= .05,
    and of studies with any uncorrected one."""
    held, corrected, raw = [], [], []
    for study in range(studies):
        rng = np.random.default_rng([study, int(spread * 1e6)])
        values = rng.normal(0, 0.05, (users, 4, 4, seeds)) + rng.normal(0, spread, (1, 4, 4, seeds))
        differences = (values[:, :, 1:2] - values[:, :, [0, 2, 3]]).reshape(users, 12, seeds)
        means = resampled_means(differences if resample else differences.mean(axis=2, keepdims=True), rng, 1000)
        observed = differences.mean(axis=(0, 2))
        rows = [summarised(float(mean), column, users) for mean, column in zip(observed, means.T, strict=True)]
        held.append(np.mean([row.low <= 0 <= row.high for row in rows]))
        corrected.append((holm([row.p for row in rows]) <= 0.05).any())
        raw.append(any(row.p <= 0.05 for row in rows))
    figures = {"coverage": np.mean(held), "family-wise": np.mean(corrected), "uncorrected": np.mean(raw)}
    return {name: round(float(value), 3) for name, value in figures.items()}


def finished_runs(log: pd.DataFrame, rule: str, number: int, out: Path) -> list[dict[str, Any]]:
    """The runs of one rule with seeds 0 to `number` - 1: read from `out`, the missing ones made and appended."""
    lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    runs = {run["seed"]: run for run in map(json.loads, lines) if run["rule"] == rule}
    for seed in range(number):
        if seed not in runs:
            runs[seed] = one_run(log, rule, {"itemknn": {}, "popularity": {}}, seed)
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(runs[seed]) + "\n")
    return [runs[seed] for seed in range(number)]


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts over the runs of a rule, and the balance of popularity_edit as means over the runs."""
    ratios = {
        column: np.mean([run["balance"]["popularity_edit"][column] / run["balance"]["refined"][column] for run in runs])
        for column in ("popularity", "place", "activity")
    }
    return {
        "rule": runs[0]["rule"],
        "runs": len(runs),
        "helps": sum(run["helps"] for run in runs),
        "above": Counter(name for run in runs for name in run["above"]),
        "above any control": sum(bool(set(run["above"]) & set(CONTROLS)) for run in runs),
        "uncorrected": Counter(name for run in runs for name in run["uncorrected"]),
        "popularity_edit / refined": {column: round(float(ratio), 4) for column, ratio in ratios.items()},
        "shared": round(float(np.mean([run["balance"]["popularity_edit"]["shared"] for run in runs])), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["rules", "coverage"])
    parser.add_argument("--data", type=Path, default=Path("ml-latest-small.zip"))
    parser.add_argument("--rule", choices=RULES, action="append", help="one rule only")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("controls-runs.jsonl"), help="a line a run")
    parser.add_argument("--studies", type=int, default=400)
    given = parser.parse_args()
    began = time.monotonic()
    if given.what == "rules":
        log = ratings(given.data)
        for rule in given.rule or RULES:
            print(json.dumps(summary(finished_runs(log, rule, given.runs, given.out))), flush=True)
    else:
        for spread in (0.0, 0.003, 0.006):
            for resample in (False, True):
                figures = coverage(given.studies, 300, 3, spread, resample)
                print(json.dumps({"seed sd": spread, "seeds": "drawn" if resample else "fixed"} | figures), flush=True)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
