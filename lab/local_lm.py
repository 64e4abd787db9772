"""What local_lm.md says of local language models: scores, speed, and two small ones made and tuned from nothing.

    python lab/local_lm.py bazaar OUT [--world 1]
    python lab/local_lm.py toys OUT --data ../shared/data/amazon-toys-noise/noise-0.1
    python lab/local_lm.py score OUT --data ... [--rows 1000]
    python lab/local_lm.py speed OUT --data ...
    python lab/local_lm.py catalogue OUT --data ...

Every step resumes: a model that is there is not made again. Times are CPU seconds of one thread.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from detector_metrics import paired_auc
from local_lm_speed import timings
from recloop.agents.chat.likelihood import Scored, yes_share
from recloop.agents.chat.local.model import LocalModel, load_model
from recloop.agents.chat.local.scoring import TOKENS, score
from recloop.agents.tuning import TuneLM, doubt_question, find_question, next_doubts, next_questions, tune_on, written
from recloop.agents.tuning.tune_lm import TuneLMFile, sides_of
from recloop.recsys.data.bazaar import World, world
from recloop.recsys.data.dataset import Dataset
from recloop.recsys.data.windows import read_planted, read_windows
from sklearn.metrics import average_precision_score, roc_auc_score
from small_lm import make_small_model, texts_of

VIEWS: dict[str, Callable[[Scored], float]] = {
    "find_first": lambda one: one.first,
    "find_whole": lambda one: one.per_token,
    "find_total": lambda one: one.total,
}
"""Doubts that one find question gives: LLM4DSR's first token, the whole title by its length, the whole title."""
BAZAAR = {"users": 2500, "epochs": 32, "more": 16, "samples": 12800}
TOYS = {"epochs": 16, "samples": 6400}
CHUNK = 200
"""Windows scored at a time."""


def doubts(
    model: LocalModel,
    windows: Sequence[Sequence[str]],
    *,
    judge: bool = True,
    following: bool = False,
    tokens: int = TOKENS,
) -> pd.DataFrame:
    """A row an item of each window: window, place, the find views; judge: 1 - p(Yes); following: `next_doubts`."""
    tables = []
    for low in range(0, len(windows), CHUNK):
        block = windows[low : low + CHUNK]
        view_scores = score(model, [find_question(titles) for titles in block], tokens=tokens)
        rows = [(low + at, place, one) for at, row in enumerate(view_scores) for place, one in enumerate(row)]
        table = pd.DataFrame({"window": [r[0] for r in rows], "place": [r[1] for r in rows]})
        for name, view in VIEWS.items():
            table[name] = [view(one) for _, _, one in rows]
        table["tokens"] = [len(one.logprobs) for _, _, one in rows]
        table["first_token"] = [one.tokens[0] for _, _, one in rows]
        if judge:
            doubted = [doubt_question(titles, at) for titles in block for at in range(len(titles))]
            table["judge"] = [1 - yes_share(row) for row in score(model, doubted, tokens=tokens)]
        if following:
            sets = [next_questions(titles) for titles in block]
            rows_left = iter(score(model, [question for doubted in sets for question in doubted], tokens=tokens))
            table["next"] = [doubt for doubted in sets for doubt in next_doubts([next(rows_left) for _ in doubted])]
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def windows_of(data: Dataset, users: Sequence[int], size: int = 11) -> list[list[str]]:
    """The titles of each user's first `size` rows."""
    titles = data.items["title"].tolist()
    return [[titles[item] for item in data.history(user)[:size]] for user in users]


def measured(table: pd.DataFrame, planted: np.ndarray[Any, Any]) -> dict[str, dict[str, float]]:
    """AUC and AP of each view over all items."""
    views = [name for name in (*VIEWS, "judge", "next") if name in table]
    return {
        name: {
            "auc": round(float(roc_auc_score(planted, table[name])), 4),
            "ap": round(float(average_precision_score(planted, table[name])), 4),
        }
        for name in views
    }


# --- bazaar -----------------------------------------------------------------------------------------------------------


