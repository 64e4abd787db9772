"""`schema`: the JSON schema of a study file and of recloop's other YAML files, for editors (yaml-language-server)."""

from __future__ import annotations

import ast
import difflib
import inspect
import textwrap
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from ...agents.tuning.tune_lm import TuneLMFile
from ...errors import ConfigError
from ...recsys.data.data_config import SPLITS
from ...recsys.data.sources import SOURCES
from ...recsys.models import MODELS, model_class
from ...recsys.tuning import Tuning
from ..refining.config import RefineConfig
from ..studies.steps import AGENTS
from ..studies.study import Study

FILES: dict[str, type[BaseModel]] = {"study": Study, "refine": RefineConfig, "tune": Tuning, "tune-lm": TuneLMFile}
"""Kind of file -> the class that reads it."""
PLUG_IN = r"^[\w.]+:\w+$"


def schema(kind: str = "study") -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a kind of file: `study`, `refine`, `tune` or `tune-lm`.

    Shorthands that a file may use are in it (a model's or a step's bare name, `core: 5`, `split: leave_last_out`).
    Descriptions are the docstrings of the fields. Raises ConfigError for an unknown kind.
    """
    if kind not in FILES:
        near = difflib.get_close_matches(kind, FILES, 1, 0.0)
        raise ConfigError(f"no schema {kind!r}; did you mean {near[0]!r}? There are: {', '.join(FILES)}")
    made = FILES[kind].model_json_schema(schema_generator=_Described)
    definitions = made.setdefault("$defs", {})
    steps = {name: step.settings for name, step in AGENTS.items() if kind != "refine" or step.refines}
    models = {name: model_class(name).Config for name in MODELS}
    for owner in (made, *list(definitions.values())):
        properties = owner.get("properties", {})
        if owner.get("title") in ("Study", "RefineConfig") and "steps" in properties:
            properties["steps"] |= _entries(steps, definitions)
        if owner.get("title") == "TrainConfig":
            properties["models"] |= _entries(models, definitions)
        if owner.get("title") == "TuneConfig":
            values = properties["space"]["additionalProperties"]["additionalProperties"]
            values["anyOf"] = [*values["anyOf"], {"type": "array"}]  # short for {among: [...]}
        if owner.get("title") == "DataConfig":
            _shorten_data(properties)
    made["patternProperties"] = {"^x-": {"description": "Yours: recloop does not read it. A place for YAML anchors."}}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


class _Described(GenerateJsonSchema):
    """Adds the docstring under each field as its description."""

    def model_schema(self, schema: Any) -> Any:
        made = super().model_schema(schema)
        texts = field_docstrings(schema["cls"])
        for name, entry in made.get("properties", {}).items():
            if name in texts:
                entry.setdefault("description", texts[name])
        return made


@cache
def field_docstrings(kind: type[BaseModel]) -> Mapping[str, str]:
    """Field -> the text under it in the source, of a class and its parents."""
    texts: dict[str, str] = {}
    for parent in reversed(kind.__mro__):
        if not issubclass(parent, BaseModel) or parent is BaseModel:
            continue
        try:
            source = inspect.getsource(parent)
        except (OSError, TypeError):
            continue
        [definition] = ast.parse(textwrap.dedent(source)).body
        body = definition.body if isinstance(definition, ast.ClassDef) else []
        for field, text in pairwise(body):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                    texts[name] = " ".join(words.split())
    return texts


def _entries(kinds: Mapping[str, type[BaseModel]], definitions: dict[str, Any]) -> dict[str, Any]:
    """A list of names, each alone or with its settings; a plug-in by "package.module:name"."""
    settings = {}
    for name, kind in kinds.items():
        made = kind.model_json_schema(schema_generator=_Described, ref_template=f"#/$defs/{name}-{{model}}")
        definitions.update({f"{name}-{inner}": entry for inner, entry in made.pop("$defs", {}).items()})
        settings[name] = {"anyOf": [made, {"type": "null"}]}
    named = {
        "type": "object",
        "properties": settings,
        "patternProperties": {PLUG_IN: {"type": ["object", "null"]}},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    alone = {"type": "string", "anyOf": [{"enum": list(kinds)}, {"pattern": PLUG_IN}]}
    return {"type": "array", "items": {"anyOf": [alone, named]}}


def _shorten_data(properties: dict[str, Any]) -> None:
    properties["source"] |= {"anyOf": [{"enum": list(SOURCES)}, {"pattern": PLUG_IN}]}
    core = properties["core"]
    core["anyOf"] = [{"type": "integer", "exclusiveMinimum": 0}, *core["anyOf"]]
    named = {
        "type": "object",
        "properties": {name: {"type": ["object", "null"]} for name in SPLITS},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    split = properties["split"]
    for key in ("type", "additionalProperties"):
        split.pop(key, None)
    split["anyOf"] = [{"enum": list(SPLITS)}, named]
