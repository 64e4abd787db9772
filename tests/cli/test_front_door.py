"""What a newcomer meets first: version, help, listings, a study file for an own log, a schema for the editor."""

from __future__ import annotations

import ast
import inspect
import json
import keyword
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import recloop
import typer
import yaml
from recloop.cli import app as cli_app
from recloop.cli.app import app, guarded
from recloop.errors import ConfigError, DataError
from recloop.recsys.data.sources import SOURCES
from recloop.recsys.evaluation.metrics import BEYOND, METRICS
from recloop.recsys.models import MODELS
from recloop.simulators.studies.steps import AGENTS
from recloop.simulators.studies.study import read_study
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
RATINGS = [
    (f"u{user}", f"i{(user * 7 + step * 3) % 40}", 1 + (user + step) % 5, step)
    for user in range(12)
    for step in range(9)
]


def output(*words: str) -> str:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, result.output
    return result.output


# --- version, help, completion ----------------------------------------------------------------------------------------


def test_the_version_is_printed_and_is_an_attribute() -> None:
    assert output("--version") == f"recloop {recloop.__version__}\n"


@pytest.mark.parametrize("words", [[], ["data"], ["runs"], ["prompts"], ["cache"], ["list"]], ids=" ".join)
def test_a_group_without_a_verb_prints_its_help_and_is_no_error(words, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["recloop", *words])
    with pytest.raises(SystemExit) as ended:
        cli_app.main()
    printed = capsys.readouterr()
    assert ended.value.code == 0
    assert "Usage: recloop" in printed.out
    assert printed.err == ""


@pytest.mark.parametrize("words", [["-h"], ["run", "-h"], ["data", "info", "-h"]], ids=" ".join)
def test_help_has_a_short_option(words) -> None:
    assert "Usage:" in output(*words)


def test_the_shell_completes_model_names() -> None:
    environment = {
        **os.environ,
        "_RECLOOP_COMPLETE": "complete_bash",
        "COMP_WORDS": "recloop train study.yaml out --model sas",
        "COMP_CWORD": "5",
    }
    program = [sys.executable, "-c", "from recloop.cli.app import main; main()"]
    completed = subprocess.run(program, capture_output=True, text=True, env=environment, timeout=60)
    assert completed.stdout.split() == ["sasrec"]


# --- listings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "names"),
    [("models", MODELS), ("steps", AGENTS), ("metrics", [*METRICS, *BEYOND]), ("sources", SOURCES)],
)
def test_a_listing_has_every_name_with_a_description(kind, names) -> None:
    entries = json.loads(output("list", kind, "--json"))
    assert {entry["name"] for entry in entries} == set(names)
    assert all(len(entry["description"]) > 10 for entry in entries)


def test_prompts_are_listed_with_what_they_are_for() -> None:
    assert {"setwise/assess", "denoise/fit"} <= {entry["name"] for entry in recloop.list_prompts()}


