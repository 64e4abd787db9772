"""A judge without any knowledge: it ranks at random, by a hash of the prompt, and rewrites by random words."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from typing import Any

from recloop.agents.agent import Tally, Tools
from recloop.agents.chat.scripted import scripted_chat
from recloop.agents.chat.types import Request
from recloop.agents.memory import ListMemory
from recloop.agents.setwise import Setwise, SetwiseAgent
from recloop.agents.setwise.state import COUNTS, walk_counts
from recloop.recsys.data import Dataset

from tests.agents.setwise.walks import EMBED, claim


def random_answer(request: Request) -> str:
    """Random, and the same for the same prompt."""
    text = "\n".join(message.content for message in request.messages)
    rng = random.Random(hashlib.sha256(f"{text}{request.draw}".encode()).digest())
    assert request.facts is not None
    shown = request.facts.values

    def words() -> str:
        return " ".join(f"w{rng.randrange(10**6)}" for _ in range(3))

    if request.facts.kind == "assess":
        order = rng.sample(list(shown["options"]), len(shown["options"]))
        ranking = [
            {"item": h, "score": round(1 - (place + rng.random()) / len(order), 3)} for place, h in enumerate(order)
        ]
        deciding = {"claims": list(shown["claims"])[:1]} if shown["evidence"] and shown["claims"] else {}
        return json.dumps({"reason": "no reason", **deciding, "ranking": ranking})
    if request.facts.kind == "describe":
        return json.dumps({"claims": [claim(words(), shown, *list(shown["liked"])[-1:])]})
    if request.facts.kind == "revise_profile":
        return json.dumps({"lesson": words(), "claims": [claim(words(), shown, shown["chosen"])]})
    return json.dumps({handle: words() for handle in shown["items"]})


async def _walks(agent: SetwiseAgent, train: Dataset) -> tuple[list[dict[str, Any]], int]:
    tally = Tally()
    tools = Tools(scripted_chat(random_answer), ListMemory(EMBED), tally)
    payloads = []
    for task in agent.tasks(train):
        final = await agent.graph().ainvoke(dict(task.state), context=tools)
        payloads.append(final["payload"])
    return payloads, tally.calls


def noise_counts(train: Dataset, config: Setwise, seed: int = 0) -> dict[str, float]:
    """Events of all walks by the random judge, summed, with `calls` and `walks`."""
    payloads, calls = asyncio.run(_walks(SetwiseAgent(config, seed=seed), train))
    total = {name: sum(walk_counts(payload)[name] for payload in payloads) for name in COUNTS}
    first = [step["rounds"][0]["mismatch"] for payload in payloads for step in payload["steps"]]
    last = [
        [entry["mismatch"] for entry in step["rounds"] if entry["kept"]][-1]
        for payload in payloads
        for step in payload["steps"]
    ]
    means = {"first_mismatch": sum(first) / len(first), "kept_mismatch": sum(last) / len(last)}
    return {**total, **means, "calls": calls, "walks": len(payloads)}
