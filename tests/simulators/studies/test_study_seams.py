"""What passes between the rooms of a study: which side goes where, whose calls count, and what a run without one usable
reply comes to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from recloop.agents.chat.loopback import Canned
from recloop.cli.app import app
from recloop.recsys.data.sources import load_split
from recloop.recsys.models import model
from recloop.simulators.batch.records import read_records
from recloop.simulators.studies import grid
from recloop.simulators.studies.run import run
from recloop.simulators.studies.study import Study
from typer.testing import CliRunner

from tests.agents.small_lm import made
from tests.simulators import served
from tests.simulators.study_files import study_file

SMALL: dict[str, Any] = {
    "name": "r",
    "data": {"source": "bazaar", "n_users": 60, "n_items": 120},
    "memory": {"store": "process"},
    "train": {"models": ["popularity"], "seeds": [0]},
    "evaluate": {"controls": [], "groups": [], "draws": 100},
}


def study(out: Path, **changes: Any) -> Study:
    return Study.model_validate({**SMALL, "out": str(out), **changes})


def test_agents_read_train_alone_and_models_stop_on_validation_and_are_ranked_on_test(tmp_path, monkeypatch):
    asked = study(tmp_path, steps=[{"discriminate": {"users": 5}}])
    split = load_split(asked.data)
    fitted: list[tuple[str, str]] = []
    ranked: list[tuple[str, str, str]] = []

    def recorded(name: str, **hyperparameters: Any) -> Any:
        unfitted = model(name, **hyperparameters)
        fit = unfitted.fit

        def fit_and_record(train: Any, valid: Any, context: Any) -> None:
            fitted.append((train.fingerprint, valid.fingerprint))
            fit(train, valid, context)

        monkeypatch.setattr(unfitted, "fit", fit_and_record)
        return unfitted

    evaluate = grid.evaluate

    def evaluate_and_record(one: Any, sides: Any, **options: Any) -> Any:
        ranked.append(tuple(side.fingerprint for side in (sides.train, sides.valid, sides.test)))
        return evaluate(one, sides, **options)

    monkeypatch.setattr(grid, "model", recorded)
    monkeypatch.setattr(grid, "evaluate", evaluate_and_record)
    assert run(asked).complete
    [step] = (tmp_path / "r" / "agents").iterdir()
    manifest = json.loads((step / "manifest.json").read_text())
    assert manifest["identity"]["fingerprint"] == split.train.fingerprint
    assert [valid for _, valid in fitted] == [split.valid.fingerprint] * 2, "raw and refined"
    assert fitted[0][0] == split.train.fingerprint != fitted[1][0]
    assert ranked == [(split.train.fingerprint, split.valid.fingerprint, split.test.fingerprint)] * 2


def prose(body: dict[str, Any]) -> Canned:
    message = {"role": "assistant", "content": "I would rather talk about the weather."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
    return Canned(200, {"id": "1", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage})


def test_a_server_that_answers_prose_alone_ends_a_run_with_nothing_learnt_and_nothing_trained(tmp_path):
    with served.serving(script=prose) as server:
        path = study_file(
            tmp_path,
            **{
                **SMALL,
                "llm": {"provider": "openai", "model": "m", "base_url": server.url},
                "steps": [{"setwise": {"users": 6, "walk": 1, "rounds": 0}}],
                "train": {"models": [{"sasrec": {"epochs": 1}}], "seeds": [0]},
                "evaluate": {"controls": ["random_edit", "popularity_edit", "facts_only"], "draws": 100},
            },
        )
        shown = CliRunner().invoke(app, ["run", str(path), "--set", f"out={tmp_path}", "--json"])
        requests = server.counts["requests"]
    assert shown.exit_code == 1
    verdict = json.loads(shown.stdout)
    assert not verdict["complete"]
    [sentence] = verdict["conclusions"]
    assert sentence.startswith("NOTHING LEARNT")
    assert verdict["table"] == []
    assert verdict["edits"] == {}
    assert requests <= 60
    assert not (tmp_path / "r" / "values").exists()
    assert not (tmp_path / "r" / "report.md").exists()


JUDGED = [{"denoise": {"users": 4, "mode": "likelihood", "question": "judge"}}]
"""Short prompts, of titles alone, scored by log-probabilities."""


def lora(base: Path, folder: Path, seed: int) -> Path:
    """An adapter with random weights on the small model."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    network = AutoModelForCausalLM.from_pretrained(base)
    config = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(network, config).save_pretrained(folder)
    return folder


def test_another_adapter_gives_other_records_and_a_copy_of_the_first_resumes(tmp_path):
    base = made(tmp_path / "lm")
    adapters = {name: lora(base, tmp_path / name, seed) for name, seed in (("one", 0), ("copy", 0), ("two", 1))}

    def scored(name: str) -> tuple[int, list[str]]:
        llm = {"provider": "local", "model": str(base), "adapter": str(adapters[name]), "device": "cpu"}
        asked = study(tmp_path, llm=llm, steps=JUDGED)
        [(step, summary)] = run(asked).summaries.items()
        return summary.resumed, read_records(tmp_path / "r" / "agents" / step)["payload"].tolist()

    (new, first), (resumed, same), (anew, other) = scored("one"), scored("copy"), scored("two")
    assert (new, anew) == (0, 0)
    assert resumed == len(first) > 0
    assert first == same != other


def test_likelihoods_of_a_study_count_against_its_budget(tmp_path):
    base = made(tmp_path / "lm")
    llm = {"provider": "local", "model": str(base), "device": "cpu", "budget": {"calls": 7}}
    verdict = run(study(tmp_path, llm=llm, steps=JUDGED))
    assert "budget.calls" in verdict.stopped
    assert 0 < sum(spent.calls for spent in verdict.usage.values()) <= 7
