"""The denoising agent on the windows, with the provider `offline`: its doubts, and its scores after the vote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from denoise_detect import Toys
from recloop.agents.agent import Tools
from recloop.agents.catalogue import item_texts
from recloop.agents.chat.offline import offline_chat
from recloop.agents.denoiser import Denoise, Denoiser
from recloop.agents.denoiser.fold import payloads
from recloop.agents.memory import ListMemory, tfidf_svd
from recloop.recsys.denoising.owners import Doubts
from recloop.simulators.batch import run_batch
from recloop.simulators.records import read_records


def agent_doubts(toys: Toys, out: Path) -> dict[str, Doubts]:
    """(n,) doubts of the review, and its scores; 0 where no window was asked about. Records stay in `out`."""
    data = toys.data
    texts = list(item_texts(data).values())
    asked = np.unique(data.user[toys.valid | toys.test])
    embed = tfidf_svd(texts, size=32)
    agent = Denoiser(Denoise(action="weight"), embed, only=frozenset(data.users["user_id"].to_numpy()[asked].tolist()))
    chat, memory = offline_chat(texts), ListMemory(embed)
    folder = out / f"agent-{data.fingerprint}"
    run_batch(agent, data, lambda task: Tools(chat, memory), folder, seed=0)
    places = {ident: code for code, ident in enumerate(data.users["user_id"])}
    doubt, score = np.zeros(len(data)), np.zeros(len(data))
    for _, told in payloads(read_records(folder)):
        first = int(data.indptr[places[told["user"]]])
        for row in told["rows"]:
            doubt[first + row["at"]], score[first + row["at"]] = row["doubt"], row["score"]
    return {"agent, offline (no LLM)": doubt, "agent, offline (no LLM) + vote": score}
