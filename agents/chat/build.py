"""`build_chat` and `build_likelihood`: the chain of wrappers that an `LLMConfig` describes.

    provider <- metered <- limited <- retried <- repaired <- stopping_early <- cached

Metered stands at the provider, so that it counts each request sent, the repeated ones too. Limited stands inside
retried: it sees every refusal, and a request waiting for its next attempt holds no place. Repaired comes next, so that
the repair turn is retried like any call. Stopping_early sees what was given up, and cached, outermost, keeps a repaired
reply as one and pays for nothing twice. Scores of given texts go through the same chain, without the repair turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError
from ...identity import settings_of
from .cached import cached
from .config import Dtype, LLMConfig
from .early_stop import stopping_early
from .likelihood import Likelihood
from .limited import Limits, limited
from .meter import Budget, Meter
from .metered import metered, metered_likelihood
from .offline import offline_chat, offline_version
from .prices import Price, Prices, read_prices
from .question import canonical
from .replay import replay_chat
from .replies import Replies
from .retried import retried
from .structured import repaired
from .types import Chat
from .wire import endpoint_of

if TYPE_CHECKING:
    from .local.model import LocalModel

_FREE = Price(prompt=0, completion=0)


def build_chat(
    config: LLMConfig,
    *,
    cache: Replies | Path | None = None,
    meter: Meter | None = None,
    catalogue: Sequence[str] = (),
    limits: Limits | None = None,
) -> Chat:
    """The Chat that `config` describes. `cache` keeps replies (None: nothing is kept), `meter` is the run's account,
    `catalogue` the item texts whose rare words `offline` goes by, `limits` those shared with `build_likelihood`.

    `offline` and `local` cannot be refused or cut off, so they are counted and cached, but neither limited nor retried;
    `replay` makes no calls at all. Raises ConfigError for a missing key, price, model or meter, DataError for an
    unreadable replay file.
    """
    prices = read_prices(config.prices) if config.prices else {}
    if config.provider == "replay":
        assert config.replay is not None
        return stopping_early(replay_chat(config.replay, model=config.model))
    who = asked_of(config, catalogue)
    if config.provider == "offline":
        return _with_cache(_metered(offline_chat(catalogue), config, meter, prices, "offline"), cache, who)
    if config.provider == "local":
        from .local.local_chat import local_chat

        local = repaired(_metered(local_chat(_local(config)), config, meter, prices, "local"))
        return _with_cache(stopping_early(local), cache, who)
    assert config.model is not None
    chat = _with_retries(_metered(_provider(config), config, meter, prices, config.model), config, limits)
    return _with_cache(stopping_early(repaired(chat, reasoning=config.reasoning)), cache, who)


def build_likelihood(
    config: LLMConfig,
    *,
    cache: Replies | Path | None = None,
    meter: Meter | None = None,
    limits: Limits | None = None,
) -> Likelihood:
    """What scores given texts for `config`: a `local` model, or an OpenAI-compatible server that can (`scoring`).

    Calls to a server are cached, counted, limited and retried as those of `build_chat`; the parameters are its own. A
    local model's are counted, a request of a batch as one call. ConfigError for the other providers, which have no
    log-probabilities of a text that they did not write.
    """
    if config.provider == "local":
        from .local.scoring import local_likelihood

        likelihood = local_likelihood(_local(config))
        _require_meter(config, meter)
        return likelihood if meter is None else metered_likelihood(likelihood, meter)
    if config.provider == "openai":
        from .served_likelihood import chat_likelihood, scoring_chat

        assert config.model is not None
        chat = scoring_chat(
            config.model,
            base_url=config.base_url,
            api_key_env=config.key_variable,
            scoring=config.scoring,
            timeout=config.timeout,
            connect_timeout=config.connect_timeout,
            concurrency=config.concurrency,
        )
        prices = read_prices(config.prices) if config.prices else {}
        chat = _with_retries(_metered(chat, config, meter, prices, config.model), config, limits)
        return chat_likelihood(_with_cache(stopping_early(chat), cache, asked_of(config)))
    raise ConfigError(
        f"llm.provider {config.provider} cannot score a given text; take local, or openai at a server that can (vLLM)"
    )


def limits_of(config: LLMConfig) -> Limits:
    """The limits that `config` sets; handed to both builders, they hold for chat and likelihood together."""
    return Limits(
        concurrency=config.concurrency,
        rpm=config.rpm,
        tpm=config.tpm,
        timeout=config.timeout,
        patience=config.patience,
    )


ASKED_IN_THE_REQUEST = frozenset({"temperature", "top_p", "max_tokens", "seed"})
"""The fields of `LLMConfig` that a Request carries itself."""
NAMED = frozenset({"provider", "model", "base_url"})
"""Those that the endpoint and the model's name stand for."""
UNSPELLED: dict[str, Any] = {
    "structured": "json_schema", "reasoning": False, "scoring": "prompt_logprobs", "replay": None,
    "adapter": None, "device": "auto", "dtype": "auto",
}  # fmt: skip
"""Values that are left out of a key. They are not `LLMConfig`'s defaults: a default may change, a key's meaning not."""


