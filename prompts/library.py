"""Prompts as Markdown files: loaded by name, rendered strictly, versioned by the digest of all their text.

A prompt file has three parts: notes for people (not sent), then `## System`, then `## User`. The last two are Jinja2
templates; a variable that is not given is an error, never an empty string. Pieces under `pieces/` show items, histories
and profiles the same way everywhere.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import jinja2
from jinja2 import meta

from ..errors import ConfigError
from .fencing import clean, fence, inline

HERE = Path(__file__).parent
PIECES = "pieces/"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt with facts filled in, ready to be sent."""

    name: str
    digest: str
    """12 hex digits: the version of the wording, not of the facts."""
    system: str
    user: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt file."""

    name: str
    digest: str
    notes: str
    text: str
    """The file as it stands."""
    variables: frozenset[str]
    """What `render` must be given."""
    _system: jinja2.Template
    _user: jinja2.Template

    def render(self, **facts: object) -> Rendered:
        """The prompt with these facts. Raises ConfigError when a variable of the template is not given."""
        try:
            system, user = self._system.render(facts), self._user.render(facts)
        except jinja2.UndefinedError as error:
            given = ", ".join(sorted(facts)) or "none"
            raise ConfigError(f"prompt {self.name}: {error.message}; the step gives: {given}") from None
        return Rendered(self.name, self.digest, system.strip(), user.strip())


def names(folder: Path | None = None) -> list[str]:
    """Every prompt's name, sorted; those of `folder` (your own wordings) included.

    Raises ConfigError where `folder` is no folder.
    """
    own = _files(folder) if folder is not None else set()
    return sorted(name for name in _files(HERE) | own if not name.startswith(PIECES))


def check_folder(folder: Path, others: Iterable[str] = ()) -> None:
    """Refuse a folder of wordings in which a file would never be read, and so change nothing without a word.

    Such a file lies in a shipped step's folder (`setwise/`), or has almost a prompt's name, but has no name of a
    shipped prompt, nor of `others`, the prompts of plug-in agents; or it is a piece that is neither shipped nor
    included by a template of the folder. Raises ConfigError with the nearest name.
    """
    files = _files(folder)
    if not files:
        raise ConfigError(f"prompts: {folder} holds no Markdown file; a wording is {folder}/<step>/<prompt>.md")
    texts = {name: (folder / f"{name}.md").read_text(encoding="utf-8", errors="replace") for name in sorted(files)}
    known = _files(HERE) | set(others)
    shipped_folders = {name.rpartition("/")[0] for name in _files(HERE)}
    for name in texts:
        if name in known or (name.startswith(PIECES) and any(f"{name}.md" in text for text in texts.values())):
            continue
        near = difflib.get_close_matches(name, known, 1, 0.8)
        if near or name.rpartition("/")[0] in shipped_folders:
            nearest = (near or difflib.get_close_matches(name, known, 1, 0.0))[0]
            raise ConfigError(
                f"prompts: {folder / name}.md: no step reads a prompt {name!r}; did you mean {nearest!r}? "
                "(`recloop prompts list`)"
            )


def _files(folder: Path) -> set[str]:
    """Names of the Markdown files below a folder, without `.md`."""
    if not folder.is_dir():
        raise ConfigError(_no_folder(folder))
    return {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.md")}


@lru_cache(maxsize=256)
def load(name: str, folder: Path | None = None) -> Prompt:
    """The prompt `name` (`setwise/assess`); a file of that name under `folder` comes before the one shipped.

    Raises ConfigError for an unknown name (with the nearest one), for a file that lacks a part or does not parse, and
    where `folder` is no folder.
    """
    if folder is not None and not folder.is_dir():
        raise ConfigError(_no_folder(folder))
    environment = _environment(folder)
    try:
        text, path, _ = _loader(environment).get_source(environment, f"{name}.md")
    except jinja2.TemplateNotFound:
        near = difflib.get_close_matches(name, names(folder), 1, 0.0)
        raise ConfigError(f"no prompt {name!r}; the nearest is {near[0]!r} (`recloop prompts list`)") from None
    try:
        notes, rest = text.split("## System\n", 1)
        system, user = rest.split("## User\n", 1)
    except ValueError:
        raise ConfigError(f"prompt file {path}: needs a line '## System' and, after it, a line '## User'") from None
    try:
        pieces = _texts(environment, text)
        variables = frozenset(meta.find_undeclared_variables(environment.parse(system + user)))
        templates = environment.from_string(system), environment.from_string(user)
    except jinja2.TemplateError as error:
        raise ConfigError(f"prompt file {path}: {error.__class__.__name__}: {error}") from None
    digest = hashlib.sha256("\0".join([system, user, *pieces]).encode()).hexdigest()[:12]
    return Prompt(name, digest, notes.strip(), text, variables, *templates)


def _no_folder(folder: Path) -> str:
    return f"prompts: {folder} is not a folder; name the folder of your own wordings"


def digests(*prompt_names: str, folder: Path | None = None) -> Mapping[str, str]:
    """name -> digest, for a run's manifest."""
    return {name: load(name, folder).digest for name in prompt_names}


@lru_cache(maxsize=32)
def _environment(folder: Path | None) -> jinja2.Environment:
    roots = [str(root) for root in (folder, HERE) if root is not None]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(roots),
        undefined=jinja2.StrictUndefined,
        # A piece that changes during a run must not be read under the old digest, and looking is a fifth of a render.
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        # A prompt is plain text for a model: HTML escaping would change what it reads.
        autoescape=False,
    )
    environment.filters.update(clean=clean, fence=fence, inline=inline)
    return environment


def _loader(environment: jinja2.Environment) -> jinja2.BaseLoader:
    assert environment.loader is not None
    return environment.loader


def _texts(environment: jinja2.Environment, text: str) -> list[str]:
    """The texts of all pieces that a template includes or imports, those of its pieces too, by name."""
    pieces: dict[str, str] = {}
    waiting = [text]
    while waiting:
        for piece in meta.find_referenced_templates(environment.parse(waiting.pop())):
            if piece is not None and piece not in pieces:
                pieces[piece] = _loader(environment).get_source(environment, piece)[0]
                waiting.append(pieces[piece])
    return [pieces[piece] for piece in sorted(pieces)]
