"""`TuneLM`: settings of fine-tuning a language model."""

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
    """The settings of `recloop tune-lm`. Values marked (LLM4DSR) or (LLM-I2I) are from these papers, others ours."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Path
    """The folder of the model to be tuned: config, tokenizer, safetensors."""
    method: Literal["lora", "full"] = "lora"
    """lora trains low-rank adapters and freezes the model; full trains every weight, as a randomly initialised model
    needs."""
    rank: PositiveInt = 8
    """Of the adapters (LLM4DSR: 8)."""
    lora_alpha: PositiveInt = 16
    """Their scale times `rank` (LLM4DSR: 16)."""
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: tuple[str, ...] = ("q_proj", "v_proj")
    """Layers with adapters (LLM4DSR: query and value projections)."""

    tasks: dict[Task, PositiveFloat] = Field(default_factory=lambda: dict.fromkeys(TASKS, 1.0))
    """Share of each kind of sample: find (LLM4DSR), next, judge (LLM-I2I)."""
    window: int = Field(default=11, ge=3)
    """find, judge: largest number of items of a window (LLM4DSR: 11)."""
    history: PositiveInt = 10
    """next: largest number of items before the target (LLM-I2I: 10)."""
    noise: Literal["uniform", "popularity"] = "uniform"
    """Distribution of the random items of find and judge: uniform, or by popularity in train."""
    alpha: PositiveFloat = 4.0
    """next: weight of the loss of a long-tail target (LLM-I2I: 4)."""
    beta: PositiveFloat = 1.0
    """next: weight of the loss of a head target (LLM-I2I: 1)."""
    head: HeadConfig = HeadConfig()
    """Definition of head items; the others are the long tail."""

    samples: PositiveInt = 5000
    """Samples per epoch, different in each (LLM4DSR: 5,000 in all)."""
    valid_samples: PositiveInt = 500
    """Samples of the validation side, the same in every epoch."""
    epochs: PositiveInt = 10
    patience: PositiveInt = 3
    """Epochs without a lower loss on validation after which training stops."""
    batch_size: PositiveInt = 128
    """Samples per step (LLM4DSR: 128)."""
    micro_batch: PositiveInt = 32
    """Samples per forward pass; a step accumulates gradients over several if it is smaller than batch_size."""
    learning_rate: PositiveFloat = 1e-4
    """AdamW's largest step size (LLM4DSR: 1e-4); it decays to a tenth along a cosine over all epochs."""
    warmup: NonNegativeInt = 20
    """Steps of linear warm-up of the learning rate from 0."""
    weight_decay: NonNegativeFloat = 0.0
    clip: PositiveFloat = 1.0
    """Largest norm of the gradient."""
    balance: Literal["token", "sample"] = "token"
    """Unit of equal weight: every token of the answers (LLM4DSR), or every sample, whose answer's tokens share its
    weight. By token, a title of twenty tokens weighs twenty times as much as a Yes."""
    prompt_weight: float = Field(default=0.0, ge=0, le=1)
    """Weight of a prompt token in the loss, relative to 1 for a token of the answer. 0 for a pretrained model; a
    randomly initialised one learns the titles faster with some weight."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of the computation. bfloat16 is faster on hardware that supports it; trained weights stay float32,
    frozen ones do not."""
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    """Attention implementation during tuning, by transformers' name."""
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _some_task(self) -> TuneLM:
        if not self.tasks:
            raise ValueError(f"tasks names none; take some of {', '.join(TASKS)}, as {{find: 1}}")
        if self.micro_batch > self.batch_size:
            raise ValueError(f"micro_batch {self.micro_batch} is larger than batch_size {self.batch_size}")
        return self