@pytest.mark.parametrize(
    "words",
    [
        ["list", "models"],
        ["list", "steps"],
        ["list", "metrics"],
        ["list", "sources"],
        ["list", "prompts"],
        ["prompts", "list"],
        ["prompts", "show", "setwise/assess"],
        ["runs", "list"],
    ],
    ids=" ".join,
)
def test_a_verb_that_lists_imports_no_heavy_package(words, tmp_path) -> None:
    program = (
        f"import sys; from recloop.cli.app import app; app({words!r}, standalone_mode=False)\n"
        "heavy = {'torch', 'langgraph', 'scipy', 'sklearn', 'openai'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.splitlines()[-1] == "[]"


# --- Python functions -------------------------------------------------------------------------------------------------


def test_editors_and_type_checkers_see_every_verb_where_it_is() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    visible = {
        alias.asname: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert visible == recloop.VERBS


@pytest.mark.parametrize("verb", recloop.VERBS)
def test_a_verb_has_a_signature_and_a_docstring(verb) -> None:
    function = getattr(recloop, verb)
    assert inspect.getdoc(function)
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())


# --- errors -----------------------------------------------------------------------------------------------------------


def _raises(error: BaseException):
    def command() -> None:
        raise error

    return command


def test_an_unexpected_error_is_one_line_that_says_how_to_get_the_traceback(capsys, monkeypatch) -> None:
    monkeypatch.delenv("RECLOOP_TRACEBACK", raising=False)
    assert guarded(_raises(ValueError("two\nlines"))) == 70
    line = capsys.readouterr().err
    assert line.startswith(
        "recloop: ValueError: two lines (a fault of recloop or of a plug-in; with RECLOOP_TRACEBACK=1"
    )
    assert line.count("\n") == 1


def test_the_traceback_is_printed_where_the_environment_asks_for_it(capsys, monkeypatch) -> None:
    monkeypatch.setenv("RECLOOP_TRACEBACK", "1")
    assert guarded(_raises(ConfigError("wrong key"))) == 2
    printed = capsys.readouterr().err
    assert "Traceback (most recent call last)" in printed
    assert printed.endswith("recloop: wrong key\n")


def test_a_path_that_the_system_refuses_is_the_callers_to_mend(capsys) -> None:
    assert guarded(_raises(OSError(36, "File name too long", "a" * 9))) == 2
    assert capsys.readouterr().err == "recloop: aaaaaaaaa: File name too long\n"


def test_a_terminated_command_says_that_it_resumes_and_ends_with_its_own_code() -> None:
    program = (
        "import os, signal, sys, recloop.cli.app as cli\n"
        "cli.app = lambda **options: os.kill(os.getpid(), signal.SIGTERM)\n"
        "cli.main()"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 143
    assert ended.stderr == "recloop: terminated; the same command resumes\n"


def test_output_whose_reader_goes_away_ends_without_a_traceback() -> None:
    program = "from recloop.cli.app import main; main()"
    command = f"'{sys.executable}' -c '{program}' schema | head -c 1"
    ended = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=120)
    assert ended.stderr == ""


# --- init -------------------------------------------------------------------------------------------------------------


def log(path: Path, header: str, row) -> Path:
    lines = [header] if header else []
    path.write_text("\n".join([*lines, *(row(*rating) for rating in RATINGS)]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "header", "row", "settings"),
    [
        ("r.csv", "userId,movieId,rating,timestamp", lambda u, i, r, t: f"{u},{i},{r},{1_600_000_000 + t}", {}),
        (
            "s.csv",
            "Customer;Product;Date",
            lambda u, i, r, t: f"{u};{i};{t + 1:02}.01.2020",
            {"separator": ";", "time": "%d.%m.%Y"},
        ),
        ("t.tsv", "user\titem\tstars", lambda u, i, r, t: f"{u}\t{i}\t{r}", {}),
        (
            "ratings.dat",
            "",
            lambda u, i, r, t: f"{u}::{i}::{r}::{1_600_000_000 + t}",
            {"separator": "::", "columns": {"user_id": 0, "item_id": 1, "value": 2, "timestamp": 3}},
        ),
    ],
    ids=["commas", "semicolons and dates", "tabs without time", "no header"],
)
def test_init_recognises_a_log_and_writes_a_study_that_reads_it(tmp_path, name, header, row, settings) -> None:
    source = log(tmp_path / name, header, row)
    written = recloop.init(source, tmp_path / "studies" / "mine.yaml")
    assert (written["data"]["users"], written["data"]["interactions"]) == (12, 108)
    study = read_study(written["study"])
    assert study.data.path.resolve() == source
    assert {key: getattr(study.data, key) for key in settings} == settings
    assert study.data.min_rating == (4 if "value" in study.data.columns else None)


def test_the_study_that_init_writes_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    log(tmp_path / "r.csv", "user_id,item_id,timestamp", lambda u, i, r, t: f"{u},{i},{1_600_000_000 + t}")
    (tmp_path / "items.csv").write_text("item_id,title\n" + "".join(f"i{n},Film {n}\n" for n in range(40)))
    recloop.init("r.csv", items="items.csv")
    verdict = recloop.run("study.yaml", ["train.models=[popularity]", "steps.0.setwise.rounds=1", "evaluate.draws=100"])
    assert verdict.complete
    assert "refined" in set(verdict.table["variant"])


def test_init_replaces_nothing(tmp_path) -> None:
    (tmp_path / "study.yaml").write_text("mine")
    with pytest.raises(ConfigError, match="exists already"):
        recloop.init(out=tmp_path / "study.yaml")
    assert (tmp_path / "study.yaml").read_text() == "mine"


def test_init_names_the_columns_where_none_is_a_user(tmp_path) -> None:
    with pytest.raises(DataError, match="no column is recognised as user_id; it has who, item_id"):
        recloop.init(log(tmp_path / "r.csv", "who,item_id", lambda u, i, r, t: f"{u},{i}"), tmp_path / "study.yaml")
    assert not (tmp_path / "study.yaml").exists()


def test_init_copies_an_example_and_names_the_nearest(tmp_path) -> None:
    written = recloop.init(out=tmp_path / "a.yaml", example="bazaar")
    assert Path(written["study"]).read_text() == (ROOT / "examples" / "bazaar.yaml").read_text()
    with pytest.raises(ConfigError, match="no example 'bazar'; did you mean 'bazaar'"):
        recloop.init(out=tmp_path / "b.yaml", example="bazar")


# --- schema -----------------------------------------------------------------------------------------------------------


def kind_of(path: Path) -> str:
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    return (
        "tune" if "tune" in values else "tune-lm" if "tune_lm" in values else "study" if "name" in values else "refine"
    )


@pytest.mark.parametrize("path", sorted((ROOT / "examples").rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_valid_by_its_schema(path) -> None:
    jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), recloop.schema(kind_of(path)))


@pytest.mark.parametrize(
    "change",
    [
        {"trian": {}},
        {"steps": ["setwize"]},
        {"steps": [{"setwise": {"ronds": 1}}]},
        {"train": {"models": ["sasrek"]}},
        {"train": {"models": [{"sasrec": {"epoch": 1}}]}},
        {"data": {"source": "movilens"}},
        {"data": {"split": "leave_last"}},
    ],
    ids=str,
)
def test_the_schema_refuses_what_a_study_refuses(change) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "a", "data": {}} | change, recloop.schema())


def test_the_schema_takes_what_a_study_takes_and_describes_fields() -> None:
    schema = recloop.schema()
    study = {
        "x-own": {"a": 1},
        "name": "a",
        "data": {"source": "my.module:read", "core": 5, "split": {"global_time": {"test": 0.1}}},
        "steps": ["denoise", {"my.agents:step": {"any": 1}}],
        "train": {"models": ["popularity", {"sasrec": {"epochs": 2}}, {"bpr": None}]},
    }
    jsonschema.validate(study, schema)
    assert "run folder" in schema["properties"]["name"]["description"]
    assert recloop.schema.__doc__
    with pytest.raises(ConfigError, match="no schema 'studdy'; did you mean 'study'"):
        recloop.schema("studdy")


def test_every_verb_of_the_command_line_is_a_python_function_and_the_reverse() -> None:
    def below(group, path):
        for name, command in group.commands.items():
            yield from below(command, [*path, name]) if hasattr(command, "commands") else ["_".join([*path, name])]

    commands = {name.replace("-", "_") for name in below(typer.main.get_command(app), [])}
    # `try` is a keyword of Python: its function is try_study.
    assert {f"{name}_study" if keyword.iskeyword(name) else name for name in commands} == set(recloop.VERBS)
