"""manifest.json: what a run was made of, so that it can be told, repeated, and not resumed as something else."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ...atomic import write_text
from ...errors import RunError
from ...redaction import redact

MANIFEST = "manifest.json"
PACKAGES = (
    "langgraph", "openai", "litellm", "torch", "pandas", "numpy", "scipy", "pyarrow", "chromadb", "pydantic", "tenacity"
)  # fmt: skip
SECRET = re.compile(
    r"^key$|api_?key|(access|secret|private)_?key|secret|password|authorization|headers?$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes two runs the same run: a resume with any of it changed is refused."""

    agent: str
    seed: int
    dataset: str
    fingerprint: str
    config: Mapping[str, Any] = field(default_factory=dict)
    """The agent's configuration."""
    prompts: tuple[str, ...] = ()
    """Digests of the prompts the agent may use, `name@digest`."""
    llm: Mapping[str, Any] = field(default_factory=dict)
    """The settings of the model that count; entries named like a secret are left out."""
    embedder: Mapping[str, Any] = field(default_factory=dict)
    """The settings of the embedder that count."""

    def as_json(self) -> dict[str, Any]:
        """Plain values, sorted prompts, no secrets."""
        plain = json.loads(json.dumps(asdict(self), default=str))
        return {**_without_secrets(plain), "prompts": sorted(self.prompts)}


def open_manifest(folder: Path, identity: Identity, *, anew: bool = False) -> dict[str, Any]:
    """The manifest of the run in `folder`, written now if there is none. The caller holds the folder's lock.

    Where the run there is another one: RunError naming the first field that differs, or with `anew` the earlier run is
    moved to folder/before/<number> and a new one begins.
    """
    wanted = identity.as_json()
    manifest = read_manifest(folder)
    if manifest is not None:
        difference = _difference(manifest["identity"], wanted)
        if difference is None:
            return manifest
        if not anew:
            raise RunError(
                f"{folder} holds another run: {difference}. Choose another folder, restore what changed, or start "
                "anew here (the earlier run is then kept under before/)"
            )
        _set_aside(folder)
    manifest = {
        "identity": wanted,
        "recloop": _version("recloop"),
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "created": _now(),
        "finished": None,
        "counts": {},
    }
    _put(folder, manifest)
    return manifest


def close_manifest(folder: Path, counts: Mapping[str, Any], *, finished: bool) -> None:
    """Write the counts and, for a run that came to its end, the time. The caller holds the folder's lock."""
    manifest = read_manifest(folder)
    if manifest is None:
        raise RunError(f"{folder / MANIFEST} went missing during the run; the records in parts/ are whole")
    _put(folder, {**manifest, "finished": _now() if finished else None, "counts": dict(counts)})


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest, None where the folder holds no run. Raises RunError for a file that is not a manifest."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path} is not JSON ({error}); restore it, or choose another folder") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("identity"), dict):
        raise RunError(f"{path} is not the manifest of a run (no `identity`); choose another folder")
    return manifest


def _put(folder: Path, manifest: Mapping[str, Any]) -> None:
    write_text(folder / MANIFEST, json.dumps(manifest, indent=2, sort_keys=True) + "\n")


def _difference(stored: Any, wanted: Any, name: str = "") -> str | None:
    """The first differing field, `config.set_size was 4, now 5`; None where there is none."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for key in sorted(stored.keys() | wanted.keys()):
            inner = _difference(stored.get(key, "not set"), wanted.get(key, "not set"), f"{name}.{key}".lstrip("."))
            if inner is not None:
                return inner
        return None
    return None if stored == wanted else f"{name} was {_short(stored)}, is now {_short(wanted)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 200 else text[:200] + "..."


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_secrets(inner) for key, inner in value.items() if not SECRET.search(key)}
    if isinstance(value, list):
        return [_without_secrets(inner) for inner in value]
    return redact(value) if isinstance(value, str) else value


def _set_aside(folder: Path) -> None:
    before = folder / "before"
    before.mkdir(exist_ok=True)
    aside = before / str(1 + max([0, *(int(p.name) for p in before.iterdir() if p.name.isdigit())]))
    aside.mkdir()
    # The manifest goes last: a kill in between leaves a run that is still refused, not one that seems new.
    for name in ("summary.json", "parts", MANIFEST):
        if (folder / name).exists():
            (folder / name).replace(aside / name)


@cache
def _commit() -> str | None:
    """HEAD of the checkout recloop runs from, `+changes` where files differ from it; None for an installed package."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "HEAD")
        return head + ("+changes" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        # No git on this machine, or a checkout of another user: the version number has to do.
        return None


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=20, check=True)
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
