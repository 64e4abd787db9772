"""`TuneLM`: what a language model is tuned on and how."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from ...recsys.data.groups import HeadConfig

Task = Literal["find", "next", "judge"]
TASKS: tuple[Task, ...] = ("find", "next", "judge")


class TuneLM(BaseModel):
    """The settings of `recloop tune-lm`. What is marked (LLM4DSR) or (LLM-I2I) is theirs, all else our own choice."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Path
    """The folder of the model to be tuned: config, tokenizer, safetensors."""
    method: Literal["lora", "full"] = "lora"
    """lora trains low-rank adapters and leaves the model alone; full trains every weight, as a model made from nothing
    needs it."""
    rank: PositiveInt = 8
    """Of the adapters (LLM4DSR: 8)."""
    lora_alpha: PositiveInt = 16
    """Their scale times `rank` (LLM4DSR: 16)."""
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: tuple[str, ...] = ("q_proj", "v_proj")
    """The layers that get adapters (LLM4DSR: the query's and the value's projection)."""

    tasks: dict[Task, PositiveFloat] = Field(default_factory=lambda: dict.fromkeys(TASKS, 1.0))
    """Share of each kind of sample: find (LLM4DSR), next, judge (LLM-I2I)."""
    window: int = Field(default=11, ge=3)
    """find, judge: most items of a window (LLM4DSR: 11)."""
    history: PositiveInt = 10
    """next: most items before the target (LLM-I2I: 10)."""
    noise: Literal["uniform", "popularity"] = "uniform"
    """How the random items of find and judge are drawn: all alike, or by their popularity in train."""
    alpha: PositiveFloat = 4.0
    """next: what the loss of a target of the long tail counts (LLM-I2I: 4)."""
    beta: PositiveFloat = 1.0
    """The same for a target of the head (LLM-I2I: 1)."""
    head: HeadConfig = HeadConfig()
    """What is head; the rest is the long tail."""

    samples: PositiveInt = 5000
    """Samples an epoch, drawn anew in each (LLM4DSR: 5,000 in all)."""
    valid_samples: PositiveInt = 500
    """Samples of the validation side, drawn once."""
    epochs: PositiveInt = 10
    patience: PositiveInt = 3
    """Epochs without a lower loss on validation after which training stops."""
    batch_size: PositiveInt = 128
    """Samples a step (LLM4DSR: 128)."""
    micro_batch: PositiveInt = 32
    """Samples computed at once; a step adds up the gradients of several where it is smaller than batch_size."""
    learning_rate: PositiveFloat = 1e-4
    """AdamW's largest step size (LLM4DSR: 1e-4); it falls to a tenth along a cosine over all epochs."""
    warmup: NonNegativeInt = 20
    """Steps in which it rises from 0."""
    weight_decay: NonNegativeFloat = 0.0
    clip: PositiveFloat = 1.0
    """Largest norm of the gradient."""
    balance: Literal["token", "sample"] = "token"
    """What counts alike: every token of the answers (LLM4DSR), or every sample, whose answer's tokens then share its
    weight. By tokens a title of twenty outweighs a Yes twenty times."""
    prompt_weight: float = Field(default=0.0, ge=0, le=1)
    """What a token of the prompt counts in the loss, beside 1 for one of the answer. 0 for a model that can read; one
    made from nothing learns the titles faster with some."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What is computed in. bfloat16 is faster where processor or GPU have it; trained weights stay float32, those that
    adapters leave alone do not."""
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    """The model's attention while it is tuned, as transformers names it."""
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _some_task(self) -> TuneLM:
        if not self.tasks:
            raise ValueError(f"tasks names none; take some of {', '.join(TASKS)}, as {{find: 1}}")
        if self.micro_batch > self.batch_size:
            raise ValueError(f"micro_batch {self.micro_batch} is larger than batch_size {self.batch_size}")
        return self
