"""The denoising agent on the windows, with the provider `offline`: its doubts, its threshold, what its guards spare."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from denoise_detect import Toys
from recloop.agents.agent import Tools
from recloop.agents.catalogue import item_texts
from recloop.agents.chat.offline import offline_chat
from recloop.agents.denoiser import Denoise, Denoiser
from recloop.agents.denoiser.config import Guards, Vote
from recloop.agents.denoiser.doubts import NAME
from recloop.agents.denoiser.guards import guarded
from recloop.agents.memory import ListMemory, tfidf_svd
from recloop.agents.payloads import read_payloads
from recloop.recsys.denoising.owners import Bools, Doubts
from recloop.simulators.batch.records import read_records
from recloop.simulators.batch.runner import run_batch

THRESHOLDS = tuple(round(0.3 + 0.05 * step, 2) for step in range(14))
WEIGHTS = (0.0, 0.25, 0.5, 0.75)
OFF: dict[str, dict[str, float]] = {
    "all guards": {},
    "without the cold guard": {"cold": 0},
    "without the new-interest guard": {"recent": 0},
    "without the budget": {"budget": 1.0},
    "none": {"cold": 0, "recent": 0, "budget": 1.0},
}


@dataclass(frozen=True, slots=True)
class Judged:
    """What the agent knew of every row of the asked windows, before any guard; all (n,), 0 elsewhere.

    vote is that of every item, cold ones too; near: (n, window) likeness to the rows of the same window.
    """

    doubt: Doubts
    score: Doubts
    vote: Doubts
    cold: Bools
    near: npt.NDArray[np.float64]


def judged_by_agent(toys: Toys, out: Path) -> Judged:
    """The agent with default settings over the validation and test windows; records and arrays stay in `out`."""
    data = toys.data
    path = out / f"agent-{data.fingerprint}.npz"
    if not path.is_file():
        texts = list(item_texts(data).values())
        ids = data.users["user_id"]
        users = np.unique(data.user[toys.valid | toys.test])
        embed = tfidf_svd(texts, size=32)
        only = frozenset(ids.to_numpy()[users].tolist())
        agent = Denoiser(Denoise(action="weight"), embed, only=only)
        chat, memory = offline_chat(texts), ListMemory(embed)
        folder = out / f"agent-{data.fingerprint}"
        run_batch(agent, data, lambda task: Tools(chat, memory), folder, seed=0)
        places = {ident: code for code, ident in enumerate(ids)}
        doubt, score, vote = np.zeros(len(data)), np.zeros(len(data)), np.zeros(len(data))
        cold, near = np.zeros(len(data), bool), np.zeros((len(data), int(data.user_counts.max())))
        for _, payload in read_payloads(read_records(folder), NAME):
            first = int(data.indptr[places[payload["user"]]])
            for row in payload["rows"]:
                doubt[first + row["at"]], score[first + row["at"]] = row["doubt"], row["score"]
                cold[first + row["at"]] = row["vote"] is None
        everybody = Denoiser(Denoise(guards=Guards(cold=0)), embed, only=only)
        for task in everybody.tasks(data):
            first = int(data.indptr[places[task.state["user"]]])
            size = len(task.state["items"])
            vote[first : first + size] = task.state["votes"]
            near[first : first + size, :size] = task.state["near"]
        np.savez(path.with_suffix(".partial.npz"), doubt=doubt, score=score, vote=vote, cold=cold, near=near)
        path.with_suffix(".partial.npz").replace(path)
    arrays = np.load(path)
    return Judged(**{name: arrays[name] for name in ("doubt", "score", "vote", "cold", "near")})


def agent_doubts(doubts_of_rows: Judged) -> dict[str, Doubts]:
    """(n,) doubts of the review, and the scores after the vote."""
    return {"agent, offline (no LLM)": doubts_of_rows.doubt, "agent, offline (no LLM) + vote": doubts_of_rows.score}


def edits(doubts_of_rows: Judged, toys: Toys, side: Bools, guards: Guards, weight: float, threshold: float) -> Bools:
    """(n,) the rows of a side that the agent would edit, by its own rule."""
    edited_rows = np.zeros(len(side), bool)
    indptr = toys.data.indptr
    for user in np.unique(toys.data.user[side]):
        rows = slice(int(indptr[user]), int(indptr[user + 1]))
        size = rows.stop - rows.start
        if size < Denoise().least:
            continue
        absent = doubts_of_rows.cold[rows] if guards.cold else np.zeros(size, bool)
        votes = [None if gone else vote for gone, vote in zip(absent, doubts_of_rows.vote[rows].tolist(), strict=True)]
        doubts = doubts_of_rows.doubt[rows].tolist()
        _, edited, _ = guarded(doubts, votes, doubts_of_rows.near[rows, :size], guards, weight, threshold)
        edited_rows[np.array(edited, int) + rows.start] = True
    return edited_rows


def agent_table(toys: Toys, doubts_of_rows: Judged) -> str:
    """Edits of the agent, guards and all: at the default settings and at the best by F1 on the validation windows."""
    planted = toys.truth.planted
    chosen: dict[float, tuple[float, float]] = {}
    for weight in WEIGHTS:
        by = {cut: f1_of(edits(doubts_of_rows, toys, toys.valid, Guards(), weight, cut), planted, toys.valid)[2]
              for cut in THRESHOLDS}  # fmt: skip
        chosen[weight] = max(by.items(), key=lambda one: one[1])
    best = max(chosen, key=lambda weight: chosen[weight][1])
    payload = ", ".join(f"weight {weight:g}: threshold {cut:g}, F1 {f1:.3f}" for weight, (cut, f1) in chosen.items())
    settings = dict.fromkeys([(Vote().weight, Denoise().threshold), (Vote().weight, chosen[Vote().weight][0]),
                              (best, chosen[best][0])])  # fmt: skip
    lines = [f"best on validation: {payload}", ""]
    lines += ["| vote's weight | threshold | guards | edited | precision | recall | F1 | cold / other true edited |"]
    lines.append("|--:|--:|---|--:|--:|--:|--:|---|")
    for weight, cut in settings:
        for name, changed in OFF.items():
            edited = edits(doubts_of_rows, toys, toys.test, Guards(**changed), weight, cut)
            precision, recall, f1 = f1_of(edited, planted, toys.test)
            true = toys.test & ~planted
            over = [f"{edited[true & group].mean():.3f}" for group in (doubts_of_rows.cold, ~doubts_of_rows.cold)]
            lines.append(
                f"| {weight:g} | {cut:g} | {name} | {int(edited.sum())} | {precision:.3f} | {recall:.3f} | {f1:.3f} | "
                f"{' / '.join(over)} |"
            )
    return "\n".join(lines)


def f1_of(edited: Bools, planted: Bools, side: Bools) -> tuple[float, float, float]:
    """Precision, recall and F1 of edits on a side; precision 0 where nothing is edited."""
    hits = int((edited & planted & side).sum())
    precision, recall = hits / max(int(edited[side].sum()), 1), hits / max(int(planted[side].sum()), 1)
    return precision, recall, 2 * hits / max(int(edited[side].sum()) + int(planted[side].sum()), 1)
