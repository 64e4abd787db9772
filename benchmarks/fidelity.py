"""The fidelity suite on real data: `python benchmarks/fidelity.py cds-dense --shared ../shared [--set KEY=VALUE ...]`.

Worlds: `cds-dense`, `cds-sparse` (AgentCF's samples with the lists they ship and the recorded rankings), `movielens`
(500 users, every protocol, recorded taste scores), `games` (LLMRank's 19 + 1), `bazaar` (the built-in world). All are
answered by `offline`, which is no language model, unless `--set llm...` says otherwise. Figures: `fidelity.md`.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from recloop.settings import checked, with_settings
from recloop.simulators.batch.progress import watcher
from recloop.simulators.fidelity.report import show
from recloop.simulators.fidelity.suite import fidelity
from recloop.simulators.studies.study import Study
from rich.console import Console

LAST_TEN = {"leave_last_out": {"valid": 0, "test": 10}}


def study_of(world: str, shared: Path) -> dict[str, Any]:
    data, replies = shared / "data", shared / "replies"
    base: dict[str, Any] = {"name": f"fidelity-{world}", "llm": {"provider": "offline"}, "steps": [{"setwise": {}}]}
    if world.startswith("cds-"):
        kind = world.removeprefix("cds-")
        folder = data / "cds-100"
        lists = {
            "lists": folder / kind / f"CDs-100-user-{kind}.random",
            "recorded": {"LLM asked once": replies / f"cds_{kind}_ranking.jsonl"},
        }
        return base | {
            "data": {"source": "atomic", "path": folder / kind, "items": folder / "CDs.item"},
            "steps": [{"setwise": {"walk": 3, "seed_items": 3}}],
            "fidelity": {"users": 100, "protocols": ["agentcf"], "agentcf": lists},
        }
    if world == "movielens":
        recorded = {
            "LLM asked once": replies / "ml_latest_small_taste.jsonl",
            "LLM, titles hidden": replies / "ml_latest_small_taste_masked.jsonl",
        }
        path = data / "ml-latest-small" / "ml-latest-small.zip"
        return base | {
            "data": {"source": "movielens", "path": path, "split": LAST_TEN},
            "fidelity": {"users": 500, "min_history": 20, "taste": {"recorded": recorded}},
        }
    if world == "games":
        folder = data / "amazon-games"
        return base | {
            "data": {"source": "atomic", "path": folder / "Games-6k.test.inter", "items": folder / "Games-6k.item"},
            "fidelity": {"users": 200, "protocols": ["llmrank"]},
        }
    return base | {"data": {"source": "bazaar", "split": LAST_TEN}, "fidelity": {"users": 100}}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", choices=["cds-dense", "cds-sparse", "movielens", "games", "bazaar"])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    options = parser.parse_args()
    values = with_settings(study_of(options.world, options.shared), options.settings)
    wall, cpu = time.monotonic(), time.process_time()
    report = fidelity(checked(Study, values, options.world), progress=watcher())
    show(report, Console(width=220))
    print(f"\n{time.monotonic() - wall:.0f} s, of them {time.process_time() - cpu:.0f} s of CPU; {report.folder}")
