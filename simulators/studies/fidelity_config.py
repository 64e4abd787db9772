"""`FidelityConfig`, the `fidelity:` of a study: which protocols, on how many users, with what lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ...settings import renamed_setting

Name = Literal[
    "agentcf", "llmrank", "taste", "ratings", "position", "setwise_value", "contamination", "canaries"
]  # fmt: skip
NAMES: tuple[Name, ...] = (
    "agentcf",
    "llmrank",
    "taste",
    "ratings",
    "position",
    "setwise_value",
    "contamination",
    "canaries",
)
Negatives = Literal["uniform", "popularity"]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AgentCF(_Settings):
    """Ranking of the true next item among others (Zhang et al. 2023, section 4.1)."""

    candidates: int = Field(10, ge=2, le=100)
    """The truth and `candidates - 1` others."""
    negatives: tuple[Negatives, ...] = ("uniform",)
    """Where the others come from; a variant each."""
    lists: Path | None = None
    """A `.random` file (user id, then candidate ids): a user's others are the first of them without the truth."""
    recorded: dict[str, Path] = {}
    """Rows whose answers were recorded: name -> JSONL of {user, candidates, ranking}; a variant on their own lists."""


class LLMRank(_Settings):
    """Ranking of 1 true next item among random others (Hou et al. 2024, section 3), and among retrieved ones."""

    candidates: int = Field(20, ge=2, le=100)
    retrieved: bool = True
    """Also the variant whose others are what popularity, ItemKNN and EASE would show, in turn."""


class Taste(_Settings):
    """Which of these did the person take? k taken and k * m others in one list (Zhang et al. 2024, section 4.1)."""

    ratios: tuple[int, ...] = (1, 2, 3, 9)
    """m: others for each item taken."""
    items: int = Field(20, ge=2, le=100)
    """Length of a list; k = items // (m + 1). Users with fewer held-out items are left out."""
    negatives: tuple[Negatives, ...] = ("uniform", "popularity")
    """uniform: any item the user never took. popularity: one within `window` popularity ranks of the item taken."""
    window: int = Field(15, ge=1)
    recorded: dict[str, Path] = {}
    """Rows whose scores were recorded: name -> JSONL of {user, items, score}, score in [0, 100]. They are a variant
    of their own, on their own lists; all files must hold the same lists."""


class Ratings(_Settings):
    """Predicted ratings against the user's own."""

    items: int = Field(10, ge=1)
    """Held-out items rated, at most; as many more, of the end of the known history, calibrate."""


class Position(_Settings):
    """The same lists in other orders."""

    permutations: int = Field(4, ge=2)
    candidates: int = Field(10, ge=2, le=100)


class SetwiseValue(_Settings):
    """The set-wise loop taken apart."""

    users: int = Field(60, ge=1)
    """Each row walks its own loop, so fewer users than elsewhere."""
    rows: Literal["short", "all"] = "all"
    """short: the named ways of judging; all: also set sizes 3 and 5 and rounds 0 to 3."""
    negatives: Negatives = "uniform"


class Contamination(_Settings):
    """How far a result survives hidden titles, and what the model recites."""

    users: int = Field(100, ge=1)
    history_titles: int = Field(10, ge=1)
    """Titles of a history that the memorisation probe shows."""
    bazaar_users: int = Field(100, ge=0)
    """Users of the fictional catalogue; 0 leaves it out."""

    @model_validator(mode="before")
    @classmethod
    def _old_names(cls, values: Any) -> Any:
        return renamed_setting(values, "shown", "history_titles")


class Canaries(_Settings):
    """Marks planted in validation and test that no prompt may hold."""

    users: int = Field(25, ge=1)


class FidelityConfig(_Settings):
    """What `recloop fidelity` measures. The items to be foretold are those of the study's test side."""

    protocols: tuple[Name, ...] = NAMES
    users: int = Field(200, ge=1)
    """Users judged, drawn by the study's seed among those with enough held out."""
    min_history: int = Field(5, ge=2)
    """Known interactions a user needs."""
    history: int = Field(20, ge=1)
    """Last known items shown in a plain question."""
    loop: bool = True
    """Whether the set-wise agent is judged; without it, the plain question only."""
    draws: int = Field(2000, ge=100)
    """Bootstrap draws of an interval."""
    agentcf: AgentCF = AgentCF()
    llmrank: LLMRank = LLMRank()
    taste: Taste = Taste()
    ratings: Ratings = Ratings()
    position: Position = Position()
    setwise_value: SetwiseValue = SetwiseValue()
    contamination: Contamination = Contamination()
    canaries: Canaries = Canaries()
