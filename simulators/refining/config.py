"""The settings of `recloop refine`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, field_validator

from ...agents.chat.config import LLMConfig
from ...agents.memory.embeddings import EmbedderConfig
from ...errors import ConfigError
from ...prompts import check_folder
from ...recsys.data.assemble import Twice
from ...settings import checked, own_keys_dropped, read_yaml, with_settings
from ..studies.steps import AGENTS, check_step, step_of


def refines(name: str) -> bool:
    """Whether a log can be refined by the step: one of recloop's own, or "package.module:step". Raises ConfigError."""
    return (name in AGENTS or ":" in name) and step_of(name).refines


class LogConfig(BaseModel):
    """How the log is written, where its file does not tell."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: dict[str, str | int] = Field(default_factory=dict)
    """Our name -> the file's, as {user_id: reviewer, value: stars}; a position from 0 in a file without header."""
    time: str = "auto"
    """s, ms, us, ns, iso, order, a format such as %d/%m/%Y, or auto."""
    separator: str | None = None
    """What stands between fields; found in the first line unless given."""
    items_separator: str | None = None
    """The same for the table of items."""
    escape: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """The character before a quote or a separator inside a field, usually a backslash; without it a quote inside a
    quoted field is doubled."""
    sequences: bool = False
    """A line is a user and then the user's items, oldest first (`u i i i`), without a header."""
    raw_texts: bool = False
    """Keep HTML entities, tags and page code in the texts of items; by default they are decoded or taken out."""
    encoding: str = "utf-8"
    """Of the text."""
    quoted: bool = False
    """.inter: fields may stand in double quotes."""
    header: tuple[str, ...] = ()
    """.inter: `name:type` of each field of a file that has no header."""
    items: Path | None = None
    """The table of items: CSV, TSV, Parquet or `.item`; without it nothing is known of an item but its id."""
    item_columns: dict[str, str | int] = Field(default_factory=dict)
    """The same map for the table of items (item_id, title, categories)."""
    duplicate_ids: Twice = "error"
    """What becomes of an item that stands twice in its table with different contents."""


class RefineConfig(BaseModel):
    """Which steps refine the log, by which model, and how much of the log is held in memory."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: LogConfig = LogConfig()
    llm: LLMConfig = LLMConfig()
    embedder: EmbedderConfig = EmbedderConfig()
    prompts: Path | None = None
    """A folder of your own wordings; a file there comes before the one shipped under the same name."""
    steps: tuple[dict[str, dict[str, Any]], ...] = ({"generate": {}}, {"discriminate": {}})
    """`generate`, `discriminate`, `denoise`, or an agent of one's own (package.module:step), each with its settings, in
    order; each reads what the one before has left."""
    seed: int = Field(0, ge=0)
    """Of all that is drawn."""
    block_mb: PositiveFloat = 64.0
    """Size of the parts the log is worked in, in megabytes of the plain file. Another size gives the same result."""
    sample_rows: PositiveInt = 2_000_000
    """Interactions, of whole users drawn by a hash of their id, from which items' neighbours are counted, among whose
    users cold items look for theirs, and on which confidence is calibrated. A smaller log is its own sample."""
    provenance: bool = True
    """Write weight, origin, agent, confidence and record beside each row; else new rows look like old ones and
    weights are lost. The run folder has them in any case."""

    @field_validator("steps", mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        if not isinstance(given, Sequence) or isinstance(given, str) or not given:
            raise ValueError("write a list of steps, such as [generate, discriminate]")
        steps: list[dict[str, dict[str, Any]]] = []
        for entry in given:
            named = {entry: {}} if isinstance(entry, str) else entry
            if not isinstance(named, Mapping) or len(named) != 1:
                raise ValueError(f"{entry!r} is not a step; write one name with its settings")
            [(name, settings)] = named.items()
            try:
                if not refines(str(name)):
                    own = ", ".join(name for name in AGENTS if refines(name))
                    raise ConfigError(f"{name!r} is not a step that edits a log; write {own}, or package.module:step")
                check_step(name, settings or {}, where=f"step {len(steps)}")
            except ConfigError as error:
                raise ValueError(str(error)) from None
            steps.append({name: dict(settings or {})})
        return steps


def read_config(
    config: RefineConfig | Mapping[str, Any] | Path | str | None, steps: Sequence[str] | None, settings: Sequence[str]
) -> RefineConfig:
    """The settings of a file (or the defaults), with `key=value` settings made on them, and of `steps` those named.

    A step that is named and stands in the file has the file's settings. Paths in the file are relative to its folder.
    """
    if isinstance(config, RefineConfig):
        values = config.model_dump(mode="json")
        where = "refine"
    elif isinstance(config, Mapping):
        values, where = own_keys_dropped(config), "refine"
    else:
        values = read_yaml(Path(config)) if config is not None else {}
        where = str(config) if config is not None else "refine"
    if any(setting.startswith("steps.") for setting in settings):
        # What `steps.0.generate.users=9` changes, where no file has steps.
        values = {"steps": [{name: {}} for name in steps or ("generate", "discriminate")]} | values
    values = with_settings(values, settings)
    if isinstance(config, Path | str):
        values = _beside(values, Path(config).parent)
    config = checked(RefineConfig, values, where)
    if config.prompts is not None:
        check_folder(config.prompts, [name for step in config.steps for kind in step for name in step_of(kind).prompts])
    if steps is None:
        return config
    known: dict[str, list[dict[str, Any]]] = {}
    for entry in config.steps:
        [(name, given)] = entry.items()
        known.setdefault(name, []).append(given)
    wanted = [{name: known[name].pop(0) if known.get(name) else {}} for name in steps]
    return checked(RefineConfig, {**config.model_dump(mode="json"), "steps": wanted}, "--steps")


def _beside(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    for section, key in ((values, "prompts"), ("data", "items"), ("llm", "prices"), ("llm", "replay")):
        part = values.get(section) if isinstance(section, str) else section
        if isinstance(part, dict) and isinstance(part.get(key), str):
            part[key] = str(folder / part[key])
    return values
