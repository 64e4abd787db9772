"""Small studies for tests, and the command line started on them as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

SMALL: dict[str, Any] = {
    "name": "small",
    "data": {"source": "bazaar"},
    "llm": {"provider": "offline", "concurrency": 8},
    "steps": [{"setwise": {"users": 60, "walk": 2}}],
    "train": {"models": ["popularity", "itemknn", {"bpr": {"epochs": 3}}], "seeds": [0, 1]},
    "evaluate": {"draws": 200},
}


def study_file(folder: Path, **changes: Any) -> Path:
    """A small study as a file in `folder`, top-level keys replaced by `changes`."""
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **changes}), encoding="utf-8")
    return path


def recloop(*words: str | Path, **environment: str) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", "from recloop.cli.app import main; main()", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )
