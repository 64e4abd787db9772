"""Writes the reference in `study.md` from the classes that read a study file, so that the two cannot part.

    python docs/make_study_reference.py

What stands above the marker is written by hand and kept. A field's meaning is the text under it in the source; one
without such a text, and without a line in `PLAIN` below, stops the program.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import types
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from recloop.recsys.data.amazon import read_amazon
from recloop.recsys.data.atomic import read_atomic
from recloop.recsys.data.data_config import READS, SPLITS, DataConfig
from recloop.recsys.data.frames import read_frame
from recloop.recsys.data.movielens import read_movielens
from recloop.recsys.data.sources import bazaar_source
from recloop.recsys.data.tables import read_table
from recloop.recsys.data.windows import read_windows
from recloop.recsys.data.writers import read_written
from recloop.recsys.evaluation.metrics import BEYOND, METRICS
from recloop.recsys.models import MODELS, ModelConfig, model_class
from recloop.recsys.training import TrainingConfig
from recloop.simulators.studies.steps import AGENTS
from recloop.simulators.studies.study import Study

FILE = Path(__file__).with_name("study.md")
MARKER = "<!-- From here on written by docs/make_study_reference.py; change the docstrings, then run it. -->\n"

READERS: dict[str, Callable[..., Any]] = {
    "bazaar": bazaar_source,
    "movielens": read_movielens,
    "amazon": read_amazon,
    "atomic": read_atomic,
    "table": read_table,
    "frame": read_frame,
    "windows": read_windows,
    "written": read_written,
}

PLAIN = {
    "Core.user": "Fewest interactions a user must have.",
    "Core.item": "Fewest interactions an item must have; users and items are dropped in turn until both hold.",
    "LLMConfig.temperature": "0 takes the most likely word every time.",
    "Budget.calls": "Calls sent, repeated and repairing ones included; null is no limit.",
    "Budget.usd": "US dollars by `llm.prices`; null is no limit.",
    "EmbedderConfig.provider": "Makes vectors of texts, for memory and for initial vectors.",
    "EvaluateConfig.metrics": "Names with a cutoff, such as ndcg@10; see [metrics](#metrics).",
    "FidelityConfig.protocols": "Which are run, in this order.",
    "Contamination.users": "Users judged with titles shown and hidden.",
    "Canaries.users": "Users whose prompts are searched.",
    "Taste.window": "Ranks up or down, for `negatives: popularity`.",
    "Position.permutations": "Orders in which each list is shown.",
    "Position.candidates": "Length of a list, the truth included.",
    "SetwiseValue.negatives": "Where the others of a list come from.",
    "AgentCF.candidates": "Length of a list, the truth included.",
    "LLMRank.candidates": "Length of a list, the truth included.",
    "BERT4RecConfig.epochs": "At most this many passes over the training interactions.",
}
"""Meanings of fields whose source says nothing under them, being named by what they are."""


def reference() -> str:
    """All below the marker."""
    return "\n".join([*_study(), *_data(), *_steps(), *_models(), *_metrics()]).rstrip() + "\n"


def whole(text: str) -> str:
    """The file `text` with its reference made anew."""
    by_hand, marker, _ = text.partition(MARKER)
    if not marker:
        raise SystemExit(f"{FILE.name} lacks the marker line {MARKER.strip()!r}")
    return by_hand + MARKER + "\n" + reference()


# --- chapters ---------------------------------------------------------------------------------------------------------


def _study() -> Iterator[str]:
    yield "## Reference\n"
    yield (
        "Keys that are not listed are refused. `required` has no default; `null`, which the texts call None, means not "
        "set. A key of a section is written inside it, and named from the command line by its path: "
        "`--set evaluate.head.value=0.1`.\n"
    )
    yield from _section("### The file itself", Study)
    for path, kind in _sections(Study):
        yield from _section(f"### `{path}`", kind)


def _data() -> Iterator[str]:
    yield "### Sources of data\n"
    yield (
        "`data.source` is one of these, or `package.module:function` of your own ([plug-ins](plug-ins.md)). A source "
        "refuses a setting that it does not read; filters and split are for all of them.\n"
    )
    assert READERS.keys() == READS.keys(), "a source has come or gone: change READERS"
    for source, reader in READERS.items():
        order = [name for name in DataConfig.model_fields if name in READS[source]]
        yield f"**`{source}`** reads {', '.join(f'`{name}`' for name in order)}.\n"
        yield f"{_prose(reader)}\n"
    yield "### Splits\n"
    yield "`data.split` is one of these names, or one with its settings: `{global_time: {valid: 0.1, test: 0.2}}`.\n"
    for name, function in SPLITS.items():
        given = list(inspect.signature(function).parameters.values())[1:]
        parameters = ", ".join(
            f"`{p.name}`" + ("" if p.default is p.empty else f" ({_yaml(p.default)})") for p in given
        )
        yield f"**`{name}`** takes {parameters}.\n"
        yield f"{_prose(function)}\n"


def _steps() -> Iterator[str]:
    yield "## Steps\n"
    yield (
        "`steps` lists agents, each alone (`- setwise`) or with its settings (`- setwise: {rounds: 1}`); one of your "
        "own is named `package.module:step` ([plug-ins](plug-ins.md)).\n"
    )
    for name, step in AGENTS.items():
        yield from _section(f"### `{name}`", step.settings)
        for path, kind in _sections(step.settings):
            yield from _section(f"### `{name}.{path}`", kind)
        fold_keys = ", ".join(f"`{key}`" for key in sorted(step.fold_only))
        if fold_keys:
            yield f"Another value of {fold_keys} folds the records there are anew and makes no call.\n"


def _models() -> Iterator[str]:
    yield "## Models\n"
    yield (
        "`train.models` lists models, each alone (`- sasrec`) or with hyperparameters (`- sasrec: {max_length: 20}`); "
        "one of your own is named `package.module:Class` ([plug-ins](plug-ins.md)). A model stands there once. It uses "
        "what it *accepts* of refined data and ignores the rest.\n"
    )
    shared = {ModelConfig: _rows(ModelConfig), TrainingConfig: _rows(TrainingConfig)}
    yield from _section("### Every model", ModelConfig)
    yield "### Every network\n"
    networks = [name for name in MODELS if issubclass(model_class(name).Config, TrainingConfig)]
    yield (
        f"{_sentence(TrainingConfig)} For {', '.join(f'`{name}`' for name in networks)}; a default of the model's own "
        "stands in its table.\n"
    )
    yield _table([row for row in shared[TrainingConfig] if row not in shared[ModelConfig]])
    for name in MODELS:
        kind = model_class(name)
        yield f"### `{name}`\n"
        yield f"{_prose(kind)}\n"
        yield f"Accepts: {', '.join(f'`{hook}`' for hook in sorted(kind.accepts)) or 'nothing that agents write'}.\n"
        shared_rows = shared[TrainingConfig if issubclass(kind.Config, TrainingConfig) else ModelConfig]
        own = [row for row in _rows(kind.Config) if row not in shared_rows]
        yield _table(own) if own else "No hyperparameter of its own.\n"


def _metrics() -> Iterator[str]:
    yield "## Metrics\n"
    yield (
        f"{', '.join(f'`{name}@k`' for name in METRICS)} of each user, and "
        f"{', '.join(f'`{name}@k`' for name in BEYOND)} of all lists together. The latter stand in the report for "
        "every cutoff named, and need no naming themselves.\n"
    )
    for name, metric in METRICS.items():
        yield f"- `{name}`: {_sentence(metric).replace(', (n,)', '')}"
    yield ""


# --- sections and their rows ------------------------------------------------------------------------------------------


def _sections(kind: type[BaseModel], above: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every class below a class, with its path in the file."""
    for name, field in kind.model_fields.items():
        inner = _model_in(field.annotation)
        if inner is not None:
            path = f"{above}{name}"
            yield path, inner
            yield from _sections(inner, f"{path}.")


