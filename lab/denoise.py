"""Finding planted noise in Amazon Toys, with and without a language model's word, and what its removal is worth.

    python lab/denoise.py detect --slow --agent     # every detector: AUC, AP, F1, calibration, cold items
    python lab/denoise.py agent                     # the agent's edits: threshold by validation, guards off
    python lab/denoise.py recorded                  # recorded doubts of a real LLM, alone and with the vote
    python lab/denoise.py local --scores FOLDER     # the same of a local model, from its scores
    python lab/denoise.py retrain --seeds 3         # SASRec and GRU4Rec on raw, denoised, controls, oracle

Doubts and trained cells are kept below --out; a run that was cut off goes on from them. Nothing but the rows named
"learnt from" knows of the mask; thresholds are chosen on the validation windows and reported on the test windows.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from denoise_agent import agent_doubts, agent_table, judged_by_agent
from denoise_detect import Toys, combined, detect_table, doubts_of, windows_at
from denoise_local import chosen_view, local_doubts, local_rows
from denoise_recorded import recorded, said_table
from denoise_retrain import retrain_table
from recloop.recsys.denoising.owners import Doubts

SHARED = Path(__file__).resolve().parents[2] / "shared"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["detect", "agent", "recorded", "local", "retrain"])
    parser.add_argument("--folder", type=Path, default=SHARED, help="the real data and the recorded replies")
    parser.add_argument("--out", type=Path, default=Path("runs/denoise"), help="doubts, cells and tables")
    parser.add_argument("--seeds", type=int, default=3, help="retrain: training seeds")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.1, 0.2, 0.0, 0.05])
    parser.add_argument("--models", nargs="+", default=["sasrec", "gru4rec"])
    parser.add_argument("--partial", action="store_true", help="retrain: only show the cells there are")
    parser.add_argument("--draws", type=int, default=1000, help="of the bootstrap")
    parser.add_argument("--slow", action="store_true", help="detect: EASE and SASRec too")
    parser.add_argument("--agent", action="store_true", help="detect: the agent with provider offline, too")
    parser.add_argument("--scores", type=Path, help="detect, local: folder of the local model's scores-*.parquet")
    chosen = parser.parse_args()
    if chosen.part == "local" and chosen.scores is None:
        parser.error("local needs --scores, the folder of the local model's scores-*.parquet")
    chosen.out.mkdir(parents=True, exist_ok=True)
    if chosen.part == "retrain":
        print(retrain_table(chosen))
        return
    toys = windows_at(chosen.folder / "data" / "amazon-toys-noise" / "noise-0.1")
    if chosen.part == "agent":
        print(agent_table(toys, judged_by_agent(toys, chosen.out)))
        return
    doubts = doubts_of(toys, chosen.out, slow=chosen.slow)
    if chosen.part == "detect":
        if chosen.agent:
            doubts |= agent_doubts(judged_by_agent(toys, chosen.out))
        table, figures = detect_table(toys, doubts | all_combined(toys, doubts, chosen.scores), chosen.draws)
        (chosen.out / "detect.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    else:
        if chosen.part == "local":
            views = local_doubts(toys, chosen.scores)
            who, votes = "local model", views[chosen_view(toys, views)[0]]
        else:
            path = chosen.folder / "replies" / "toys_doubt.jsonl"
            who, votes = "LLM", recorded(toys.data, path)
        table = said_table(toys, doubts | combined(toys, doubts), votes, who, chosen.draws)
    print(table)


def all_combined(toys: Toys, doubts: dict[str, Doubts], scores: Path | None) -> dict[str, Doubts]:
    """The combinations of detectors, and, where its scores are there, the local model alone and with the vote."""
    combinations = combined(toys, doubts)
    return (
        combinations
        if scores is None
        else combinations | local_rows(toys, local_doubts(toys, scores), doubts | combinations)
    )


if __name__ == "__main__":
    main()
