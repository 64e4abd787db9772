"""The set-wise loop, row by row: `python benchmarks/setwise_ablation.py examples/bazaar.yaml [--set KEY=VALUE ...]`.

Prints the ablation table of a study as Markdown. Every row is a setting of the same agent; what differs stands in
`recloop.simulators.studies.ablation` as ROWS and MORE. `--rows short` leaves MORE out. `--movielens ZIP`
takes MovieLens latest-small (ratings from 4, 5-core) instead of a study file.
"""

import argparse
import time

from recloop.settings import checked, with_settings
from recloop.simulators.batch.progress import watcher
from recloop.simulators.studies.ablation import MORE, ROWS, ablate, as_markdown
from recloop.simulators.studies.study import Study, read_study

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", nargs="?", default="examples/bazaar.yaml")
    parser.add_argument("--movielens", metavar="ZIP")
    parser.add_argument("--rows", choices=["all", "short"], default="all")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument("--negatives", choices=["uniform", "popularity"], default="uniform")
    options = parser.parse_args()
    if options.movielens is None:
        study = read_study(options.study, options.settings)
    else:
        data = {"source": "movielens", "path": options.movielens, "min_rating": 4, "core": 5}
        values = {"name": "ablation-movielens", "data": data, "steps": [{"setwise": {}}]}
        study = checked(Study, with_settings(values, options.settings), "--movielens")
    rows = {**ROWS, **MORE} if options.rows == "all" else ROWS
    wall, cpu = time.monotonic(), time.process_time()
    print(as_markdown(ablate(study, rows, negatives=options.negatives, progress=watcher())))
    print(f"{time.monotonic() - wall:.0f} s, of them {time.process_time() - cpu:.0f} s of CPU")