def _section(title: str, kind: type[BaseModel]) -> Iterator[str]:
    yield f"{title}\n"
    documented = next(owner for owner in kind.__mro__ if vars(owner).get("__doc__"))
    if documented is not BaseModel:
        yield f"{_prose(documented)}\n"
    yield _table(_rows(kind))


def _table(rows: list[tuple[str, ...]]) -> str:
    lines = ["| key | type | default | range | meaning |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _rows(kind: type[BaseModel]) -> list[tuple[str, ...]]:
    return [
        (f"`{name}`", _type(field.annotation), _default(field), _range(field), _meaning(kind, name, field))
        for name, field in kind.model_fields.items()
    ]


def _type(annotation: Any) -> str:
    if annotation is Any:
        return "any value"
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inner[0])
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(one) for one in inner if one is not type(None)))
    if origin is Literal:
        return "name"
    if origin in (tuple, list):
        return f"list of {_type(inner[0])}s".replace("texts", "text")
    if origin is dict:
        return "map"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    names = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path"}
    return names[annotation]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "its own" if isinstance(value, BaseModel) else f"`{_yaml(value)}`"


def _range(field: FieldInfo) -> str:
    shared_rows = list(dict.fromkeys([*_bounds(field.metadata), *_bounds_in(field.annotation)]))
    return ", ".join(shared_rows)


