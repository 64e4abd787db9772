"""The set-wise loop, row by row: `python benchmarks/setwise_ablation.py examples/bazaar.yaml [--set KEY=VALUE ...]`.

Prints the ablation table of a study as Markdown. Every row is a setting of the same agent; what differs stands in
`recloop.simulators.ablation.ROWS`.
"""

import argparse

from recloop.simulators.ablation import ablate, as_markdown
from recloop.simulators.progress import watcher
from recloop.simulators.study import read_study

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument("--negatives", choices=["uniform", "popularity"], default="uniform")
    options = parser.parse_args()
    study = read_study(options.study, options.settings)
    print(as_markdown(ablate(study, negatives=options.negatives, progress=watcher())))
