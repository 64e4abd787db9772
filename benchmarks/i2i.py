"""What generated interactions are worth to item-to-item models: bazaar, ml-latest-small, amazon-games.

    python benchmarks/i2i.py bazaar                       # tables, curves, RealPair and, on bazaar, the true tastes
    python benchmarks/i2i.py ml-latest-small --seeds 3
    python benchmarks/i2i.py amazon-games --users 5000 --models swing bm25 --ask-about 10000
    python benchmarks/i2i.py swing                        # Swing's time and memory on 440,264 interactions

The model asked is `offline`, TF-IDF similarity of the texts shown, unless --llm names a file of llm settings.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from recloop.agents.fusion import is_generated
from recloop.recsys.data import Dataset
from recloop.recsys.data.atomic import read_atomic
from recloop.recsys.data.bazaar import World, world
from recloop.recsys.models import FitContext, model
from recloop.simulators.batch.progress import watcher
from recloop.simulators.i2i import ItemStudy, ItemStudyResult, study_i2i
from recloop.simulators.i2i.config import MODELS
from recloop.simulators.i2i.report import write_result
from recloop.simulators.studies.study import Study
from sklearn.metrics import roc_auc_score

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=["bazaar", "ml-latest-small", "amazon-games", "swing"])
    parser.add_argument("--folder", type=Path, default=SHARED, help="the real data")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="run folders, replies and pictures")
    parser.add_argument("--llm", type=Path, help="YAML of llm settings; else the provider offline")
    parser.add_argument("--size", type=int, default=500, help="users of bazaar")
    parser.add_argument("--world", type=int, default=0, help="the seed of bazaar")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--curves", nargs="+", choices=MODELS, help="models whose curves are drawn; else all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--users", type=int, help="most users judged on the test side")
    parser.add_argument("--ask-about", type=int, help="most users the agents are asked about")
    parser.add_argument("--real", type=int, help="most real rows judged of one user")
    parser.add_argument("--noise", type=float, default=0.15, help="share of held-out real rows below which is noise")
    parser.add_argument("--epochs", type=int, default=50)
    chosen = parser.parse_args()
    if chosen.data == "swing":
        print(swing_speed(chosen.folder))
        return
    worth = study_i2i(study_of(chosen), progress=watcher())
    title = f"{chosen.data}, offline (no LLM)" if chosen.llm is None else f"{chosen.data}, {chosen.llm.stem}"
    folder = chosen.out / f"i2i-{chosen.data}"
    report = write_result(worth, folder, title, "recall@10")
    print(report.read_text(encoding="utf-8"))
    if chosen.data == "bazaar":
        print(truth(worth, world(chosen.world, chosen.size)))
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def study_of(chosen: argparse.Namespace) -> ItemStudy:
    """The study of one dataset; what differs between them is where the data comes from."""
    data: dict[str, dict[str, Any]] = {
        "bazaar": {"source": "bazaar", "seed": chosen.world, "n_users": chosen.size},
        "ml-latest-small": {
            "source": "movielens",
            "path": chosen.folder / "ml-latest-small" / "ml-latest-small.zip",
            "min_rating": 4,
            "core": 5,
        },
        "amazon-games": {"source": "atomic", "path": chosen.folder / "amazon-games"},
    }
    generate = {"users": chosen.ask_about} if chosen.ask_about else {}
    discriminate = generate | ({"real": chosen.real} if chosen.real else {}) | {"noise": {"quantile": chosen.noise}}
    study = Study(
        name=f"i2i-{chosen.data}",
        data=data[chosen.data],
        llm=yaml.safe_load(chosen.llm.read_text(encoding="utf-8")) if chosen.llm else {"provider": "offline"},
        memory={"store": "process"},
        steps=[{"generate": generate}, {"discriminate": discriminate}],
        train={"seeds": list(range(chosen.seeds)), "models": ["itemknn"]},
        evaluate={"metrics": ["recall@10", "ndcg@10"], "groups": ["head", "tail", "cold", "warm"]},
        out=chosen.out,
    )
    return ItemStudy(
        study=study,
        models={label: _short(MODELS[label], chosen.epochs) for label in chosen.models},
        curves=tuple(chosen.curves) if chosen.curves else None,
        users=chosen.users,
        seeds_of_curves=chosen.seeds,
    )


def _short(entry: dict[str, dict[str, Any]], epochs: int) -> dict[str, dict[str, Any]]:
    """The entry with so many epochs at most, and a look at the validation side every second one."""
    [(name, settings)] = entry.items()
    if settings["model"] not in ("bpr", "youtubednn"):
        return entry
    return {name: settings | {"settings": {"epochs": epochs, "evaluate_every": 2, "patience": 5}}}


def truth(worth: ItemStudyResult, made: World) -> str:
    """What the added pairs are worth by the world's own tastes, and what the confidence says of its planted noise.

    A pair is right if its item is among the tenth of all items unseen in train that suit the user best at the end of
    their history: .10 by chance.
    """
    lines = ["## Against the latent tastes", "", "| variant | pairs | right | mean affinity | mean percentile |"]
    lines.append("|---|--:|--:|--:|--:|")
    ranks, affinity = _percentiles(worth.split.train, made)
    for name, variant in worth.variants.items():
        data = variant.train(0)
        if name in ("raw", "both_filters"):
            continue
        new = is_generated(data) if name.startswith(("gen", "disc")) else _is_control(data)
        user, item = data.user[new], data.item[new]
        of = ranks[user, item]
        suits = affinity[user, item].mean()
        lines.append(f"| {name} | {len(user):,} | {np.mean(of >= 0.9):.3f} | {suits:.3f} | {of.mean():.3f} |")
    real_rows = ~np.isnan(worth.refined.real)
    noise = made.noise_in(worth.split.train)
    sure = worth.refined.real[real_rows]
    auc_text = (
        f"{roc_auc_score(~noise[real_rows], sure):.3f} ({int(noise[real_rows].sum())} of {real_rows.sum()} planted)"
    )
    lines += ["", f"AUC of the confidence, real rows of the user's own taste against planted noise: {auc_text}"]
    rows = worth.refined.rows.dropna(subset="confidence")
    right = ranks[rows["user"], rows["item"]] >= 0.9
    lines.append(f"AUC of the confidence, right generated pairs against the others: {_auc(right, rows['confidence'])}")
    held = made.noise_in(worth.split.train) & (worth.refined.both.weight[~is_generated(worth.refined.both)] < 1)
    flagged = int((worth.refined.both.weight < 1).sum())
    lines.append(
        f"real rows held for noise: {flagged}, of which planted: {int(held.sum())}; planted in all: {noise.sum()}"
    )
    return "\n".join(lines) + "\n"


def _auc(right: np.ndarray, sure: pd.Series) -> str:
    return f"{roc_auc_score(right, sure):.3f}" if right.any() and not right.all() else "undefined"


def _percentiles(train: Dataset, made: World) -> tuple[np.ndarray, np.ndarray]:
    """(n_users, n_items) where each item stands among those the user has not had, 1 is best; and the affinities."""
    users = np.arange(train.n_users)
    affinity = np.stack([made.affinity(user, np.arange(train.n_items)) for user in users])
    open_ = affinity.copy()
    open_[train.user, train.item] = np.nan
    return pd.DataFrame(open_).rank(axis=1, pct=True).to_numpy(), affinity


def _is_control(data: Dataset) -> np.ndarray:
    return (data.interactions["origin"] == "control").to_numpy()


def swing_speed(folder: Path) -> str:
    data = read_atomic(folder / "amazon-games")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    began = time.perf_counter()
    swing = model("swing")
    swing.fit(data, None, FitContext(threads=1))
    spent = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return (
        f"Swing, {len(data):,} interactions, {data.n_users:,} users, {data.n_items:,} items: {spent:.1f} s, "
        f"peak {peak:.2f} GiB ({before:.2f} before), {swing.similarity.nnz:,} neighbours"
    )


if __name__ == "__main__":
    main()