def bazaar(out: Path, seed: int, number: int) -> None:
    """A model made and tuned on 80 % of a bazaar's users; planted noise in windows of 10 % that it has never seen.

    number: the seed of the world. All settings were tried in world 0.
    """
    made = world(number, users=BAZAAR["users"])
    data = made.dataset
    part = data.user % 10
    train, valid = data.rows(part < 8), data.rows(part == 8)
    chooses, unseen = ([user for user in range(data.n_users) if user % 10 == selected] for selected in (8, 9))
    planted = noise_of(made, unseen)
    folder = out / ("bazaar" if number == 0 else f"bazaar-{number}")
    base, first, tuned = (folder / name for name in ("base", "first", "tuned"))
    if not (base / "config.json").exists():
        make_small_model(
            base, texts_of(train), vocabulary=4000, hidden_size=64, feed_forward=128, layers=3, whole_lines=True,
            length=256, seed=seed,
        )  # fmt: skip
    # Made from nothing, a model begins to judge only where its loss counts the prompts, too; later they hold it up.
    began = time.process_time()
    for start, to, changes in (
        (base, first, {"epochs": BAZAAR["epochs"], "learning_rate": 1.5e-3, "prompt_weight": 0.5, "seed": seed}),
        (first, tuned, {"epochs": BAZAAR["more"], "learning_rate": 1e-3, "prompt_weight": 0.0, "seed": seed + 1}),
    ):
        config = TuneLM(
            model=start, method="full", tasks={"find": 1, "judge": 1}, noise="popularity", samples=BAZAAR["samples"],
            batch_size=32, micro_batch=32, warmup=50, valid_samples=1000, patience=8, **changes,
        )  # fmt: skip
        card = tune_on(config, train, valid, to, device="cpu", say=say).card
    figures = {"tuning_cpu_seconds": round(time.process_time() - began), "weights": card["weights"]}
    figures |= {"windows": len(unseen), "items": len(planted), "planted": int(planted.sum())}
    affinity = np.concatenate(
        [-made.affinity(u, data.history(u)[:11], made.phase[data.indptr[u] : data.indptr[u + 1]][:11]) for u in unseen]
    )
    figures["true_affinity_auc"] = round(float(roc_auc_score(planted, affinity)), 4)
    for name, selected in (("untuned", base), ("tuned_first", first), ("tuned", tuned)):
        figures[name] = measured(doubts(load_model(selected, device="cpu"), windows_of(data, unseen)), planted)
    view_scores = measured(doubts(load_model(tuned, device="cpu"), windows_of(data, chooses)), noise_of(made, chooses))
    figures["tuned_valid"] = view_scores
    figures["chosen_on_valid"] = max(view_scores, key=lambda view: view_scores[view]["auc"])
    report(folder / "measured.json", figures)


def noise_of(made: World, users: Sequence[int], size: int = 11) -> np.ndarray[Any, Any]:
    """Which of the first `size` rows of each user are planted noise."""
    starts = made.dataset.indptr
    return np.concatenate([made.noise[starts[user] : starts[user + 1]][:size] for user in users])


# --- toys -------------------------------------------------------------------------------------------------------------


def toys(out: Path, folder: Path, seed: int) -> None:
    """A model made and tuned on train_5000 of the noisy windows; their mask is not read."""
    base, tuned = out / "toys" / "base", out / "toys" / "tuned"
    file = TuneLMFile(
        windows=folder,
        tune_lm=TuneLM(
            model=base, method="full", tasks={"find": 1, "judge": 1}, noise="uniform", samples=TOYS["samples"],
            epochs=TOYS["epochs"], batch_size=32, micro_batch=32, learning_rate=1.5e-3, warmup=50, valid_samples=500,
            patience=6, seed=seed,
        ),
    )  # fmt: skip
    train, valid = sides_of(file)
    toys_base(base, train, seed)
    began = time.process_time()
    card = tune_on(file.tune_lm, train, valid, tuned, device="cpu", say=say).card
    figures = {"tuning_cpu_seconds": round(time.process_time() - began), "weights": card["weights"]}
    report(out / "toys" / "tuned.json", figures | {"best_epoch": card["best_epoch"], "epochs": len(card["epochs"])})


def toys_base(base: Path, train: Dataset, seed: int, width: int = 64, layers: int = 2) -> Path:
    """The model before tuning, `width` numbers a token, made where it is not there yet."""
    if not (base / "config.json").exists():
        make_small_model(
            base,
            texts_of(train),
            vocabulary=8000,
            hidden_size=width,
            feed_forward=2 * width,
            layers=layers,
            length=768,
            seed=seed,
        )
    return base


def score_toys(out: Path, folder: Path, rows: int | None) -> None:
    """`scores-test.parquet` and `scores-valid.parquet`: a row an item, with the doubts of the tuned model.

    Columns user_id (`test:<row>`, as read_windows has it), place, item_id, find_first, find_whole, find_total, judge.
    The view of the better AUC on validation is the one to be reported.
    """
    model = load_model(out / "toys" / "tuned", device="cpu")
    figures: dict[str, Any] = {}
    for side, most in (("valid", min(rows or 1000, 1000)), ("test", rows)):
        data, truth = read_planted(folder / f"{side}.csv")
        users = list(range(data.n_users))[:most]
        selected = data.user < len(users)
        began = time.process_time()
        table = doubts(model, windows_of(data, users))
        seconds = time.process_time() - began
        at = data.interactions[selected]
        table.insert(0, "user_id", data.users["user_id"].to_numpy()[at["user"]])
        table.insert(2, "item_id", data.items["item_id"].to_numpy()[at["item"]])
        table.drop(columns="window").to_parquet(out / "toys" / f"scores-{side}.parquet", index=False)
        planted = truth.planted[selected]
        figures[side] = {"windows": len(users), "items": len(table), "planted": int(planted.sum())}
        figures[side] |= {"cpu_seconds": round(seconds), **measured(table, planted)}
        if side == "test":
            figures["shared_first_token"] = sharing(table, planted)
    figures["chosen_on_valid"] = max((*VIEWS, "judge"), key=lambda name: figures["valid"][name]["auc"])
    report(out / "toys" / "measured.json", figures)


