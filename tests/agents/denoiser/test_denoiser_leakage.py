"""What is known of planted noise reaches no task, no prompt and no question of facts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recloop.agents.agent import Tools
from recloop.agents.chat.offline import offline_chat
from recloop.agents.chat.types import Chat, Reply, Request
from recloop.agents.denoiser import Denoise, Denoiser
from recloop.agents.memory import ListMemory, tfidf_svd
from recloop.recsys.data.windows import read_planted

CANARY = "zzyzxcanary"
HEAD = "user_id,item_ids,mask,item_titles,replaced_item_titles,timestamp\n"


def windows_at(path: Path, flipped: bool) -> Path:
    """Six windows of six toys; the mask, and what was replaced, are told in columns that nobody may hand on."""
    lines = [HEAD]
    for owner in range(6):
        items = [(owner + step) % 9 for step in range(6)]
        mask = [int((step == 2) != flipped) for step in range(6)]
        titles = [f"toy model{item}" for item in items]
        lines.append(f'{owner},"{items}","{mask}","{titles}","[\'{CANARY}\']",{owner}\n')
    path.write_text("".join(lines))
    return path


@pytest.mark.parametrize("mode", ["review", "hard_samples"])
async def test_no_request_tells_of_the_mask(mode: Any, tmp_path: Path) -> None:
    async def asked(flipped: bool) -> list[str]:
        data, truth = read_planted(windows_at(tmp_path / "test.csv", flipped))
        assert truth.planted.mean() == (5 / 6 if flipped else 1 / 6)
        base: Chat = offline_chat(data.items["title"].tolist())
        seen: list[str] = []

        async def listening(request: Request) -> Reply:
            seen.append(json.dumps([m.content for m in request.messages]) + repr(request.facts))
            return await base(request)

        embed = tfidf_svd(data.items["title"].tolist(), size=2)
        losses = np.random.default_rng(0).random((3, len(data)))
        config = Denoise(mode=mode, action="weight", threshold=0.2, hard={"high": 1.0, "vary": 1.0})
        agent = Denoiser(config, embed, losses=losses)
        for task in agent.tasks(data):
            seen.append(repr(dict(task.state)))
            await agent.graph().ainvoke(dict(task.state), context=Tools(listening, ListMemory(embed)))
        return seen

    plain, flipped = await asked(False), await asked(True)
    assert len(plain) > 6
    assert plain == flipped
    assert CANARY not in "".join(plain)
    assert "owner" not in "".join(plain)
