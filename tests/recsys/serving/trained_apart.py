"""Run by torchrun in the tests: trains a model on a small world and writes what this process saw to RANK.json."""

import json
import sys
from pathlib import Path

import numpy as np
from recloop.recsys.data.dataset import PAIR_COLUMNS
from recloop.recsys.models import FitContext, model
from recloop.recsys.models.contract import two_tastes
from recloop.recsys.training.loop import state
from recloop.recsys.training.processes import started_by_torchrun


def world():
    """Unequal weights and a few preference pairs, so that equal parts of rows are no equal parts of the loss."""
    import pandas as pd

    split = two_tastes()
    weight = np.linspace(0.2, 3, len(split.train)).astype(np.float32)
    users = np.arange(9, dtype=np.int32)
    columns = [users, users + 1, users + 2, np.linspace(0.1, 1, 9).astype(np.float32), "agent", "record"]
    pairs = pd.DataFrame(dict(zip(PAIR_COLUMNS, columns, strict=True)))
    train = split.train.with_(interactions=split.train.interactions.assign(weight=weight), pairs=pairs)
    return train, split.valid


def fitted(name, settings, folder, processes, device="cpu"):
    train, valid = world()
    learner = model(name, **settings)
    learner.fit(train, valid, FitContext(seed=1, device=device, threads=1, folder=folder, processes=processes))
    return learner


def main():
    name, settings, out, kept = sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:]
    with started_by_torchrun() as (processes, device):
        learner = fitted(name, settings, Path(kept[0]) if kept else None, processes, device)
        epochs = [(e.loss, e.validation) for e in learner.log.epochs]
        weights = {key: value.tolist() for key, value in state(learner.network).items()}
        told = {"count": processes.count, "epochs": epochs, "best": learner.log.best_epoch, "weights": weights}
    (out / f"{processes.rank}.json").write_text(json.dumps(told | {"threads_left": gloo_threads()}))


def gloo_threads():
    """Names of this process's threads that gloo has started (Linux; elsewhere none is seen)."""
    names = [file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")]
    return [name for name in names if "gloo" in name]


if __name__ == "__main__":
    main()