def sharing(table: pd.DataFrame, planted: np.ndarray[Any, Any]) -> dict[str, Any]:
    """First token against whole title on the items whose first token another item of their window has, too."""
    table = table.assign(planted=planted).reset_index(drop=True)
    twins = table[table.groupby(["window", "first_token"])["place"].transform("size") > 1]
    figures: dict[str, Any] = {"items": len(twins), "planted": int(twins["planted"].sum())}
    if 0 < figures["planted"] < len(twins):
        figures |= measured(twins, twins["planted"].to_numpy())
        figures["auc_less_first"] = {name: less_first(twins, name) for name in ("find_whole", "find_total")}
    # Pairs of one window and first token of which one is planted: which of the two is doubted more?
    both = twins[twins["planted"]].merge(twins[~twins["planted"]], on=["window", "first_token"])
    figures["pairs"] = len(both)
    if len(both):
        figures["pairs_won"] = {name: won(both, name) for name in VIEWS}
    return figures


def less_first(table: pd.DataFrame, view: str) -> list[float]:
    """The AUC of a view less that of the first token, and its 95 % interval over windows drawn again."""
    rng = np.random.default_rng([0, 8])
    doubts = table[view].to_numpy(), table["find_first"].to_numpy()
    paired = paired_auc(*doubts, table["planted"].to_numpy(), table["window"].to_numpy(), rng, 1000)
    return [round(paired.value, 4), round(paired.low, 4), round(paired.high, 4)]


def won(both: pd.DataFrame, view: str) -> list[float]:
    """Share of the pairs whose planted item is doubted more, a tie a half, and its 95 % interval over windows."""
    less = both[f"{view}_x"] - both[f"{view}_y"]
    wins = np.where(less.abs() < 1e-5, 0.5, less > 0)
    sums = pd.DataFrame({"window": both["window"], "wins": wins, "pairs": 1}).groupby("window").sum().to_numpy()
    resampled = sums[np.random.default_rng([0, 9]).integers(len(sums), size=(1000, len(sums)))].sum(1)
    low, high = np.quantile(resampled[:, 0] / resampled[:, 1], [0.025, 0.975])
    return [round(float(wins.mean()), 4), round(float(low), 4), round(float(high), 4)]


# --- speed ------------------------------------------------------------------------------------------------------------


def speed(out: Path, data_folder: Path, windows: int, width: int, layers: int, seed: int) -> None:
    """Seconds and largest difference against reading without a cache, on windows of 11 items; by the untuned model."""
    train = read_windows(data_folder / "train_5000.csv")
    base = toys_base(out / "speed" / f"base-{width}x{layers}", train, seed, width, layers)
    model = load_model(base, device="cpu")
    data, _ = read_planted(data_folder / "test.csv")
    full = [user for user in range(data.n_users) if data.user_counts[user] == 11][:windows]
    questions = [find_question(titles) for titles in windows_of(data, full)]
    print(json.dumps(timings(model, questions), indent=1))


# --- the catalogue ----------------------------------------------------------------------------------------------------


def catalogue(out: Path, data_folder: Path) -> None:
    """How many titles of the toys catalogue share a first token with another."""
    model = load_model(out / "toys" / "base", device="cpu")
    names = json.loads((data_folder.parent / "id2name.json").read_text("utf-8"))
    titles = sorted({written(title) for title in names.values()})
    # The line's end before a title is a token of its own, so that the title's first one follows it.
    firsts = [row[1] for row in model.tokenizer([f"\n{t}" for t in titles], add_special_tokens=False)["input_ids"]]
    counts = pd.Series(firsts).value_counts()
    sharing = int(counts[counts > 1].sum())
    print(json.dumps({"titles": len(titles), "share_a_first_token": sharing, "first_tokens": len(counts)}))


def report(file: Path, figures: dict[str, Any]) -> None:
    file.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


def say(line: str) -> None:
    print(f"{time.process_time():.0f} s {line}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["bazaar", "toys", "score", "speed", "catalogue"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/amazon-toys-noise/noise-0.1"))
    parser.add_argument("--rows", type=int, help="score: only so many windows of each side")
    parser.add_argument("--windows", type=int, default=200, help="speed: windows of 11 items")
    parser.add_argument("--width", type=int, default=64, help="speed: numbers a token of the model")
    parser.add_argument("--layers", type=int, default=2, help="speed: layers of the model")
    parser.add_argument("--world", type=int, default=0, help="bazaar: its seed")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.what == "bazaar":
        bazaar(given.out, given.seed, given.world)
    elif given.what == "toys":
        toys(given.out, given.data, given.seed)
    elif given.what == "score":
        score_toys(given.out, given.data, given.rows)
    elif given.what == "speed":
        speed(given.out, given.data, given.windows, given.width, given.layers, given.seed)
    else:
        catalogue(given.out, given.data)


if __name__ == "__main__":
    main()
