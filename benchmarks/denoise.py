"""Finding planted noise in Amazon Toys, with and without a language model's word, and what its removal is worth.

    python benchmarks/denoise.py detect                    # every detector: AUC, AP, F1, calibration, cold items
    python benchmarks/denoise.py recorded                  # recorded doubts of a real LLM, alone and with the vote
    python benchmarks/denoise.py retrain --seeds 2         # SASRec and GRU4Rec on raw, denoised, controls, oracle

Doubts and trained cells are kept below --out; a run that was cut off goes on from them. Nothing but the rows named
"learnt from" knows of the mask; thresholds are chosen on the validation windows and reported on the test windows.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from denoise_agent import agent_doubts
from denoise_detect import detect_table, doubts_of, windows_at
from denoise_recorded import recorded_table
from denoise_retrain import retrain_table

SHARED = Path(__file__).resolve().parents[2] / "shared"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["detect", "recorded", "retrain"])
    parser.add_argument("--folder", type=Path, default=SHARED, help="the real data and the recorded replies")
    parser.add_argument("--out", type=Path, default=Path("runs/denoise"), help="doubts, cells and tables")
    parser.add_argument("--seeds", type=int, default=2, help="retrain: training seeds")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.0, 0.05, 0.1, 0.2])
    parser.add_argument("--models", nargs="+", default=["sasrec", "gru4rec"])
    parser.add_argument("--epochs", type=int, default=20, help="retrain: at most so many")
    parser.add_argument("--draws", type=int, default=1000, help="of the bootstrap")
    parser.add_argument("--slow", action="store_true", help="detect: EASE and SASRec too")
    parser.add_argument("--agent", action="store_true", help="detect: the agent with provider offline, too")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    if chosen.part == "retrain":
        print(retrain_table(chosen))
        return
    toys = windows_at(chosen.folder / "data" / "amazon-toys-noise" / "noise-0.1")
    doubts = doubts_of(toys, chosen.out, slow=chosen.slow)
    if chosen.part == "detect":
        if chosen.agent:
            doubts |= agent_doubts(toys, chosen.out)
        table, told = detect_table(toys, doubts, chosen.draws)
        (chosen.out / "detect.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    else:
        table = recorded_table(toys, doubts, chosen.folder / "replies" / "toys_doubt.jsonl", chosen.draws)
    print(table)


if __name__ == "__main__":
    main()
