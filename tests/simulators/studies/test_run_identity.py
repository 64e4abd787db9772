"""A changed model, wording or table of items is asked anew; a changed setting of transport resumes what is there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from recloop.agents.chat.config import LLMConfig
from recloop.identity import is_transport
from recloop.recsys.data.sources import load_split
from recloop.simulators.batch.records import read_records
from recloop.simulators.inspection.cache import cache_export
from recloop.simulators.refining.refine import refine
from recloop.simulators.studies.grid import TrainingProtocol, cell_identity
from recloop.simulators.studies.run import run
from recloop.simulators.studies.step_identity import folder_of
from recloop.simulators.studies.study import Study

from tests.test_identity import another_llm_setting


def study(out: Path, **changes) -> Study:
    return Study.model_validate(
        {
            "name": "r",
            "data": {"source": "bazaar", "n_users": 60, "n_items": 120},
            "steps": [{"discriminate": {"users": 5}}],
            "memory": {"store": "process"},
            "train": {"models": ["popularity"], "seeds": [0]},
            "evaluate": {"controls": [], "draws": 100},
            "out": str(out),
            **changes,
        }
    )


def answers(folder: Path) -> pd.Series:
    return read_records(folder).set_index("key")["payload"]


def test_another_replay_file_gives_new_records_and_a_copy_of_the_first_resumes(tmp_path):
    first = run(study(tmp_path / "asked"))
    cache_export(tmp_path / "asked", tmp_path / "a.jsonl")
    flipped = []
    for line in (tmp_path / "a.jsonl").read_text().splitlines():
        entry = json.loads(line)
        text = entry["reply"]["text"]
        swapped = text.replace('"yes"', '"no!"').replace('"no"', '"yes"').replace('"no!"', '"no"')
        flipped.append(json.dumps({**entry, "reply": {**entry["reply"], "text": swapped}}))
    (tmp_path / "b.jsonl").write_text("\n".join(flipped) + "\n")
    shutil.copy(tmp_path / "a.jsonl", tmp_path / "copy.jsonl")

    def replayed(name: str):
        llm = {"provider": "replay", "replay": str(tmp_path / name)}
        verdict = run(study(tmp_path / "replayed", llm=llm))
        [(step, summary)] = verdict.as_json()["steps"].items()
        return summary["resumed"], answers(tmp_path / "replayed" / "r" / "agents" / step)

    [asked] = first.as_json()["steps"].values()
    resumed_a, by_a = replayed("a.jsonl")
    resumed_b, by_b = replayed("b.jsonl")
    resumed_copy, by_copy = replayed("copy.jsonl")
    assert (resumed_a, resumed_b, resumed_copy) == (0, 0, asked["tasks"])
    assert (by_a != by_b).mean() > 0.9
    assert by_a.equals(by_copy)


@pytest.fixture(scope="module")
def train():
    return load_split(study(Path("unused")).data).train


@pytest.mark.parametrize("name", LLMConfig.model_fields)
def test_every_setting_of_the_model_that_is_not_transport_names_another_run_folder(name, tmp_path, train):
    plain = study(tmp_path, llm={"provider": "openai", "model": "m", "base_url": "http://a/v1"})
    changed = plain.llm.model_copy(update={name: another_llm_setting(name, tmp_path)})
    [(step, settings)] = plain.steps[0].items()
    one, two = (
        folder_of(each, step, settings, train, tmp_path / "0")
        for each in (plain, plain.model_copy(update={"llm": changed}))
    )
    assert (one == two) == is_transport(LLMConfig, name)


@pytest.mark.parametrize(
    "changes",
    [
        {"embedder": {"embedding_size": 7}},
        {"seed": 5},
        {"steps": [{"discriminate": {"users": 6}}]},
    ],
)
def test_the_rest_of_what_a_step_depends_on_names_another_run_folder(changes, tmp_path, train):
    names = set()
    for each in (study(tmp_path), study(tmp_path, **changes)):
        [(step, settings)] = each.steps[0].items()
        names.add(folder_of(each, step, settings, train, tmp_path / "0"))
    assert len(names) == 2


def test_an_own_wording_names_another_run_folder_by_what_it_says_and_not_by_where_it_lies(tmp_path, train):
    from recloop import prompts

    def named(place: str, more: str) -> Path:
        folder = tmp_path / place
        (folder / "discriminate").mkdir(parents=True)
        (folder / "discriminate" / "judge.md").write_text(prompts.load("discriminate/judge").text + more)
        return folder_of(study(tmp_path, prompts=str(folder)), "discriminate", {}, train, tmp_path / "0")

    plain, same, moved, other = (
        folder_of(study(tmp_path), "discriminate", {}, train, tmp_path / "0"),
        named("same", ""),
        named("moved", "Judge kindly.\n"),
        named("other", "Judge kindly.\n"),
    )
    assert plain == same
    assert moved == other != plain


def test_a_trained_cell_depends_on_defaults_protocol_threads_and_code(tmp_path, train, monkeypatch):
    from recloop.recsys.models import model
    from recloop.simulators.studies import grid

    plain = study(tmp_path)
    split = load_split(plain.data)

    def named(given: Study = plain, **hyperparameters):
        return cell_identity(
            model("bpr", **hyperparameters), split.train.fingerprint, TrainingProtocol.of(given, split)
        )

    first = named()
    default = model("bpr").config
    assert named(learning_rate=default.learning_rate) == first, "a default that is spelled out is the same training"
    assert named(learning_rate=default.learning_rate * 2) != first
    assert named(study(tmp_path, evaluate={"metrics": ["ndcg@5"]})) != first
    assert named(study(tmp_path, train={"threads": 2})) != first
    assert named(study(tmp_path, evaluate={"controls": ["random_edit"], "draws": 500})) == named(
        study(tmp_path, evaluate={"controls": []})
    )
    monkeypatch.setattr(grid, "code_digest", lambda *sources: "changed")
    assert named() != first


LOG = pd.DataFrame(
    {
        "user_id": [f"u{u}" for u in range(20) for _ in range(8)],
        "item_id": [f"i{(u * 3 + n * 5) % 24}" for u in range(20) for n in range(8)],
        "timestamp": [1_600_000_000 + 1_000 * u + n for u in range(20) for n in range(8)],
    }
)


def refined(tmp_path: Path, **changes):
    settings = {"steps": [{"denoise": {"threshold": 0.2}}], "data": {"items": str(tmp_path / "items.csv")}, **changes}
    (tmp_path / "refine.json").write_text(json.dumps(settings))
    done = refine(tmp_path / "log.csv", tmp_path / "out.csv", tmp_path / "refine.json")
    [summary] = done.as_json()["steps"].values()
    return summary["resumed"], (tmp_path / "out.csv").read_text()


def items_table(path: Path, shift: int) -> None:
    words = ["iron kettle", "wool sock", "pine plank", "red candle", "jazz record", "chess set"]
    rows = [f"i{n},{words[(n * 7 + shift) % 6]} {n}" for n in range(24)]
    path.write_text("item_id,title\n" + "\n".join(rows) + "\n")


def test_refine_sees_another_table_of_items_under_the_same_path(tmp_path):
    LOG.to_csv(tmp_path / "log.csv", index=False)
    items_table(tmp_path / "items.csv", 0)
    first, before = refined(tmp_path)
    again, same = refined(tmp_path)
    items_table(tmp_path / "items.csv", 3)
    swapped, _ = refined(tmp_path)
    assert (first, again, swapped) == (0, 20, 0)
    assert before == same


def test_refine_sees_another_wording(tmp_path):
    from recloop import prompts

    LOG.to_csv(tmp_path / "log.csv", index=False)
    items_table(tmp_path / "items.csv", 0)
    assert refined(tmp_path)[0] == 0
    own = tmp_path / "words" / "denoise"
    own.mkdir(parents=True)
    (own / "review.md").write_text(prompts.load("denoise/review").text + "\nThink of the season.\n")
    assert refined(tmp_path, prompts=str(tmp_path / "words"))[0] == 0
    assert refined(tmp_path)[0] == 20, "the first wording's records are still there"


def test_refine_folds_anew_and_asks_nothing_where_the_code_has_changed(tmp_path, monkeypatch):
    from recloop.simulators.refining import steps

    LOG.to_csv(tmp_path / "log.csv", index=False)
    items_table(tmp_path / "items.csv", 0)
    first, before = refined(tmp_path)
    monkeypatch.setattr(steps, "code_digest", lambda *sources: "changed")
    second, after = refined(tmp_path)
    assert (first, second) == (0, 20)
    assert before == after
    assert len(list((tmp_path / "out.csv.run" / "states").iterdir())) == 2