def _bounds_in(annotation: Any) -> Iterator[str]:
    """The bounds that stand inside a type: `PositiveInt | None`, or the names of a Literal."""
    if get_origin(annotation) is Annotated:
        yield from _bounds(annotation.__metadata__)
    if get_origin(annotation) is Literal:
        yield ", ".join(f"`{_yaml(value)}`" for value in get_args(annotation))
        return
    for inner in get_args(annotation):
        yield from _bounds_in(inner)


def _bounds(metadata: Any) -> Iterator[str]:
    for bound in metadata:
        if isinstance(bound, FieldInfo):
            yield from _bounds(bound.metadata)
        elif isinstance(bound, annotated_types.Ge):
            yield f">= {bound.ge}"
        elif isinstance(bound, annotated_types.Gt):
            yield f"> {bound.gt}"
        elif isinstance(bound, annotated_types.Le):
            yield f"<= {bound.le}"
        elif isinstance(bound, annotated_types.Lt):
            yield f"< {bound.lt}"
        elif isinstance(bound, annotated_types.MinLen):
            yield f"at least {bound.min_length}"
        elif getattr(bound, "pattern", None):
            yield f"`{_cell(bound.pattern)}`"


def _meaning(kind: type[BaseModel], name: str, field: FieldInfo) -> str:
    for owner in kind.__mro__:
        shared_rows = _field_texts(owner).get(name) if owner.__module__.startswith("recloop") else None
        if shared_rows is not None:
            return _cell(shared_rows)
        if (plain := PLAIN.get(f"{owner.__name__}.{name}")) is not None:
            return _cell(plain)
    inner = _model_in(field.annotation)
    if inner is not None and inner.__doc__:
        return _cell(_sentence(inner))
    raise SystemExit(f"{kind.__module__}.{kind.__name__}.{name} says nothing under it; write a docstring there")


@cache
def _field_texts(kind: type) -> dict[str, str]:
    """Field -> the text under it, of one class without its parents."""
    [made] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(made, ast.ClassDef)
    texts = {}
    for field, below in zip(made.body, made.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as text)):
                texts[name] = " ".join(text.split())
    return texts


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((texts for inner in get_args(annotation) if (texts := _model_in(inner)) is not None), None)


# --- words ------------------------------------------------------------------------------------------------------------


def _yaml(value: Any) -> str:
    """A value as it is written in a study file."""
    text = yaml.safe_dump(_plain(value), default_flow_style=True, width=10_000)
    return _cell(text.removesuffix("...\n").strip())


def _plain(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple | list) else value


def _prose(thing: Any) -> str:
    """A docstring as running text, each of its paragraphs one."""
    paragraphs = re.split(r"\n\s*\n", inspect.getdoc(thing) or "")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _sentence(thing: Any) -> str:
    """The first paragraph of a docstring."""
    return _prose(thing).split("\n\n")[0]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    FILE.write_text(whole(FILE.read_text(encoding="utf-8")), encoding="utf-8")
