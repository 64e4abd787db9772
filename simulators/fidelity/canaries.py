"""Protocol 8: canary items planted in validation and test; a prompt that contains one leaks held-out data.

Every user gets an item of their own at the end of validation and another at the end of test, with a title that stands
nowhere else. They are in the catalogue, where an agent that looks too far would find them, and on no train side. Then
every agent of the study walks the planted data, the plain question is asked, all answered by `offline`, and each prompt
is searched. It makes no LLM calls, and its result does not depend on a model.
"""

from __future__ import annotations

import hashlib
import re
from itertools import islice

import pandas as pd

from ...agents.agent import Agent, Tools
from ...agents.catalogue import item_texts
from ...agents.chat.offline import offline_chat
from ...agents.chat.types import Reply, Request
from ...agents.memory.list_memory import ListMemory
from ...agents.memory.memory import Embedder
from ...recsys.data import Dataset, Split
from ..studies.steps import make_agent
from .agentcf import nobody
from .bench import FidelityBench
from .cases import next_item_cases
from .outcome import VALUES, Outcome
from .plain import Plain
from .rows import ONCE

MARK = re.compile(r"canary-(valid|test)-[0-9a-f]{16}")
VARIANT = "planted in valid and test"


async def canaries(bench: FidelityBench) -> Outcome:
    """How many marks each task's prompts hold, agent by agent; anything above 0 is a leak.

    A study's step is handed train, so it may see no mark. The plain question is asked at test time: what was validation
    is history by then, and only marks of test count.
    """
    tasks = bench.config.canaries.users
    users = bench.users(1, tasks)
    if not users:
        return Outcome("canaries", skipped=nobody(bench, 1))
    split = planted(bench.split, bench.study.seed)
    after = bench.on(split, "planted")
    cases = next_item_cases(bench.field, users, 10, "uniform", bench.study.seed + 4)
    steps = bench.study.steps or ({"setwise": {}},)
    looked: list[tuple[str, Agent, Dataset, tuple[str, ...]]] = []
    for place, entry in enumerate(steps):
        [(name, settings)] = entry.items()
        agent = make_agent(name, settings, bench.opened.around)
        looked.append((f"step {place}: {name}", agent, split.train, ("valid", "test")))
    plain = Plain([after.question(case, "fidelity/rank") for case in cases])
    looked.append((ONCE, plain, after.field.known, ("test",)))
    values, notes, prompts = [], [], {}
    for row, agent, data, sides in looked:
        leaks, n_requests = await searched(agent, data, tasks, bench.opened.around.embed, sides)
        values.append(leaks.assign(variant=VARIANT, row=row, kind="plain" if row == ONCE else "loop"))
        prompts[row] = n_requests
        notes.append(f"{row}: {int(leaks['value'].sum())} marks in {n_requests} prompts of {len(leaks)} tasks")
    table = pd.concat(values, ignore_index=True)[list(VALUES)]
    return Outcome("canaries", table, (), notes, detail={"prompts": prompts})


async def searched(
    agent: Agent, data: Dataset, tasks: int, embed: Embedder, sides: tuple[str, ...] = ("valid", "test")
) -> tuple[pd.DataFrame, int]:
    """One row a task, the first `tasks` of the agent's: the marks of these sides in its prompts; and all prompts seen.

    `user` numbers the tasks, `user_id` is their key.
    """
    offline = offline_chat(list(item_texts(data).values()))
    rows, prompts = [], 0
    graph = agent.graph()
    for number, task in enumerate(islice(agent.tasks(data), tasks)):
        texts: list[str] = []

        async def listening(request: Request, heard: list[str] = texts) -> Reply:
            heard.append("\n".join(message.content for message in request.messages))
            return await offline(request)

        await graph.ainvoke(dict(task.state), context=Tools(listening, ListMemory(embed)))
        marks = {match[0] for text in texts for match in MARK.finditer(text) if match[1] in sides}
        prompts += len(texts)
        rows.append({"user": number, "user_id": task.key, "metric": "leaks", "value": float(len(marks))})
    return pd.DataFrame(rows, columns=["user", "user_id", "metric", "value"]), prompts


def planted(split: Split, seed: int) -> Split:
    """The split with an item of its own for each user at the end of validation, and another at the end of test.

    Item codes that were there before stay; the new ones come after them. `train` has the longer catalogue and the same
    interactions.
    """
    n_items, n_users = split.train.n_items, split.train.n_users
    marks = {side: [_mark(side, user, seed) for user in range(n_users)] for side in ("valid", "test")}
    titles = [*marks["valid"], *marks["test"]]
    new = pd.DataFrame({"item_id": titles, "title": titles, "categories": titles})
    others = {c: "" for c in split.train.items.columns if split.train.items[c].dtype == object and c not in new}
    items = pd.concat([split.train.items, new.assign(**others)], ignore_index=True)
    train = split.train.with_(items=items)
    valid = _with_last(split.valid.with_(items=items), [split.train, split.valid], n_items)
    test = _with_last(split.test.with_(items=items), [split.train, split.valid, split.test], n_items + n_users)
    return Split(train, valid, test)


def _with_last(side: Dataset, before: list[Dataset], first_code: int) -> Dataset:
    """A side with one more interaction a user, later than all before: item first_code + user."""
    past = pd.concat([part.interactions for part in before], ignore_index=True)
    last = past.sort_values(["user", "timestamp"], kind="stable").groupby("user", as_index=False).tail(1).copy()
    last["item"] = (first_code + last["user"]).astype(past["item"].dtype)
    last["timestamp"] = last["timestamp"] + 1
    return side.with_(interactions=pd.concat([side.interactions, last], ignore_index=True))


def _mark(side: str, user: int, seed: int) -> str:
    return f"canary-{side}-{hashlib.sha256(f'{side} {user} {seed}'.encode()).hexdigest()[:16]}"
