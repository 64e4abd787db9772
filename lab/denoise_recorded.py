"""Doubts of a language model, the recorded ones of 150 windows or a local model's, beside collaborative evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from denoise_detect import LOG, SEED, Toys, span
from detector_combination import rank_sum
from detector_metrics import judge, paired_auc
from recloop.recsys.data import Dataset
from recloop.recsys.denoising.owners import Doubts, owners


def recorded(data: Dataset, path: Path) -> Doubts:
    """(n,) doubt in [0, 1] of each row of the windows that were asked about, NaN elsewhere."""
    places = {ident: code for code, ident in enumerate(data.users["user_id"])}
    doubts_of_rows = np.full(len(data), np.nan)
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        user = places[f"test:{record['row']}"]
        rows = slice(int(data.indptr[user]), int(data.indptr[user + 1]))
        assert len(record["doubt"]) == rows.stop - rows.start, f"window {record['row']} has another length"
        doubts_of_rows[rows] = np.array(record["doubt"]) / 100
    return doubts_of_rows


def said_table(toys: Toys, doubts: Mapping[str, Doubts], llm_doubts: Doubts, who: str, draws: int) -> str:
    """AUC and AP on the test windows that `who` was asked about, and the paired difference to `who` alone, over owners
    drawn again.

    said: (n,) doubts, NaN elsewhere. Nothing is chosen on these windows: every vote is shown, ranks count alike.
    """
    here = toys.test & ~np.isnan(llm_doubts)
    truth, group = toys.truth.planted[here], owners(toys.data)[toys.data.user[here]]
    alone = llm_doubts[here]
    others = {name: doubt[here] for name, doubt in doubts.items() if name != "random"}
    rows = {f"{who} alone": alone, **others}
    votes = (f"ItemKNN coherence, {LOG}", f"low popularity, {LOG}", "combination, self-planted noise")
    mixed = {f"{who} + {name} (rank sum)": others[name] for name in (*votes, "combination, truth of train_5000")}
    rows |= {name: rank_sum({"said": alone, "vote": vote}) for name, vote in mixed.items()}
    lines = [f"| doubt | AUC | AP | AUC less that of {who} | less that of the vote |", "|---|---|---|---|---|"]
    for name, doubt in rows.items():
        verdict = judge(doubt, truth, float("inf"), group, np.random.default_rng([SEED, 6]), draws)
        less = [
            _against(doubt, other, truth, group, draws) if other is not None else ""
            for other in (alone, mixed.get(name))
        ]
        lines.append(f"| {name} | {span(verdict.auc)} | {span(verdict.ap)} | {' | '.join(less)} |")
    windows = len(np.unique(toys.data.user[here]))
    head = f"{windows} windows of {len(set(group))} owners, {len(truth)} rows, {int(truth.sum())} planted"
    return "\n".join([head, "", *lines])


def _against(doubt: Doubts, alone: Doubts, truth: np.ndarray, group: np.ndarray, draws: int) -> str:
    paired = paired_auc(doubt, alone, truth, group, np.random.default_rng([SEED, 7]), draws)
    return f"{paired.value:+.3f} [{paired.low:+.3f}, {paired.high:+.3f}]"
