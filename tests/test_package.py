"""The package as it is installed: every folder with code is listed, and the wheel has every file."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
LAYERS = ("prompts", "recsys", "agents", "simulators", "cli")


def modules() -> list[Path]:
    return [path for layer in LAYERS for path in (ROOT / layer).rglob("*.py")]


def test_every_subpackage_is_listed_so_that_the_wheel_has_it():
    found = {"recloop"} | {".".join(["recloop", *path.parent.relative_to(ROOT).parts]) for path in modules()}
    assert found | {"recloop.examples"} == set(SETTINGS["tool"]["setuptools"]["packages"])


def test_the_wheel_has_every_module_prompt_and_example(tmp_path):
    source = tmp_path / "source"
    skipped = shutil.ignore_patterns(
        ".*", "tests", "build", "*.egg-info", "__pycache__", "runs", "docs", "benchmarks", "lab"
    )
    shutil.copytree(ROOT, source, ignore=skipped)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    built = subprocess.run([*pip, "--wheel-dir", tmp_path, source], capture_output=True, text=True, timeout=250)
    assert built.returncode == 0, built.stderr
    [wheel] = tmp_path.glob("recloop-*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    wanted = [*modules(), *ROOT.glob("*.py"), ROOT / "py.typed", *(ROOT / "prompts").rglob("*.md")]
    wanted += [path for path in (ROOT / "examples").rglob("*") if path.suffix in (".yaml", ".ipynb")]
    assert {f"recloop/{path.relative_to(ROOT).as_posix()}" for path in wanted} <= inside
    assert not [name for name in inside if name.startswith(("recloop/tests", "recloop/benchmarks", "recloop/lab"))]


def test_every_prompt_matches_the_package_data_patterns():
    patterns = SETTINGS["tool"]["setuptools"]["package-data"]["recloop.prompts"]
    found = {path.relative_to(ROOT / "prompts") for path in (ROOT / "prompts").rglob("*.md")}
    assert found
    assert all(any(path.match(pattern) for pattern in patterns) for path in found)
