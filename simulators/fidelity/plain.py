"""`Plain`: an agent that asks one question a task and keeps the reply; no profile, no memory, no loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from ... import prompts
from ...agents.agent import Records, Task, Tools
from ...agents.chat.structured import ask
from ...agents.chat.types import Facts, Sampling
from ...recsys.data import Dataset

NAME = "plain"
_CLOSED = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class PlainRequest:
    """One question, ready to be asked."""

    key: str
    """The task's: `user:17`."""
    prompt: str
    values: dict[str, Any]
    """The template's variables."""
    reply: type[BaseModel]
    facts: Facts


class PlainState(TypedDict, total=False):
    question: PlainRequest
    payload: dict[str, Any]


class Recited(BaseModel):
    model_config = _CLOSED
    title: str


async def answer(sampling: Sampling, wording: Path | None, state: PlainState, runtime: Runtime[Tools]) -> PlainState:
    """Ask, and keep the reply as it is."""
    question = state["question"]
    reply = await ask(
        runtime.context,
        prompts.load(question.prompt, wording).render(**question.values),
        question.reply,
        facts=question.facts,
        sampling=sampling,
        agent=NAME,
    )
    return {"payload": reply.model_dump(mode="json")}


@dataclass(frozen=True)
class Plain:
    """Asks each question once; it changes no data. A record's payload is the reply, in its own form."""

    questions: Sequence[PlainRequest]
    sampling: Sampling = Sampling()
    wording: Path | None = None
    name: str = NAME

    def tasks(self, data: Dataset) -> Iterator[Task]:
        return (Task(question.key, {"question": question}) for question in self.questions)

    def graph(self) -> CompiledStateGraph[Any, Tools, Any, Any]:
        return self._machine

    def fold(self, data: Dataset, records: Records) -> Dataset:
        return data

    @cached_property
    def _machine(self) -> CompiledStateGraph[PlainState, Tools, PlainState, PlainState]:
        graph = StateGraph(PlainState, context_schema=Tools)
        graph.add_node("answer", partial(answer, self.sampling, self.wording))
        graph.add_edge(START, "answer")
        graph.add_edge("answer", END)
        return graph.compile()


@lru_cache(maxsize=256)
def ratings_reply(names: tuple[str, ...], low: float, high: float) -> type[BaseModel]:
    """A reply with `reason: str` and `ratings: list of {item, rating}`, each of `names` once, in [low, high]."""

    def each_once(entries: list[Any]) -> list[Any]:
        if sorted(entry.item for entry in entries) != sorted(names):
            raise ValueError(f"each of {', '.join(names)} is to be rated exactly once")
        return entries

    rating = Annotated[float, Field(ge=low, le=high)]
    handle: Any = Literal[names]
    entry = create_model("RatedItem", __config__=_CLOSED, item=(handle, ...), rating=(rating, ...))
    entries: Any = Annotated[
        list[entry],
        Field(min_length=len(names), max_length=len(names), description="Every item exactly once."),
        AfterValidator(each_once),
    ]
    return create_model("Ratings", __config__=_CLOSED, reason=(str, ...), ratings=(entries, ...))
