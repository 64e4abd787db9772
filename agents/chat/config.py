"""`LLMConfig`: the `llm` section of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from ...identity import Transport
from .likelihood import Scoring
from .meter import Budget
from .types import Sampling
from .wire import Structured

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Provider = Literal["offline", "openai", "litellm", "local", "replay"]


class LLMConfig(BaseModel):
    """Which model answers, how it is asked, and what it may cost.

    A reply and a record depend on every field that is not marked as `Transport`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: Provider = "offline"
    """`offline` is no LLM; `openai` is any OpenAI-compatible server; `local` is a transformers model in a folder on
    this machine; `replay` answers from a file."""
    model: str | None = None
    """The server's name for the model (litellm: "vendor/name"; local: the model's folder)."""
    adapter: Path | None = None
    """local: the folder of an adapter on the model, as `recloop tune-lm` makes it."""
    device: str = "auto"
    """local: cpu, cuda, cuda:1; auto is a GPU where there is one."""
    dtype: Dtype = "auto"
    """local: auto is the weights' own type on a GPU and float32 on a processor."""
    scoring: Scoring = "prompt_logprobs"
    """openai: how a server scores given texts, where an agent asks for that: by vLLM's field, or by echo."""
    base_url: str | None = None
    """The server's address up to and with /v1; None is the vendor's own."""
    api_key_env: Transport[str | None] = None
    """The environment variable that holds the key. None: OPENAI_API_KEY at api.openai.com, no key at a `base_url`."""
    replay: Path | None = None
    """The replay file of provider `replay`."""
    structured: Structured = "json_schema"
    """How the server is told a reply's form: `json_schema` (enforced), `json_object`, or `prompt` (in words only)."""
    reasoning: bool = False
    """For models that take neither temperature nor max_tokens (they call it max_completion_tokens)."""

    temperature: float = Field(default=0.0, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Words are sampled from the likeliest that together hold this share; null is the server's own default. It has no
    effect, and is not sent, at temperature 0."""
    max_tokens: PositiveInt = 1024
    """Most tokens of a reply; one that is cut off there is invalid."""
    seed: int | None = None
    """Sent to servers that sample by a seed."""

    concurrency: Transport[PositiveInt] = 64
    """Most requests in flight; fewer while the server refuses or slows down."""
    rpm: Transport[PositiveInt | None] = None
    """Most requests in any minute."""
    tpm: Transport[PositiveInt | None] = None
    """Most tokens, prompt and completion, in any minute."""
    timeout: Transport[PositiveFloat] = 120.0
    """Seconds from sending to having the whole reply."""
    connect_timeout: Transport[PositiveFloat] = 10.0
    """Seconds to a connection."""
    attempts: Transport[PositiveInt] = 5
    """Failures until a call is given up; a server that is too busy or away uses up none."""
    patience: Transport[PositiveFloat] = 600.0
    """Seconds a call is tried again after its first failure, and an outage is waited out."""

    budget: Transport[Budget] = Budget()
    """The run's hard limit in calls, tokens or usd."""
    prices: Transport[Path | None] = None
    """A YAML or JSON file of prices: `model: {prompt: 0.15, completion: 0.60}`, dollars a million tokens."""

    @model_validator(mode="after")
    def _complete(self) -> LLMConfig:
        if self.provider in ("openai", "litellm", "local") and not self.model:
            raise ValueError(f"provider {self.provider} needs a model")
        if self.provider == "replay" and self.replay is None:
            raise ValueError("provider replay needs replay: the file that `recloop cache export` wrote")
        if self.base_url is not None and not self.base_url.startswith(("http://", "https://")):
            raise ValueError(f"base_url {self.base_url!r} must begin with http:// or https://")
        return self

    def content_paths(self) -> dict[str, Path]:
        """A local model is what its folder holds, wherever that lies."""
        return {"model": Path(self.model)} if self.provider == "local" and self.model else {}

    @property
    def sampling(self) -> Sampling:
        """How replies are drawn, as a Request takes it."""
        return Sampling(self.temperature, self.top_p, self.max_tokens, self.seed)

    @property
    def key_variable(self) -> str | None:
        """The environment variable that the key is read from, None for a server without."""
        if self.api_key_env is not None or self.base_url is not None or self.provider != "openai":
            return self.api_key_env
        return "OPENAI_API_KEY"
