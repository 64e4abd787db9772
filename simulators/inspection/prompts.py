"""`prompts list` and `prompts show`: every prompt and its text. Imports neither models nor agents, so it is fast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ... import prompts


def prompts_list(folder: Path | None = None) -> list[dict[str, Any]]:
    """Every prompt: name, digest, the variables it takes, what it is for. `folder`: your own wordings."""
    return [
        {"name": p.name, "digest": p.digest, "variables": sorted(p.variables), "notes": p.notes.replace("\n", " ")}
        for p in (prompts.load(name, folder) for name in prompts.names(folder))
    ]


def prompts_show(name: str, folder: Path | None = None) -> dict[str, Any]:
    """One prompt as its file has it, with its digest and variables."""
    prompt = prompts.load(name, folder)
    return {"name": name, "digest": prompt.digest, "variables": sorted(prompt.variables), "text": prompt.text}
