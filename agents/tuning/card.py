"""The model card of a tuned model, as JSON and Markdown: data, settings, versions and measured losses."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...atomic import write_text
from ...recsys.data.dataset import Dataset
from .config import TuneLM
from .progress import Progress

_PACKAGES = ("recloop", "torch", "transformers", "peft", "tokenizers", "safetensors", "numpy")


@dataclass(frozen=True, slots=True)
class CardFacts:
    """Facts known before training. `sizes`: numbers of trained weights and of all weights."""

    config: TuneLM
    base: str
    identity: str
    train: Dataset
    valid: Dataset
    prompts: Mapping[str, str]
    sizes: tuple[int, int]


def card_of(facts: CardFacts, progress: Progress) -> dict[str, Any]:
    """The card as plain values: data, prompts, settings, seeds, versions, all epochs and the best one."""
    best = progress.best
    trained, weights = facts.sizes
    return {
        "identity": facts.identity,
        "base_model": facts.base,
        "method": facts.config.method,
        "weights": {"trained": trained, "all": weights},
        "data": {side: _side(data) for side, data in (("train", facts.train), ("valid", facts.valid))},
        "prompts": dict(facts.prompts),
        "settings": facts.config.model_dump(mode="json", exclude={"model"}),
        "seed": facts.config.seed,
        "epochs": [asdict(epoch) for epoch in progress.epochs],
        "best_epoch": best.epoch,
        "valid_loss": best.valid_loss,
        "seconds": sum(epoch.seconds for epoch in progress.epochs),
        "versions": {name: version(name) for name in _PACKAGES} | {"python": platform.python_version()},
    }


def write_card(folder: Path, facts: Mapping[str, Any]) -> None:
    """Writes `card.md`, then `card.json`, whose existence means that everything else is complete."""
    write_text(folder / "card.md", _page(facts))
    write_text(folder / "card.json", json.dumps(facts, indent=1) + "\n")


def _side(data: Dataset) -> dict[str, Any]:
    users = int((data.user_counts > 0).sum())
    return {"name": data.name, "fingerprint": data.fingerprint, "interactions": len(data), "users": users}


def _page(facts: Mapping[str, Any]) -> str:
    data = [
        f"| {side} | {of['name']} | {of['users']} | {of['interactions']} | {of['fingerprint']} |"
        for side, of in facts["data"].items()
    ]
    epochs = [
        f"| {e['epoch']} | {e['loss']:.4f} | {e['valid_loss']:.4f} | {e['seconds']:.0f} |" for e in facts["epochs"]
    ]
    lines = [
        f"# {facts['base_model']}, tuned by recloop ({facts['method']})",
        "",
        f"{facts['weights']['trained']:,} of {facts['weights']['all']:,} weights were trained. Samples were made of "
        "the train side alone; the validation side decided when to stop. No test side was read.",
        "",
        "| side | data | users | interactions | fingerprint |",
        "|---|---|---|---|---|",
        *data,
        "",
        f"Kept: epoch {facts['best_epoch']}, validation {facts['valid_loss']:.4f} nats a token of the answers (mean "
        f"over {facts['settings']['balance']}s).",
        "",
        "| epoch | loss | validation | seconds |",
        "|---|---|---|---|",
        *epochs,
        "",
        "Prompts: " + ", ".join(f"{name} {digest}" for name, digest in facts["prompts"].items()) + ".",
        "",
        "Settings: " + ", ".join(f"{key} {value}" for key, value in facts["settings"].items()) + ".",
        "",
        "Versions: " + ", ".join(f"{name} {number}" for name, number in facts["versions"].items()) + ".",
    ]
    return "\n".join(lines) + "\n"