def asked_of(config: LLMConfig, catalogue: Sequence[str] = ()) -> tuple[str, str]:
    """(endpoint, model): who is asked, as the cache's keys have it; `catalogue` as `build_chat` takes it.

    Every other setting that a reply depends on stands behind the endpoint, so that `structured: prompt` and an adapter
    have replies of their own.
    """
    endpoint, model = _named(config, catalogue)
    if config.provider == "offline":
        return endpoint, model  # nothing else reaches it
    same = {name for name, value in UNSPELLED.items() if getattr(config, name) == value}
    special = settings_of(config, without=ASKED_IN_THE_REQUEST | NAMED | same)
    return f"{endpoint} {canonical(special)}" if special else endpoint, model


def _named(config: LLMConfig, catalogue: Sequence[str]) -> tuple[str, str]:
    if config.provider == "offline":
        return "offline", offline_version(catalogue)
    if config.provider == "local":
        from .local.model import fingerprint

        assert config.model is not None
        return "local", fingerprint(config.model, config.adapter)
    if config.provider == "openai":
        return endpoint_of(config.base_url), config.model or ""
    # Another provider may put a request to the same address in other words.
    address = f" {endpoint_of(config.base_url)}" if config.base_url else ""
    return config.provider + address, config.model or ""


@lru_cache(maxsize=1)
def _loaded(folder: str, adapter: Path | None, device: str, dtype: Dtype) -> LocalModel:
    """One model in memory, however many ask for it."""
    from .local.model import load_model

    return load_model(folder, adapter, device=device, dtype=dtype)


def _local(config: LLMConfig) -> LocalModel:
    assert config.model is not None
    return _loaded(config.model, config.adapter, config.device, config.dtype)


def _provider(config: LLMConfig) -> Chat:
    assert config.model is not None
    # Each imported only when chosen: the openai package takes a second or two, litellm longer.
    if config.provider == "openai":
        from .openai_chat import openai_chat

        return openai_chat(
            config.model,
            base_url=config.base_url,
            api_key_env=config.key_variable,
            timeout=config.timeout,
            connect_timeout=config.connect_timeout,
            concurrency=config.concurrency,
            structured=config.structured,
            reasoning=config.reasoning,
        )
    from .litellm_chat import litellm_chat

    return litellm_chat(
        config.model,
        base_url=config.base_url,
        api_key_env=config.key_variable,
        timeout=config.timeout,
        structured=config.structured,
        reasoning=config.reasoning,
    )


def _metered(chat: Chat, config: LLMConfig, meter: Meter | None, prices: Prices, model: str) -> Chat:
    _require_meter(config, meter)
    if meter is None:
        return chat
    if config.provider in ("offline", "local"):
        prices = {config.provider: _FREE}
    return metered(chat, meter, model=model, prices=prices)


def _require_meter(config: LLMConfig, meter: Meter | None) -> None:
    if meter is None and config.budget != Budget():
        raise ConfigError("llm.budget is set, but no meter keeps it: build_chat(config, meter=Meter(config.budget))")


def _with_retries(chat: Chat, config: LLMConfig, limits: Limits | None) -> Chat:
    bounded = limited(chat, limits or limits_of(config))
    return retried(bounded, attempts=config.attempts, patience=config.patience)


def _with_cache(chat: Chat, cache: Replies | Path | None, who: tuple[str, str]) -> Chat:
    if cache is None:
        return chat
    replies = cache if isinstance(cache, Replies) else Replies(cache)
    return cached(chat, replies, endpoint=who[0], model=who[1])
