"""Prompts as Markdown files: loaded by name, rendered strictly, versioned by the digest of all their text.

A prompt file has three parts: notes for people (not sent), then `## System`, then `## User`. The last two are Jinja2
templates; a variable that is not given is an error, never an empty string. Pieces under `pieces/` show items, histories
and profiles the same way everywhere.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
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
    """A prompt with facts filled in, ready to be asked."""

    name: str
    digest: str
    """12 hex digits: the version of the wording, not of the facts."""
    system: str
    user: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """One step's wording."""

    name: str
    digest: str
    notes: str
    text: str
    """The file as it stands."""
    variables: frozenset[str]
    """What `render` must be given."""
    _system: jinja2.Template
    _user: jinja2.Template

    def render(self, **shown: object) -> Rendered:
        """The prompt with these facts. Raises ConfigError when a variable of the template is not given."""
        try:
            system, user = self._system.render(shown), self._user.render(shown)
        except jinja2.UndefinedError as error:
            wanted = ", ".join(sorted(self.variables))
            raise ConfigError(f"prompt {self.name}: {error.message}; it wants: {wanted}") from None
        return Rendered(self.name, self.digest, system.strip(), user.strip())


def names(folder: Path | None = None) -> list[str]:
    """Every prompt's name, sorted; those of `folder` (your own wordings) included."""
    found = {
        path.relative_to(root).with_suffix("").as_posix()
        for root in (HERE, folder)
        if root is not None
        for path in root.rglob("*.md")
    }
    return sorted(name for name in found if not name.startswith(PIECES))


@lru_cache(maxsize=256)
def load(name: str, folder: Path | None = None) -> Prompt:
    """The prompt `name` (`setwise/assess`); a file of that name under `folder` comes before the one shipped.

    Raises ConfigError for an unknown name (with the nearest one) and for a file that lacks a part or does not parse.
    """
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
    found: dict[str, str] = {}
    waiting = [text]
    while waiting:
        for piece in meta.find_referenced_templates(environment.parse(waiting.pop())):
            if piece is not None and piece not in found:
                found[piece] = _loader(environment).get_source(environment, piece)[0]
                waiting.append(found[piece])
    return [found[piece] for piece in sorted(found)]
