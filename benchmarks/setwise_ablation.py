"""`recloop ablate` with its time: `python benchmarks/setwise_ablation.py examples/bazaar.yaml [--set KEY=VALUE ...]`.

`--rows short` leaves out the rows of `recloop.simulators.studies.ablation.MORE`. `--movielens ZIP` takes MovieLens
latest-small (ratings from 4, 5-core) instead of a study file.
"""

import argparse
import time

import recloop
from recloop.simulators.batch.progress import watcher
from recloop.simulators.studies.ablation import as_markdown

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", nargs="?", default="examples/bazaar.yaml")
    parser.add_argument("--movielens", metavar="ZIP")
    parser.add_argument("--rows", choices=["all", "short"], default="all")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument("--negatives", choices=["uniform", "popularity"], default="uniform")
    options = parser.parse_args()
    data = {"source": "movielens", "path": options.movielens, "min_rating": 4, "core": 5}
    movielens = {"name": "ablation-movielens", "data": data, "steps": ["setwise"]}
    study = options.study if options.movielens is None else movielens
    wall, cpu = time.monotonic(), time.process_time()
    table = recloop.ablate(study, options.settings, rows=options.rows, negatives=options.negatives, progress=watcher())
    print(as_markdown(table))
    print(f"{time.monotonic() - wall:.0f} s, of them {time.process_time() - cpu:.0f} s of CPU")
