"""The documentation holds: the reference is current, study files are valid, Python runs, links lead somewhere."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import recloop
import yaml
from recloop.agents.agent import Agent
from recloop.agents.chat.scripted import scripted_chat
from recloop.agents.chat.types import Request
from recloop.recsys.models.contract import RecommenderContract
from recloop.recsys.tuning import Tuning
from recloop.simulators.studies.study import Study

from tests.agents.contract import AgentContract

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"(?:#|<!--) (\S+\.\w+)(?: -->)?\n")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; `file` is the name that its first line gives it, or empty."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def file(self) -> str:
        named = NAMED.match(self.text)
        return named[1] if named else ""

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks_of(page: Path, language: str = "") -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = [Block(page, text.count("\n", 0, m.start()) + 1, m[1], m[2]) for m in FENCE.finditer(text)]
    return [block for block in found if block.language == language or not language]


PYTHON = [block for page in PAGES for block in blocks_of(page, "python")]
YAML = [block for page in PAGES for block in blocks_of(page, "yaml")]
PLUG_INS = blocks_of(ROOT / "docs" / "plug-ins.md")


@pytest.fixture(scope="module")
def plug_ins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the named files of the page on plug-ins, importable as they are for a reader."""
    folder = tmp_path_factory.mktemp("plug-ins")
    for block in PLUG_INS:
        if block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    yield folder
    sys.path.remove(str(folder))
    for module in [name for name, made in sys.modules.items() if str(folder) in str(getattr(made, "__file__", ""))]:
        del sys.modules[module]


