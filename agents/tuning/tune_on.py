"""`tune_on`: fine-tunes a language model on one side of a dataset and saves it with a model card."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ... import prompts
from ...errors import ConfigError
from ...recsys.data.dataset import Dataset
from ..chat.local.model import LocalModel, load_model
from .card import CardFacts, card_of, write_card
from .config import TuneLM
from .progress import Progress
from .samples import Sampler
from .training import Say, train
from .wording import PROMPTS

_STATE = "training"
"""Subfolder of `out` with the checkpoint of an unfinished training."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """A finished tuning. `card` is the content of `card.json`."""

    folder: Path
    card: dict[str, Any]


def tune_on(
    config: TuneLM,
    train_side: Dataset,
    valid_side: Dataset,
    out: Path | str,
    *,
    wording: Path | None = None,
    device: str = "auto",
    say: Say | None = None,
) -> Tuned:
    """Tunes the model in `config.model` on `train_side`, with early stopping on `valid_side`, and saves it in `out`.

    train_side, valid_side: two sides of one dataset, over the same users and items. Validation samples are of users
    with rows in `valid_side`. out: the folder of the result, an adapter (lora: name it in `llm.adapter`) or a whole
    model (full: name it in `llm.model`), as safetensors, with `card.json` and `card.md`. The same call resumes an
    interrupted training, and returns the stored result of a finished one. Raises ConfigError for a folder of another
    tuning, DataError for data without samples.
    """
    out = Path(out)
    identity = _identity(config, train_side, valid_side, wording)
    finished = _finished(out, identity)
    if finished is not None:
        return finished
    train_sampler = Sampler(config, train_side, wording=wording)
    valid_sampler = Sampler(config, train_side, valid_side, wording=wording)
    # What is trained is kept in float32: steps are smaller than bfloat16's digits.
    half = config.precision == "bfloat16" and config.method == "lora"
    base = load_model(config.model, device=device, dtype="bfloat16" if half else "float32")
    model = _trainable(base, config)
    weights = {name: weight for name, weight in model.network.named_parameters() if weight.requires_grad}
    optimizer = torch.optim.AdamW(
        list(weights.values()),
        lr=config.learning_rate,
        betas=(0.9, 0.98),
        weight_decay=config.weight_decay,
        fused=model.device.type in ("cpu", "cuda"),
    )
    progress = Progress(weights, optimizer, out / _STATE, identity)
    progress.resume()
    train(model, config, train_sampler, valid_sampler, progress, optimizer, say or _silent)
    card_facts = card_of(
        CardFacts(
            config, base.name, identity, train_side, valid_side, _digests(config, wording), _sizes(model, weights)
        ),
        progress,
    )
    _save(model, out)
    write_card(out, card_facts)
    progress.clear()
    return Tuned(out, card_facts)


def _trainable(base: LocalModel, config: TuneLM) -> LocalModel:
    try:
        base.network.set_attn_implementation(config.attention)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"tune_lm.attention: {config.attention!r} does not work for {base.name}: {error}") from error
    if config.method == "full":
        return LocalModel(base.network.requires_grad_(True), base.tokenizer, base.name)
    from peft import LoraConfig, get_peft_model

    for target in config.targets:
        if not any(name.endswith(target) for name, _ in base.network.named_modules()):
            raise ConfigError(f"tune_lm.targets: {base.name} has no layer called {target!r}; see the model's modules")
    lora = LoraConfig(
        task_type="CAUSAL_LM",
        r=config.rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=list(config.targets),
    )
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(config.seed)
        network: Any = get_peft_model(base.network, lora)
    return LocalModel(network, base.tokenizer, base.name)


def _save(model: LocalModel, out: Path) -> None:
    """Writes to a temporary folder, then moves the files in: a kill leaves the checkpoint, never half a model."""
    made = out / f"{_STATE}.made"
    shutil.rmtree(made, ignore_errors=True)
    model.network.save_pretrained(made)
    model.tokenizer.save_pretrained(made)
    (made / "README.md").unlink(missing_ok=True)  # peft's template of a card, with nothing filled in
    for file in sorted(made.iterdir()):
        os.replace(file, out / file.name)
    made.rmdir()


def _finished(out: Path, identity: str) -> Tuned | None:
    card = out / "card.json"
    if not card.is_file():
        if out.is_dir() and any(path.name not in (_STATE, f"{_STATE}.made") for path in out.iterdir()):
            # Files without a card are of a killed save; they are written again from the checkpoint.
            if (out / _STATE).is_dir():
                return None
            raise ConfigError(f"{out} holds other files; name a new folder")
        return None
    card_facts = json.loads(card.read_text(encoding="utf-8"))
    if card_facts.get("identity") != identity:
        raise ConfigError(f"{out} holds a model tuned on other data or with other settings; name a new folder")
    return Tuned(out, card_facts)


def _identity(config: TuneLM, train_side: Dataset, valid_side: Dataset, wording: Path | None) -> str:
    """Digest of everything that must be equal to resume a training."""
    from ..chat.local.model import fingerprint

    facts = {
        "config": config.model_dump(mode="json", exclude={"model"}),
        "model": fingerprint(config.model),
        "train": train_side.fingerprint,
        "valid": valid_side.fingerprint,
        "prompts": dict(_digests(config, wording)),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _digests(config: TuneLM, wording: Path | None) -> dict[str, str]:
    return dict(prompts.digests(*(PROMPTS[task] for task in sorted(config.tasks)), folder=wording))


def _sizes(model: LocalModel, weights: dict[str, Any]) -> tuple[int, int]:
    """Numbers of trained weights and of all weights."""
    return sum(w.numel() for w in weights.values()), sum(w.numel() for w in model.network.parameters())


def _silent(line: str) -> None:
    pass
