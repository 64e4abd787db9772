"""What the records of a study's step depend on, and the folder that is named by it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ... import prompts
from ...agents.payloads import PAYLOAD_FORM
from ...identity import digest, settings_of
from ...recsys.data import Dataset
from .steps import step_of
from .study import Study


def identity_of(study: Study, name: str, settings: Mapping[str, Any], data: Dataset) -> dict[str, Any]:
    """What a step's records depend on; `run` is the part that goes to the manifest by these names."""
    step = step_of(name)
    return {
        "fingerprint": data.fingerprint,
        "seed": study.seed,
        "payloads": PAYLOAD_FORM,
        "run": {
            "config": settings_of(step.settings.model_validate(dict(settings)), without=step.fold_only),
            "prompts": wordings_of(name, study.prompts),
            "llm": model_of(study),
            "embedder": settings_of(study.embedder),
        },
    }


def wordings_of(name: str, folder: Path | None) -> list[str]:
    """`prompt@digest` of every prompt that a step uses; `folder`: the user's own wordings."""
    return [f"{prompt}@{version}" for prompt, version in prompts.digests(*step_of(name).prompts, folder=folder).items()]


def model_of(study: Study) -> dict[str, Any]:
    """Which model answers and how it is asked: every setting of `llm` but those of transport."""
    return settings_of(study.llm)


def folder_of(study: Study, name: str, settings: Mapping[str, Any], data: Dataset, below: Path) -> Path:
    """Where a step's records lie: beside `below`, named by all that they rest on."""
    return below.with_name(f"{below.name}-{name.replace(':', '.')}-{digest(identity_of(study, name, settings, data))}")
