"""`Study`: what a study file says: data, llm, steps, models, metrics, seeds, controls."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator

from ...agents.chat.config import LLMConfig
from ...agents.memory.embeddings import EmbedderConfig
from ...errors import ConfigError
from ...identity import Transport
from ...prompts import check_folder
from ...recsys.data.data_config import DataConfig, beside
from ...recsys.data.groups import ColdConfig, HeadConfig
from ...recsys.evaluation import parse
from ...recsys.models.train_config import TrainConfig
from ...settings import checked, read_source
from .fidelity_config import FidelityConfig
from .steps import check_step, step_of
from .variants import Control


class MemoryConfig(BaseModel):
    """Where agents remember."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: Transport[Literal["chroma", "process"]] = "chroma"
    """chroma: durable and searchable afterwards; process: each task's own, gone with the task."""
    url: Transport[str | None] = None
    """A `chroma run` server, for several machines; None keeps a folder inside the run's, or, as chroma takes one writer
    a folder, one a shard: a user's memos lie in the folder of the user's shard."""


class BatchConfig(BaseModel):
    """Where the agents' tasks are worked off. Whichever it is, the records are the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: Transport[Literal["serial", "processes", "ray"]] = "serial"
    """serial: one process, which keeps about 300 calls a second under way; processes: several on this machine;
    ray: a cluster whose machines share the run folder (the extra `ray`)."""
    shards: Transport[PositiveInt] = 1
    """Shares of the tasks, one worker each; by a hash of the task's key. May change from one resume to the next."""
    max_workers: Transport[PositiveInt | None] = None
    """Most workers at a time; None: all of them. `llm.concurrency`, `rpm` and `tpm` are divided by it."""
    cache: Transport[Literal["shared", "shard"]] = "shared"
    """shared: one file of replies for all workers; shard: a file for each, for machines that share the folder over a
    network, where SQLite's cannot be shared. Files of shards are taken into the shared one when the step ends."""

    telemetry: Transport[bool] = False
    """OpenTelemetry spans of tasks and calls, without their texts (the extra `telemetry`)."""

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and "at_once" in given:
            warnings.warn(
                "run.at_once is called run.max_workers now; the old name goes after this release",
                FutureWarning,
                stacklevel=2,
            )
            if "max_workers" in given:
                raise ValueError("at_once is the old name of max_workers; give one of them")
            given = {("max_workers" if key == "at_once" else key): value for key, value in given.items()}
        return given

    @model_validator(mode="after")
    def _somewhere(self) -> BatchConfig:
        if self.backend == "serial" and self.shards > 1:
            raise ValueError("shards need a backend: processes or ray")
        return self

    @property
    def workers(self) -> int:
        """How many work at the same time."""
        return min(self.shards, self.max_workers or self.shards)


