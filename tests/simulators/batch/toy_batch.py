"""A toy agent for the batch tests and the programs they start and kill: two nodes, a model that answers by arithmetic.

Run as a program (`toy_batch.py CONFIG_JSON FOLDER`) it does a whole run, or as many of it as it lives to do.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pandas as pd
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from recloop.agents.agent import Task, Tools
from recloop.agents.chat.cached import cached
from recloop.agents.chat.replies import Replies
from recloop.agents.chat.types import Chat, Message, Reply, Request, Usage
from recloop.errors import BudgetExceeded, ModelUnavailable, ReplyInvalid
from recloop.recsys.data import Dataset
from recloop.simulators.batch import runner as batch
from recloop.simulators.batch.parts import PartWriter
from recloop.simulators.batch.runner import run_batch
from recloop.simulators.batch.shard_job import Job


class State(TypedDict, total=False):
    number: int
    answers: list[int]
    payload: dict[str, Any]


async def ask_twice(state: State, runtime: Runtime[Tools]) -> State:
    answers = []
    for draw in range(2):
        reply = await runtime.context.chat(Request((Message("user", str(state["number"])),), draw=draw))
        tally = runtime.context.tally
        tally.calls += 1
        tally.prompt_tokens += reply.usage.prompt_tokens or 0
        tally.completion_tokens += reply.usage.completion_tokens or 0
        tally.cost = (tally.cost or 0.0) + (reply.cost or 0.0)
        tally.model = reply.model
        tally.prompts.add("toy@1")
        answers.append(int(reply.text))
    return {"answers": answers}


def conclude(state: State) -> State:
    return {"payload": {"sum": sum(state["answers"]), "answers": state["answers"]}}


@dataclass(frozen=True)
class ToyAgent:
    n: int
    name: str = "toy"

    def tasks(self, data: Dataset) -> Iterator[Task]:
        for number in range(self.n):
            yield Task(f"user:{number}", {"number": number})

    def graph(self) -> Any:
        graph = StateGraph(State, context_schema=Tools)
        graph.add_node(ask_twice)
        graph.add_node(conclude)
        graph.add_edge(START, "ask_twice")
        graph.add_edge("ask_twice", "conclude")
        graph.add_edge("conclude", END)
        return graph.compile()

    def fold(self, data: Dataset, records: pd.DataFrame) -> Dataset:
        return data


@dataclass
class ToyChat:
    """Answers number x draw after a moment; what goes wrong with which number is told beforehand."""

    invalid: set[int] = field(default_factory=set)
    unavailable: set[int] = field(default_factory=set)
    bugs: set[int] = field(default_factory=set)
    refuses_all_from: float = float("inf")
    budget: float = float("inf")
    seconds: float = 0.0
    die_once_at: int = -1
    grave: str = ""
    """The file that says that it died already."""
    ledger: str = ""
    """A file that gets a byte for every call, whoever makes it."""
    calls: int = 0
    in_flight: int = 0
    most_in_flight: int = 0

    async def __call__(self, request: Request) -> Reply:
        number = int(request.messages[0].content)
        if self.calls >= self.budget:
            raise BudgetExceeded(f"{self.budget} calls are made")
        self.calls += 1
        if self.ledger:
            with open(self.ledger, "ab") as ledger:
                ledger.write(b".")
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        # LazyState tasks often end first: order must not matter.
        await asyncio.sleep(self.seconds * (1 + (number * 7919) % 5) / 3)
        self.in_flight -= 1
        if number == self.die_once_at and not Path(self.grave).exists():
            Path(self.grave).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if number >= self.refuses_all_from:
            raise ModelUnavailable("no such key", status=401, hopeless=True)
        if number in self.bugs:
            raise KeyError("a typo in the agent")
        if request.draw == 1 and number in self.invalid:
            raise ReplyInvalid("not JSON", kind="schema")
        if number in self.unavailable:
            raise ModelUnavailable("500 after 4 attempts", retryable=True, status=500)
        text = str(number * 10 + request.draw)
        return Reply(text, model="toy-model", usage=Usage(3, len(text)), cost=0.001)


class NoMemory:
    def remember(self, memos: Any) -> None: ...
    def recall(self, owner: str, about: str, k: int, *, now: int, kinds: Any = ()) -> list[Any]:
        return []

    def flush(self) -> None: ...


def world(rows: int = 20) -> Dataset:
    return Dataset.of("toy", pd.DataFrame({"user_id": np.arange(rows), "item_id": np.arange(rows) % 3}))


def job(config: dict[str, Any]) -> Job:
    """A factory for `run_sharded`: `n` tasks, perhaps a `cache` file; the rest are fields of ToyChat."""
    told = {name: set(value) if isinstance(value, list) else value for name, value in config.items()}
    n, kept, _ = told.pop("n"), told.pop("cache", None), told.pop("shard", None)
    chat: Chat = ToyChat(**told)
    if kept is not None:
        chat = cached(chat, Replies(Path(kept)), endpoint="toy", model="toy-model")
    return Job(ToyAgent(n), world(), lambda task: Tools(chat, NoMemory()), seed=3, concurrency=8)


if __name__ == "__main__":
    # A shell that starts a job in the background has it ignore Ctrl-C; what is tested here is a program that does not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    made = job(json.loads(sys.argv[1]))
    # Small parts and many of them: whoever is killed here is often killed in the middle of a write or of a merge.
    batch.PartWriter = partial(PartWriter, rows=40, seconds=0.05, small=4)  # type: ignore[misc]
    run_batch(made.agent, made.data, made.tools_for, sys.argv[2], seed=made.seed, concurrency=made.concurrency)
