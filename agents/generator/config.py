"""Settings of the generator: the long tail, who is asked about what, how proposals are made and grounded."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from ...recsys.data.groups import HeadConfig
from ...settings import renamed_setting
from ..fusion import Fusion
from ..grounding import Grounding

Mode = Literal["next_item", "cold_item", "pairs"]


class Generate(BaseModel):
    """What is generated for the long tail, after LLM-I2I (arXiv 2512.21595), LLM-Ins, LLMRec and Llama4Rec.

    `next_item`: a user's last interactions -> items taken next. `cold_item`: an item of the tail -> users who would
    take it. `pairs`: favourite and least favourite of a base model's candidates. What is not marked as a paper's is our
    own choice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode = "next_item"
    """Whom a task is about: a user (next_item, pairs) or an item (cold_item)."""
    history: PositiveInt = 10
    """Last interactions shown of a user (LLM-I2I: 10)."""
    head: HeadConfig = HeadConfig()
    """What is not head is the long tail."""
    users: PositiveInt | None = None
    """next_item, pairs: ask about this many users, drawn by the seed; null: about all."""
    items: PositiveInt | None = None
    """cold_item: ask about this many tail items, those with the least evidence first; null: about all."""
    min_history: PositiveInt = 2
    """Users with fewer interactions are not asked about."""
    content: float = Field(0.5, ge=0, le=1)
    """Share of the texts in what is plausible for a user; the rest is what users of the same items took."""
    pool: PositiveInt = 100
    """next_item: plausible items of the tail, and as many of the head, among which `choose` makes its slate."""
    slate_size: int = Field(20, ge=2, le=200)
    """Items (next_item, pairs: 10 is usual) or users (cold_item; LLM-Ins: 20) put before the model for one target."""
    alpha: float = Field(4.0, gt=0)
    """What plausibility counts for a tail item (LLM-I2I weighs the loss of tail targets by 4)."""
    beta: float = Field(1.0, gt=0)
    """The same for a head item (LLM-I2I: 1)."""
    quota: float | None = Field(None, ge=0, le=1)
    """Share of the slate that is kept for the tail, instead of alpha and beta."""
    proposals: PositiveInt = 3
    """next_item: most items proposed for one user."""
    free: bool = False
    """next_item: no slate; the model names items in its own words, and their titles are grounded."""
    grounding: Grounding = Grounding()
    popular: Literal["drop", "keep"] = "drop"
    """Proposals of head items, which have evidence enough: dropped, or kept like any other."""
    set_size: PositiveInt = 5
    """cold_item: users judged in one call; 1 asks about each alone, as LLM-Ins does."""
    user_history: PositiveInt = 5
    """cold_item: last interactions shown of each user."""
    unseen: bool = False
    """Let items without any train interaction be targets: for a live catalogue. In a study such an item is known to
    be held out, which would tell the agent about the test."""
    fuse: Fusion = Fusion()

    @model_validator(mode="before")
    @classmethod
    def _old_names(cls, values: Any) -> Any:
        return renamed_setting(values, "shown", "slate_size")

    @model_validator(mode="after")
    def _of_this_mode(self) -> Generate:
        if self.free and self.mode != "next_item":
            raise ValueError(f"free is for mode next_item; {self.mode} chooses among what is shown")
        if self.proposals > self.slate_size:
            raise ValueError(f"proposals ({self.proposals}) cannot be more than slate_size ({self.slate_size})")
        return self
