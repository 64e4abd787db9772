"""The command line as a user meets it: help with an example, JSON, one line an error, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from recloop.cli.app import app, guarded
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]


def call(*words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from recloop.cli.app import main; main()", *words]
    return subprocess.run(program, capture_output=True, text=True, timeout=120)


def verbs() -> list[list[str]]:
    def below(group, path):
        for name, command in sorted(group.commands.items()):
            yield from below(command, [*path, name]) if hasattr(command, "commands") else [[*path, name]]

    return list(below(typer.main.get_command(app), []))


@pytest.mark.parametrize("words", verbs(), ids=" ".join)
def test_every_verb_has_help_with_an_example_and_json(words):
    shown = CliRunner().invoke(app, [*words, "--help"])
    assert shown.exit_code == 0
    assert "Example: recloop" in shown.output
    assert "--json" in shown.output


@pytest.mark.parametrize("words", verbs(), ids=" ".join)
def test_every_verb_is_a_python_function_of_the_same_name(words):
    import recloop

    name = "_".join(words).replace("-", "_")
    # `try` is a keyword of Python.
    assert callable(getattr(recloop, "try_study" if name == "try" else name))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "nowhere.yaml"], "no such file"),
        (["data", "info", "movielens", "nowhere"], "nowhere"),
        (["data", "info", "movilens", "x"], "did you mean 'movielens'"),
        (["prompts", "show", "setwise/asses"], "setwise/assess"),
        (["runs", "show", "nothing"], "no run 'nothing'"),
        (["run", "--frobnicate"], "No such option"),
    ],
)
def test_an_error_is_one_message_without_a_traceback(words, said):
    found = call(*words)
    assert found.returncode == 2
    assert said in found.stderr
    assert "Traceback" not in found.stderr + found.stdout


def test_info_as_json_is_json():
    facts = json.loads(call("data", "info", "bazaar", "--json").stdout)
    assert (facts["users"], facts["items"]) == (500, 400)


def test_a_prompt_is_shown_with_a_real_users_facts_filled_in():
    words = ["prompts", "render", "setwise/assess", str(ROOT / "examples" / "bazaar.yaml"), "--user", "u0007", "--json"]
    shown = json.loads(call(*words).stdout)
    assert shown["task"] == "user:u0007"
    assert "A. <<" in shown["messages"][-1]["content"]


def test_converted_data_comes_back_the_same(tmp_path):
    out = str(tmp_path / "bazaar")
    assert call("data", "convert", "bazaar", out, "--json").returncode == 0
    before, after = (
        json.loads(call("data", "info", *words, "--json").stdout) for words in (["bazaar"], ["written", out])
    )
    assert before["fingerprint"] == after["fingerprint"]
    assert call("data", "convert", "bazaar", out).returncode == 2, "nothing is overwritten unasked"


def test_ctrl_c_says_that_the_same_command_resumes(capsys):
    app = typer.Typer()

    @app.command()
    def train() -> None:
        raise KeyboardInterrupt

    assert guarded(lambda: app([], standalone_mode=False)) == 130
    assert capsys.readouterr().err == "recloop: interrupted; the same command resumes\n"
