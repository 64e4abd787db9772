"""The agents a study can name as steps, and how one is made from its settings."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ...agents.agent import Agent
from ...agents.chat.likelihood import Likelihood
from ...agents.chat.types import Sampling
from ...agents.denoiser import Denoise, Denoiser
from ...agents.denoiser.doubts import PROMPTS as DENOISE_PROMPTS
from ...agents.discriminator import Discriminate, Discriminator
from ...agents.discriminator.machine import PROMPTS as DISCRIMINATE_PROMPTS
from ...agents.generator import Generate, Generator
from ...agents.generator.machine import PROMPTS as GENERATE_PROMPTS
from ...agents.memory.memory import Embedder
from ...agents.pair_scorer import PairScorer, ScorePairs
from ...agents.pair_scorer.machine import PROMPTS as SCORE_PAIRS_PROMPTS
from ...agents.setwise import Fold, Setwise, SetwiseAgent
from ...agents.setwise.machine import PROMPTS as SETWISE_PROMPTS
from ...errors import ConfigError
from ...settings import checked


@dataclass(frozen=True, slots=True)
class AgentContext:
    """What a study gives every agent."""

    embed: Embedder
    sampling: Sampling
    seed: int
    wording: Path | None = None
    likelihood: Callable[[], Likelihood] | None = None
    """Opens the study's model as one that weighs texts; None where it cannot."""


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of agent: the class of its settings, its maker, and the prompts it uses."""

    settings: type[BaseModel]
    make: Callable[[Any, AgentContext], Agent]
    prompts: tuple[str, ...]
    """Names; their digests make part of a run's identity."""
    fold_only: frozenset[str] = frozenset()
    """Settings that change what is made of the records, not the records: another value needs no new call."""
    refines: bool = True
    """Its fold edits interactions or states pairs, which `recloop refine` can write; false for vectors and scores."""
    by_user: bool = False
    """A user's task, and what is folded of its record, depend on this user's rows alone. `recloop refine` then takes a
    log in several blocks also of an agent that is not `Blockwise`."""


class SetwiseStep(Setwise):
    fold: Fold = Fold()


def _setwise(settings: SetwiseStep, around: AgentContext) -> SetwiseAgent:
    config = Setwise.model_validate(settings.model_dump(exclude={"fold"}))
    return SetwiseAgent(config, settings.fold, around.embed, around.sampling, around.wording, around.seed)


def _generate(settings: Generate, around: AgentContext) -> Generator:
    return Generator(settings, around.embed, around.sampling, around.wording, around.seed)


def _discriminate(settings: Discriminate, around: AgentContext) -> Discriminator:
    return Discriminator(settings, around.sampling, around.wording, around.seed)


def _denoise(settings: Denoise, around: AgentContext) -> Denoiser:
    weigh = around.likelihood() if settings.mode == "likelihood" and around.likelihood is not None else None
    return Denoiser(settings, around.embed, around.sampling, around.wording, around.seed, weigh)


def _score_pairs(settings: ScorePairs, around: AgentContext) -> PairScorer:
    return PairScorer(settings, around.sampling, around.wording, around.seed)


AGENTS: dict[str, Step] = {
    "setwise": Step(SetwiseStep, _setwise, SETWISE_PROMPTS, frozenset({"fold"}), refines=False),
    "generate": Step(Generate, _generate, GENERATE_PROMPTS, frozenset({"fuse"})),
    "discriminate": Step(
        Discriminate,
        _discriminate,
        DISCRIMINATE_PROMPTS,
        frozenset({"calibrator", "folds", "head", "cut", "noise", "fuse"}),
    ),
    "denoise": Step(Denoise, _denoise, DENOISE_PROMPTS, frozenset({"weight"})),
    "score_pairs": Step(ScorePairs, _score_pairs, SCORE_PAIRS_PROMPTS, frozenset({"pairs", "pair_gap"}), refines=False),
}
"""Agents by name; one of your own is named "package.module:step", a `Step`."""


def step_of(name: str) -> Step:
    """The step of a name in `AGENTS` or of "package.module:attribute". Raises ConfigError with the nearest name."""
    if name in AGENTS:
        return AGENTS[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        near = difflib.get_close_matches(name, AGENTS, 1, 0.0)
        raise ConfigError(
            f"no agent {name!r}; the nearest is {near[0]!r}. One of your own is named package.module:step"
        )
    try:
        step = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"agent {name!r} cannot be imported: {error}") from error
    if not isinstance(step, Step):
        raise ConfigError(f"agent {name!r} is a {type(step).__name__}, not a recloop.simulators.studies.steps.Step")
    return step


def check_step(name: str, settings: Mapping[str, Any], where: str) -> BaseModel:
    """The settings of one step, checked. Raises ConfigError naming the key and the nearest one."""
    return checked(step_of(name).settings, settings, f"{where} ({name})")


def make_agent(name: str, settings: Mapping[str, Any], around: AgentContext) -> Agent:
    """The agent of one step of a study."""
    step = step_of(name)
    return step.make(check_step(name, settings, "step"), around)
