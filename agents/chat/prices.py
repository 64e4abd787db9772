"""What a token costs, from a file of yours: prices change, so none is built in and none is guessed.

# dollars a million tokens; a name may end in *, the longest match wins; a server of your own costs 0
gpt-4o-mini:  {prompt: 0.15, completion: 0.60}
qwen2.5-*:    {prompt: 0, completion: 0}
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ...errors import ConfigError
from ...settings import load_yaml
from .types import Usage


class Price(BaseModel):
    """US dollars a million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)

    def of(self, usage: Usage) -> float | None:
        """Dollars for `usage`; None where the server did not say how many tokens."""
        if usage.prompt_tokens is None or usage.completion_tokens is None:
            return 0.0 if self.prompt == self.completion == 0 else None
        return (usage.prompt_tokens * self.prompt + usage.completion_tokens * self.completion) / 1e6


Prices = Mapping[str, Price]
_PRICES = TypeAdapter(dict[str, Price])


def read_prices(path: Path) -> Prices:
    """The price table in a YAML or JSON file. Raises ConfigError naming file and entry."""
    try:
        table: Any = load_yaml(path.read_text(encoding="utf-8"))
        return _PRICES.validate_python(table or {})
    except OSError as error:
        raise ConfigError(f"price file {path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"price file {path}: {str(error).splitlines()[0]}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"price file {path}, {where or 'top'}: {first['msg']}; "
            "an entry reads `model: {prompt: 0.15, completion: 0.60}`"
        ) from None


def price_of(model: str, prices: Prices) -> Price | None:
    """The entry for `model`: its own name, else the longest pattern that matches, else None (unknown)."""
    if model in prices:
        return prices[model]
    patterns = [pattern for pattern in prices if fnmatchcase(model, pattern)]
    return prices[max(patterns, key=len)] if patterns else None
