"""A language model and its tokenizer from a folder, with an adapter on it where one is named."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ....errors import ConfigError, DataError
from ....identity import contents_digest
from ..config import Dtype

_EXTRA = "a local language model needs the extra: pip install 'recloop[local]'"


@dataclass(frozen=True, slots=True)
class LocalModel:
    """What every use of a local model shares. It computes one call at a time; each may hold many texts."""

    network: Any
    """A causal language model of transformers (PreTrainedModel)."""
    tokenizer: Any
    """Its PreTrainedTokenizerFast. Both are untyped: their return types depend on their arguments."""
    name: str
    """The folder's name and a fingerprint of what it holds, the adapter too: it stands in records and cache keys."""
    turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def device(self) -> torch.device:
        device: torch.device = self.network.device
        return device

    @property
    def length(self) -> int:
        """Most tokens of a text."""
        config = self.network.config
        return int(getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or 1 << 30)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Exclusive use of the network, in evaluation mode, without gradients."""
        with self.turn, torch.inference_mode():
            self.network.eval()
            yield


def load_model(
    folder: Path | str, adapter: Path | str | None = None, *, device: str = "auto", dtype: Dtype = "auto"
) -> LocalModel:
    """The model in `folder` (config, tokenizer and safetensors, as transformers saves them); nothing is downloaded.

    adapter: a folder that `recloop tune-lm` or peft saved; it is merged into the weights, which changes no score beyond
    rounding and costs nothing at each token. device: `cpu`, `cuda`, `cuda:1`; `auto` is a GPU where there is one.
    dtype: `auto` is that of the weights' file on a GPU and float32 on a processor.
    Raises ConfigError where the folder, the extra or the device is missing, DataError for files that cannot be read.
    """
    folder = Path(folder).expanduser()
    _require(folder, "config.json", "llm.model")
    where = torch.device(device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
    if where.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"llm.device is {device!r}, but torch finds no GPU here; take cpu")
    tokenizer = load_tokenizer(folder)
    wanted = torch.float32 if dtype == "auto" and where.type == "cpu" else dtype if dtype == "auto" else _dtype(dtype)
    network: Any = _network(folder, wanted)
    if adapter is not None:
        network = _adapted(network, Path(adapter).expanduser())
    network.to(where).eval()
    return LocalModel(network, tokenizer, fingerprint(folder, adapter))


def load_tokenizer(folder: Path | str) -> Any:
    """The tokenizer in `folder`. ConfigError where it is not a fast one: only those tell where a token stands."""
    try:
        from transformers import AutoTokenizer
    except ModuleNotFoundError as error:
        raise ConfigError(_EXTRA) from error
    try:
        # Left as it stands: the cleaning up of spaces before punctuation would make a text another than was spelt.
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, clean_up_tokenization_spaces=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder}: no tokenizer that transformers can read: {error}") from error
    if not tokenizer.is_fast:
        raise ConfigError(f"{folder}: the tokenizer cannot tell where its tokens stand; it needs a tokenizer.json")
    return tokenizer


def fingerprint(folder: Path | str, adapter: Path | str | None = None) -> str:
    """`name-<12 hex digits>`: the folder's name, and a digest of what it and the adapter's folder hold."""
    held = [contents_digest(place) for place in (folder, *([adapter] if adapter is not None else []))]
    return f"{Path(folder).name}-{hashlib.sha256(' '.join(held).encode()).hexdigest()[:12]}"


def _network(folder: Path, dtype: Any) -> Any:
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]  # a bar for a file that is read in a second would stand between a run's own lines
    try:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder}: no causal language model that transformers can read: {error}") from error


def _adapted(network: Any, adapter: Path) -> Any:
    _require(adapter, "adapter_config.json", "llm.adapter")
    try:
        from peft import PeftModel
    except ModuleNotFoundError as error:
        raise ConfigError(_EXTRA) from error
    try:
        return PeftModel.from_pretrained(network, str(adapter)).merge_and_unload()
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"{adapter}: no adapter that fits this model: {error}") from error


def _require(folder: Path, file: str, key: str) -> None:
    if not (folder / file).is_file():
        raise ConfigError(
            f"{key}: there is no {file} in {folder}; name a folder on this machine, nothing is downloaded"
        )


def _dtype(name: str) -> torch.dtype:
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]
