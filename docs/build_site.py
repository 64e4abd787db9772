"""Lay out the pages of the site below build/docs: `make docs` runs this, then mkdocs in strict mode.

Pages keep their place in the repository, so a link that works in a checkout works on the site. The API reference gets a
page for each package, made from its docstrings.
"""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "docs"
LAYERS = ("prompts", "recsys", "agents", "simulators", "cli")
GUIDES = ("setwise", "llm-i2i", "denoising", "selective", "local-models", "recommenders")
FIRST = ("architecture", "verdict", "study", "plug-ins", "scale", "results")
"""Pages of docs/ in the order of the menu; others follow by name."""


def main() -> None:
    """Write build/docs/pages and build/docs/mkdocs.yml anew."""
    shutil.rmtree(BUILD, ignore_errors=True)
    pages = BUILD / "pages"
    for folder in ("docs", "benchmarks", "lab", "examples"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".md", ".png", ".svg", ".yaml", ".py", ".ipynb") and path.name != "mkdocs.yml":
                target = pages / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"):
        shutil.copy(ROOT / name, pages / name)
    # mkdocstrings imports nothing: it reads the sources as the package `recloop`, so tests and .venv stay out of it.
    package = BUILD / "recloop"
    package.mkdir()
    for path in [*ROOT.glob("*.py"), *(ROOT / layer for layer in LAYERS)]:
        (package / path.name).symlink_to(path)
    settings = yaml.safe_load((ROOT / "docs" / "mkdocs.yml").read_text(encoding="utf-8"))
    settings["nav"] = navigation(pages)
    (BUILD / "mkdocs.yml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def navigation(pages: Path) -> list[dict[str, object]]:
    """The menu; writes the pages of the API reference on the way."""
    docs = {path.stem: f"docs/{path.name}" for path in sorted((pages / "docs").glob("*.md"))}
    first = [docs.pop(name) for name in FIRST if name in docs]
    guides = [docs.pop(name) for name in GUIDES if name in docs]
    return [
        {"Start": ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"]},
        {"Reference": first + list(docs.values())},
        {"Guides": guides},
        {"Python API": reference(pages / "api")},
        {"Benchmarks": [f"benchmarks/{path.name}" for path in sorted((pages / "benchmarks").glob("*.md"))]},
        {"Lab": [f"lab/{path.name}" for path in sorted((pages / "lab").glob("*.md"))]},
    ]


def reference(folder: Path) -> list[dict[str, str]]:
    """A page for each package that setuptools lists, with its modules one after another."""
    folder.mkdir(parents=True)
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    menu = []
    for package in settings["tool"]["setuptools"]["packages"]:
        place = ROOT.joinpath(*package.split(".")[1:])
        modules = [p.stem for p in sorted(place.glob("*.py")) if p.stem not in ("__init__", "py")]
        lines = [f"# {package}", "", *(f"::: {package}.{module}\n" for module in modules)]
        (folder / f"{package}.md").write_text("\n".join(lines), encoding="utf-8")
        menu.append({package: f"api/{package}.md"})
    return menu


if __name__ == "__main__":
    main()
