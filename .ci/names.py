"""Names that say nothing are refused: `python .ci/names.py [FOLDER ...]` lists them and exits 1 where there are any.

Checked are the definitions of functions, classes, parameters, variables and fields. A class name may stand once in the
product (private ones too), because a reader greps for it. tests/ are not read.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("prompts", "recsys", "agents", "simulators", "cli", "benchmarks", "lab", "docs", ".ci")
VAGUE = frozenset("told said asked found drawn judged shown kept dealt counted fresh lots shop".split())
"""Everyday verbs and metaphors: use the noun (report, summaries, requests, matches, samples, scores, records ...)."""
METAPHORS = frozenset("telling settling asking judging pauses accounts leases remembering lately shelf chosen".split())
"""File names: use nouns of the field."""


def vague(name: str) -> bool:
    return name.strip("_") in VAGUE


def definitions(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def main(folders: list[str]) -> int:
    complaints: list[str] = []
    classes: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py")):
        place = path.relative_to(ROOT)
        wanted = not folders or any(str(place).startswith(f) for f in folders)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if path.stem in METAPHORS and wanted:
            complaints.append(f"{place}: name the file by a noun of the field")
        complaints += [f"{place}:{line}: {name}" for line, name in definitions(tree) if wanted and vague(name)]
        if place.parts[0] in ("recsys", "agents", "simulators", "cli", "prompts"):
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    classes[node.name].append(f"{place}:{node.lineno}")
    for name, places in sorted(classes.items()):
        if len(places) > 1 and (not folders or any(p.startswith(f) for p in places for f in folders)):
            complaints.append(f"class {name} is defined {len(places)} times: {', '.join(places)}")
    print("\n".join(complaints))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