class EvaluateConfig(BaseModel):
    """How every trained model is judged: full ranking, seen items masked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metrics: tuple[str, ...] = ("recall@10", "ndcg@10", "hr@10", "mrr@10")
    groups: tuple[Literal["head", "tail", "cold", "warm", "history"], ...] = ("head", "tail", "cold", "warm")
    """head, tail: held-out items by popularity in train; cold, warm: users by history length in train;
    history: a group a bucket of history lengths."""
    head: HeadConfig = HeadConfig()
    cold: ColdConfig = ColdConfig()
    controls: tuple[Control, ...] = ("random_edit", "popularity_edit", "facts_only")
    """Trained on beside the refined data. The edits change as much without an LLM; facts_only has initial vectors of
    the catalogue's own texts, for models that take any. oracle is no control to beat but an upper bound: the log
    without exactly the planted noise, for data whose noise is known (bazaar)."""
    draws: int = Field(2000, ge=100)
    """Bootstrap draws of an interval."""
    seeds: Literal["drawn", "fixed"] = "drawn"
    """drawn: intervals cover users and training seeds, they speak of the training method; fixed: users only, they speak
    of these trained models."""

    @field_validator("metrics")
    @classmethod
    def _known(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(str(parse(name)) for name in given)
        except ConfigError as error:
            raise ValueError(str(error)) from None


class Study(BaseModel):
    """One question asked of one dataset; `recloop run` answers it with one table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Transport[str] = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    """The run folder's name, below `out`."""
    data: DataConfig
    llm: LLMConfig = LLMConfig()
    embedder: EmbedderConfig = EmbedderConfig()
    memory: MemoryConfig = MemoryConfig()
    run: BatchConfig = BatchConfig()
    prompts: Path | None = None
    """A folder of your own wordings; a file there comes before the one shipped under the same name."""
    steps: tuple[dict[str, dict[str, Any]], ...] = ()
    """Agents in order, each with its settings; each reads what the one before it has folded."""
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    fidelity: FidelityConfig = FidelityConfig()
    """What `recloop fidelity` measures; `recloop run` does not read it."""
    seed: int = Field(0, ge=0)
    """Of tasks, candidates and controls. Models have their own, `train.seeds`."""
    out: Transport[Path] = Path("runs")
    """Where run folders are made; they share the cache of replies that lies there."""

    @field_validator("steps", mode="before")
    @classmethod
    def _named_steps(cls, given: Any) -> Any:
        if not isinstance(given, Sequence) or isinstance(given, str):
            raise ValueError("write a list of steps, such as [setwise] or [{setwise: {rounds: 1}}]")
        steps = []
        for entry in given:
            if isinstance(entry, str):
                entry = {entry: {}}
            if not isinstance(entry, Mapping) or len(entry) != 1:
                raise ValueError(f"{entry!r} is not a step; write an agent's name, or one name with its settings")
            steps += [{name: dict(settings or {})} for name, settings in entry.items()]
        for place, step in enumerate(steps):
            [(name, settings)] = step.items()
            try:
                check_step(name, settings, where=f"step {place}")
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return steps

    @model_validator(mode="after")
    def _reachable(self) -> Study:
        if self.run.backend == "ray" and self.memory.store == "chroma" and self.memory.url is None:
            raise ValueError(
                "backend ray needs a memory that every machine reaches: memory.url (a `chroma run` server), or, if "
                "nobody searches it afterwards, memory.store: process"
            )
        return self

    @property
    def folder(self) -> Path:
        return self.out / self.name


AnyStudy = Study | Path | str | Mapping[str, Any]
"""What verbs take: a Study, the path of a study file, or its keys and values as a dict."""


def read_study(source: Path | str | Mapping[str, Any], assignments: Sequence[str] = ()) -> Study:
    """The study in a YAML file, or in a mapping of the same keys, with `key=value` assignments made on it.

    Paths in a file are relative to the folder it lies in, `out` and all paths of a mapping to the working folder.
    Raises ConfigError naming the file, the key and the nearest key that exists.
    """
    values, folder, where = read_source(source, assignments, "study")
    study = checked(Study, beside_file(values, folder), where)
    if study.prompts is not None:
        check_folder(study.prompts, [name for step in study.steps for kind in step for name in step_of(kind).prompts])
    return study


def study_of(study: AnyStudy, settings: Sequence[str] = ()) -> Study:
    """The study that a verb was given. Raises ConfigError for `settings` on a Study, which is complete."""
    if not isinstance(study, Study):
        return read_study(study, settings)
    if settings:
        raise ConfigError("settings change a study file's values; give the path or a dict, or make a changed Study")
    return study


def beside_file(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """`values` with the paths of data, prompts, prices and replay taken from the study file's folder."""
    if isinstance(values.get("data"), dict):
        values["data"] = beside(values["data"], folder)
    llm = values.get("llm")
    for section, key in ((values, "prompts"), (llm, "prices"), (llm, "replay")):
        if isinstance(section, dict) and isinstance(section.get(key), str):
            section[key] = str(folder / section[key])
    fidelity = values.get("fidelity")
    for protocol in fidelity.values() if isinstance(fidelity, dict) else ():
        if isinstance(protocol, dict):
            if isinstance(protocol.get("lists"), str):
                protocol["lists"] = str(folder / protocol["lists"])
            if isinstance(recorded := protocol.get("recorded"), dict):
                protocol["recorded"] = {name: str(folder / str(path)) for name, path in recorded.items()}
    return values
