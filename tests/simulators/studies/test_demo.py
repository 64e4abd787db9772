"""The demo: a true gain is shown, a false one refused, and the oracle's truth stays out of the agents' sight."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
import recloop as package
from recloop.errors import ConfigError
from recloop.recsys.data import Dataset
from recloop.recsys.data.data_config import DataConfig
from recloop.recsys.data.sources import load_split
from recloop.recsys.data.truth import planted_noise
from recloop.recsys.evaluation import compare
from recloop.simulators.batch.records import read_records
from recloop.simulators.studies import run as run_module
from recloop.simulators.studies.demo import DemoResult, demo, show_demo
from recloop.simulators.studies.report import conclusions
from recloop.simulators.studies.variants import removal_accuracy, variants, with_facts
from rich.console import Console

SMALL = ("data.n_users=500", "train.models=[ease]", "train.seeds=[0]", "evaluate.groups=[]", "evaluate.draws=200")
TINY: dict[str, Any] = {
    "data": {"source": "bazaar", "n_users": 40, "noise": 0.3},
    "llm": {"provider": "offline"},
    "steps": [{"denoise": {"vote": {"weight": 0}}}],
    "train": {"models": ["popularity"], "seeds": [0]},
    "evaluate": {"metrics": ["ndcg@10"], "groups": [], "draws": 100},
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    return demo(tmp_path_factory.mktemp("demo"), SMALL, jobs=1)


def words(result: DemoResult, which: str) -> str:
    verdict = getattr(result, which)
    return "\n".join(conclusions(verdict.table, verdict.metric))


def test_the_gain_is_shown_where_noise_is_planted(small):
    assert "ease: helps, beyond raw and beyond every control" in words(small, "planted")
    assert "ease: upper bound" in words(small, "planted")
    truth = small.planted.truth
    # Three removed rows in ten would be noise by chance.
    assert truth["precision"] > 0.5
    assert truth["recall"] > 0.4


def test_a_gain_is_refused_where_nothing_is_planted(small):
    assert "helps" not in words(small, "clean")
    assert "gains on raw" not in words(small, "clean")
    assert small.clean.truth["planted"] == 0
    assert small.clean.truth["removed"] > 0


def test_the_oracle_is_an_upper_bound_that_nothing_is_held_against(small):
    table = small.planted.table
    assert set(table[table["variant"] == "oracle"]["against"]) == {"", "raw"}
    assert "oracle" not in set(table["against"])
    means = table[(table["against"] == "")].set_index("variant")["mean"]
    assert means["oracle"] > means["refined"] > means["raw"]
    page = small.pages[0].read_text()
    assert "oracle - raw" in page
    assert "upper bound" in page


def test_the_story_names_what_was_planted_and_removed_both_verdicts_reports_and_next_commands(small):
    text = io.StringIO()
    show_demo(small, Console(file=text, width=110))
    story = text.getvalue()
    truth = small.planted.truth
    assert f"{truth['planted']:,} of {truth['rows']:,} train rows are noise" in story
    assert f"precision {truth['precision']:.2f}, recall {truth['recall']:.2f}" in story
    assert "with planted noise, ease: helps" in story
    assert "without noise, ease:" in story
    assert "NOT a language" in story
    assert all(str(page) in story and page.exists() for page in small.pages)
    assert story.rstrip().endswith("recloop run study.yaml")


def test_the_truth_is_made_only_after_the_agents_have_finished(tmp_path, monkeypatch):
    finished: list[int] = []

    def counting(config: DataConfig, data: Dataset) -> np.ndarray:
        [folder] = (tmp_path / "late" / "agents").iterdir()
        finished.append(len(read_records(folder)))
        return planted_noise(config, data)

    monkeypatch.setattr(run_module, "planted_noise", counting)
    study = {**TINY, "name": "late", "evaluate": {**TINY["evaluate"], "controls": ["oracle"]}}
    package.run(study, [f"out={tmp_path}"])
    assert finished == [40]


def test_agents_see_and_answer_the_same_with_an_oracle_and_without(tmp_path, monkeypatch):
    seen: dict[str, tuple[str, list[str]]] = {}
    ask = run_module._ask

    async def watched(study: Any, train: Dataset, *rest: Any, **options: Any) -> Any:
        seen[study.name] = train.fingerprint, sorted(train.interactions.columns)
        return await ask(study, train, *rest, **options)

    monkeypatch.setattr(run_module, "_ask", watched)
    records = {}
    for name, controls in (("with", ["random_edit", "oracle"]), ("without", ["random_edit"])):
        study = {**TINY, "name": name, "evaluate": {**TINY["evaluate"], "controls": controls}}
        package.run(study, [f"out={tmp_path / name}"])
        [folder] = (tmp_path / name / name / "agents").iterdir()
        records[name] = read_records(folder)[["key", "payload"]]
    assert seen["with"] == seen["without"]
    assert seen["with"][1] == ["item", "timestamp", "user", "value", "weight"]
    pd.testing.assert_frame_equal(records["with"], records["without"])


def test_an_oracle_of_data_without_truth_is_refused_before_anything_is_asked(tmp_path):
    log = tmp_path / "log.csv"
    rows = "\n".join(f"u{user},i{(user + step) % 9},{step}" for user in range(9) for step in range(6))
    log.write_text(f"user_id,item_id,timestamp\n{rows}\n")
    study = {
        **TINY,
        "name": "blind",
        "data": {"source": "table", "path": str(log)},
        "evaluate": {"controls": ["oracle"]},
    }
    with pytest.raises(ConfigError, match="oracle needs data whose noise is known"):
        package.run(study, [f"out={tmp_path / 'runs'}"])
    assert not (tmp_path / "runs").exists()


def test_the_oracle_drops_exactly_the_planted_rows_and_brings_no_other_control_along():
    config = DataConfig(n_users=40, noise=0.3)
    train = load_split(config).train
    noise = planted_noise(config, train)
    [_, _, oracle] = variants(train, train, ["oracle"], 0, noise=noise)
    assert np.array_equal(oracle.train(0).weight == 0, noise)
    assert removal_accuracy(train, oracle.train(0), noise)["precision"] == 1
    assert removal_accuracy(train, oracle.train(0), noise)["recall"] == 1
    written = train.with_(item_vectors=np.ones((train.n_items, 2), np.float32))
    assert with_facts(["oracle"], train, written) == ("oracle",)


def test_a_bound_does_not_weigh_on_the_corrected_p_of_refined():
    rng = np.random.default_rng(0)
    users = 60
    rows = {variant: rng.normal(mean, 1, users) for variant, mean in (("raw", 0), ("refined", 0.4), ("oracle", 0.5))}
    values = pd.concat(
        pd.DataFrame({"model": "m", "variant": variant, "seed": 0, "user": range(users), "group": "all",
                      "metric": "ndcg@10", "value": value})
        for variant, value in rows.items()
    )  # fmt: skip
    table = compare(values, bounds=["oracle"]).set_index(["variant", "against"])
    alone = compare(values[values["variant"] != "oracle"]).set_index(["variant", "against"])
    assert table.loc[("refined", "raw"), "p_holm"] == alone.loc[("refined", "raw"), "p_holm"]
    assert set(table.loc["oracle"].index) == {"", "raw"}
