"""A taste that changes: `python lab/setwise_change.py [--movielens ZIP] [--users N] [--set KEY=VALUE ...]`.

Each person of this world is two: the first ten choices are one user's, the last six those of another, and the item to
be foretold is the second one's. Rows are ways to forget; who forgets should rank the second user's items better. The
worlds are `bazaar` and MovieLens latest-small (ratings from 4, 5-core), spliced by the study's seed.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from recloop.recsys.data import DataConfig, Dataset, read_movielens
from recloop.recsys.data.bazaar import bazaar
from recloop.settings import checked, with_settings
from recloop.simulators.batch.progress import watcher
from recloop.simulators.studies.ablation import ablate, as_markdown
from recloop.simulators.studies.study import Study

BEFORE, AFTER = 10, 6
ROWS = {
    "as shipped (half-life 10)": {},
    "nothing forgotten": {"forget_below": 0.0},
    "half-life 5": {"half_life": 5.0},
    "half-life 2": {"half_life": 2.0},
    "nothing forgotten, no reflection": {"forget_below": 0.0, "rounds": 0},
}


def spliced(config: DataConfig) -> Dataset:
    """Each user's first BEFORE choices and then the last AFTER of another, whose items the user never had."""
    data = bazaar(config.seed) if config.path is None else read_movielens(config.path)
    if config.path is not None:
        data = data.rows(data.value >= 4)
    able = np.flatnonzero(data.user_counts >= BEFORE + AFTER)
    order = np.random.default_rng([config.seed, 11]).permutation(able)
    partner = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))
    parts = []
    for user, other in sorted(partner.items()):
        first, second = data.history(user)[:BEFORE], data.history(other)[-AFTER:]
        items = [*first, *(item for item in second if item not in first)]
        own = {"user_id": data.users["user_id"].iat[user], "item": items, "timestamp": range(len(items))}
        parts.append(pd.DataFrame(own))
    log = pd.concat(parts, ignore_index=True)
    log["item_id"] = data.items["item_id"].to_numpy()[log["item"]]
    return Dataset.of("spliced", log[["user_id", "item_id", "timestamp"]], data.items)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--movielens", metavar="ZIP", type=Path)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    options = parser.parse_args()
    world = "bazaar" if options.movielens is None else "movielens"
    values = {
        "name": f"change-{world}",
        "data": {
            "source": "setwise_change:spliced",
            "path": options.movielens,
            "split": {"leave_last_out": {"valid": 0, "test": 1}},
        },
        "steps": [{"setwise": {"users": options.users}}],
    }
    study = checked(Study, with_settings(values, options.settings), "the spliced world")
    print(as_markdown(ablate(study, rows=ROWS, progress=watcher())))