@pytest.fixture
def here(plug_ins: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same folder, as the working folder."""
    monkeypatch.chdir(plug_ins)
    return plug_ins


# --- the reference ----------------------------------------------------------------------------------------------------


def test_the_study_reference_is_what_its_program_makes() -> None:
    program = made_by(ROOT / "docs" / "make_study_reference.py")
    committed = program.FILE.read_text(encoding="utf-8")
    assert program.whole(committed) == committed, "run: python docs/make_study_reference.py"


def test_no_meaning_is_kept_for_a_field_that_says_its_own() -> None:
    program = made_by(ROOT / "docs" / "make_study_reference.py")
    committed = program.FILE.read_text(encoding="utf-8")
    unused = [field for field, said in program.PLAIN.items() if f"| {said} |" not in committed]
    assert not unused


def test_every_key_of_a_study_is_in_the_reference() -> None:
    _, _, reference = (ROOT / "docs" / "study.md").read_text(encoding="utf-8").partition("## Reference")
    for section, field in Study.model_fields.items():
        assert f"| `{section}` |" in reference
        inner = field.annotation
        if inspect.isclass(inner) and hasattr(inner, "model_fields"):
            [chapter] = re.findall(rf"^### `{section}`$(.*?)^##", reference, re.MULTILINE | re.DOTALL)
            assert [key for key in inner.model_fields if f"| `{key}` |" not in chapter] == []


# --- every page -------------------------------------------------------------------------------------------------------


def test_there_are_blocks_to_check() -> None:
    assert len(PYTHON) > 5
    assert sum("name" in yaml.safe_load(block.text) for block in YAML) > 5


@pytest.mark.parametrize("block", YAML, ids=str)
def test_every_study_file_is_valid(block: Block, plug_ins: Path) -> None:
    values = yaml.safe_load(block.text)
    if isinstance(values, dict) and "name" in values:
        (Tuning if "tune" in values else Study).model_validate(values)


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_compiles_and_imports_what_exists(block: Block, plug_ins: Path) -> None:
    tree = ast.parse(block.text, str(block))
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    importlib.import_module(alias.name)
            case ast.ImportFrom(module=str(module), names=names):
                for alias in names:
                    assert exists(module, alias.name), f"{block}: {module} has no {alias.name}"
            case ast.Attribute(value=ast.Name(id="recloop"), attr=verb):
                assert exists("recloop", verb), f"{block}: recloop has no {verb}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        other = (page.parent / file).resolve() if file else page
        assert other.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(other), f"{page.name}: {target}"


# --- plug-ins ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [b for b in PLUG_INS if b.language == "python" and not b.file], ids=str)
def test_an_example_of_a_plug_in_runs(block: Block, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block.text, str(block), "exec"), {"__name__": "example"})
    assert capsys.readouterr().out.strip()


def test_the_recommender_keeps_the_contract(plug_ins: Path, tmp_path: Path) -> None:
    contract = importlib.import_module("test_markov").TestMarkov
    assert issubclass(contract, RecommenderContract)
    tests = [name for name in dir(contract) if name.startswith("test_")]
    assert len(tests) > 10
    for name in tests:
        test = getattr(contract(), name)
        wants = {"tmp_path": tmp_path / name}
        test(**{given: wants[given] for given in inspect.signature(test).parameters})


def test_the_source_gives_the_orders_of_its_database(here: Path) -> None:
    (here / "shop.db").unlink(missing_ok=True)
    [block] = [b for b in PLUG_INS if "CREATE TABLE" in b.text]
    made: dict[str, Any] = {}
    exec(block.text, made)
    assert (made["facts"]["users"], made["facts"]["items"], made["facts"]["interactions"]) == (6, 6, 24)


class TestTheAgentOfThePage(AgentContract):
    @pytest.fixture(scope="class")
    @classmethod
    def agent(cls, plug_ins: Path) -> Agent:
        return importlib.import_module("doubt").Doubt(wording=plug_ins / "wordings")


async def test_the_agent_says_the_same_to_a_scripted_model_and_folds_its_scores(plug_ins: Path, tmp_path: Path) -> None:
    from recloop.agents.agent import Tools
    from recloop.agents.catalogue import item_texts
    from recloop.agents.memory import ListMemory, tfidf_svd
    from recloop.recsys.data import DataConfig, load_split
    from recloop.simulators.batch.records import read_records
    from recloop.simulators.batch.runner import run_tasks

    seen: list[Request] = []

    def answer(request: Request) -> Any:
        seen.append(request)
        ranking = [{"item": name, "score": score} for name, score in zip("CAB", (1.0, 0.5, 0.0), strict=True)]
        return request.schema.model_validate({"reason": "as scripted", "ranking": ranking})  # type: ignore[union-attr]

    train = load_split(DataConfig(n_users=8, n_items=120)).train
    agent = importlib.import_module("doubt").Doubt(wording=plug_ins / "wordings")
    tools = Tools(scripted_chat(answer), ListMemory(tfidf_svd(list(item_texts(train).values()))))
    await run_tasks(agent, train, lambda task: tools, tmp_path, seed=0)
    records = read_records(tmp_path)
    refined = agent.fold(train, records)
    assert len(seen) == len(records) == 8
    for user in range(8):
        assert refined.weight[train.indptr[user + 1] - 3 : train.indptr[user + 1]].tolist() == pytest.approx(
            [0.6, 0.2, 1.0]
        )
    assert (refined.interactions["origin"] == "reweighted").sum() == 24


def test_the_agents_study_runs_through_to_its_table(here: Path) -> None:
    verdict = recloop.run("doubt.yaml")
    assert verdict.complete
    assert verdict.edits["reweighted"] > 0
    assert {"raw", "refined"} <= set(verdict.table["variant"])


def test_the_wording_of_the_page_comes_before_the_shipped_one(here: Path) -> None:
    from recloop import prompts

    own = prompts.load("setwise/assess", Path("wordings"))
    assert own.digest != prompts.load("setwise/assess").digest
    assert own.variables <= prompts.load("setwise/assess").variables
    shown = recloop.prompts_render("setwise/assess", "wording.yaml")
    assert "You are the person described" in shown["messages"][0]["content"]


# --- how blocks and pages are read ------------------------------------------------------------------------------------


def made_by(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def exists(module: str, name: str) -> bool:
    found = importlib.import_module(module)
    return hasattr(found, name) or importlib.util.find_spec(f"{module}.{name}") is not None


def anchors(page: Path) -> set[str]:
    """What the headings of a page are linked by, as GitHub makes it."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.slow
def test_the_site_builds_without_a_link_that_leads_nowhere() -> None:
    subprocess.run([sys.executable, ROOT / "docs" / "build_site.py"], check=True)
    build = [sys.executable, "-m", "mkdocs", "build", "--quiet"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(build, cwd=ROOT / "build" / "docs", env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for page in ("docs/architecture.html", "docs/verdict.html", "api/recloop.recsys.evaluation.html"):
        assert (ROOT / "build" / "docs" / "site" / page).is_file()
