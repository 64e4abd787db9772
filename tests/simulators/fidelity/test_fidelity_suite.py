"""The whole suite on a small world: files, resume, pictures, canaries, the trace."""

import json
from dataclasses import dataclass, replace

import pandas as pd
import pytest
from recloop.agents.agent import Task
from recloop.agents.catalogue import item_texts
from recloop.agents.chat.types import Facts
from recloop.agents.memory.embeddings import EmbedderConfig, embedder
from recloop.agents.setwise import Setwise, SetwiseAgent
from recloop.errors import RunError
from recloop.recsys.data import DataConfig
from recloop.recsys.data.sources import load_split
from recloop.simulators.fidelity.canaries import MARK, planted, searched
from recloop.simulators.fidelity.contamination import masked
from recloop.simulators.fidelity.plain import Plain, PlainRequest, Recited
from recloop.simulators.fidelity.report import TITLES
from recloop.simulators.fidelity.suite import PROTOCOLS, fidelity
from recloop.simulators.inspection.runs import runs_list, runs_show
from recloop.simulators.inspection.trace import runs_trace

SPLIT = load_split(
    DataConfig(source="bazaar", n_users=60, n_items=150, split={"leave_last_out": {"valid": 1, "test": 3}})
)
SMALL = {
    "users": 6,
    "draws": 100,
    "taste": {"ratios": (1,), "items": 8},
    "position": {"permutations": 2},
    "llmrank": {"candidates": 10},
    "setwise_value": {"users": 3, "rows": "short"},
    "contamination": {"users": 4, "history_titles": 3},
    "canaries": {"users": 2},
}


def test_every_protocol_leaves_values_a_table_and_a_picture_and_resumes_for_nothing(a_study) -> None:
    study = a_study(**SMALL, steps=[{"setwise": {"walk": 1, "rounds": 1}}])
    report = fidelity(study)
    assert set(report.outcomes) == set(PROTOCOLS)
    summary = json.loads((report.folder / "fidelity.json").read_text())
    for name, outcome in report.outcomes.items():
        values = pd.read_parquet(report.folder / f"{name}.parquet")
        assert len(values) == len(outcome.values)
        if name == "ratings":
            assert "no ratings that differ" in outcome.skipped
            continue
        assert (report.folder / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
        assert not values.duplicated(["variant", "row", "metric", "user"]).any()
        assert len(summary["protocols"][name]["table"]) == len(report.tables[name]) > 0
        if name != "canaries":
            assert {"random", "popularity", "itemknn", "ease", "content"} <= set(
                values["row"]
            ) or name == "contamination"
    page = (report.folder / "fidelity.md").read_text()
    for name, outcome in report.outcomes.items():
        assert TITLES[name] in page
        assert all(note in page for note in outcome.notes)
        assert outcome.skipped or f"({name}.png)" in page
    assert "| ndcg@1 |" in page
    [entry] = runs_list(study.out)
    assert entry["fidelity"]
    assert runs_show(study.name, study.out)["fidelity_report"] == page
    again = fidelity(study, plots=False)
    for name, table in report.tables.items():
        pd.testing.assert_frame_equal(table, again.tables[name])
    assert any("claims were written, 0 dropped for citing nothing" in note for note in report.outcomes["agentcf"].notes)
    user = str(report.outcomes["agentcf"].values["user_id"].iat[0])
    with pytest.raises(RunError, match="choose by --step"):
        runs_trace(study.name, user, study.out)
    walks = [walk.name for walk in sorted((report.folder / "asked").glob("own-walk-*"))]
    traces = [runs_trace(study.name, user, study.out, step=walk) for walk in walks]
    assert any(trace["counts"]["claims"] > 0 for trace in traces)
    for trace in traces:
        assert ("STEP 1. The person took:" in trace["text"]) == bool(trace["payload"]["steps"])
    with pytest.raises(RunError, match="none of user 'nobody'"):
        runs_trace(study.name, "nobody", study.out, step=walks[0])


def test_a_spent_budget_keeps_what_was_measured_and_says_so(a_study) -> None:
    study = a_study(
        protocols=("canaries", "agentcf"),
        users=6,
        canaries={"users": 2},
        llm={"budget": {"calls": 10}, "concurrency": 2},
    )
    report = fidelity(study, plots=False)
    assert set(report.outcomes) == {"canaries"}
    assert "budget" in report.stopped
    assert json.loads((report.folder / "fidelity.json").read_text())["stopped"] == report.stopped


def test_a_skipped_protocol_says_what_to_change(a_study) -> None:
    study = a_study(protocols=("taste",), users=5, data={"source": "bazaar", "n_users": 40, "n_items": 130})
    report = fidelity(study, plots=False)
    assert "leave_last_out: {valid: 0, test: 10}" in report.outcomes["taste"].skipped


async def test_the_set_wise_agent_sees_no_canary() -> None:
    split = planted(SPLIT, 0)
    embed = embedder(EmbedderConfig(), list(item_texts(split.train).values()))
    agent = SetwiseAgent(Setwise(walk=2, rounds=1))
    found, prompts = await searched(agent, split.train, 5, embed)
    assert found["value"].tolist() == [0] * 5
    assert prompts > 5 * 5


@dataclass(frozen=True)
class Peeking(Plain):
    """An agent that shows the end of the catalogue, where the future stands."""

    def tasks(self, data):
        for user in range(3):
            shown = {"dataset": "x", "history": [data.items["title"].iat[-1 - user]]}
            yield Task(
                f"user:{user}",
                {"question": PlainRequest("", "fidelity/next_title", shown, Recited, Facts("recite", shown))},
            )


async def test_an_agent_that_looks_ahead_is_caught() -> None:
    split = planted(SPLIT, 0)
    embed = embedder(EmbedderConfig(), list(item_texts(split.train).values()))
    found, _ = await searched(Peeking([]), split.train, 3, embed)
    assert found["value"].tolist() == [1, 1, 1]
    only_valid, _ = await searched(Peeking([]), split.train, 3, embed, ("valid",))
    assert only_valid["value"].sum() == 0


def test_canaries_stand_at_the_end_of_valid_and_test_and_never_in_train() -> None:
    split = planted(SPLIT, 0)
    titles = split.train.items["title"]
    assert split.train.item.max() < SPLIT.train.n_items
    assert [titles[code] for code in range(SPLIT.train.n_items)] == SPLIT.train.items["title"].tolist()
    for user in range(SPLIT.train.n_users):
        assert MARK.fullmatch(titles[split.valid.history(user)[-1]])[1] == "valid"
        assert MARK.fullmatch(titles[split.test.history(user)[-1]])[1] == "test"
        assert split.test.history(user)[:-1].tolist() == SPLIT.test.history(user).tolist()


def test_masked_data_says_nothing_of_titles_and_keeps_everything_else() -> None:
    hidden = masked(SPLIT)
    words = {w for title in SPLIT.train.items["title"] for w in title.split() if len(w) > 3}
    shown = " ".join(item_texts(hidden.train).values())
    kept = set(" ".join(SPLIT.train.items["categories"]).replace(",", " ").split())
    assert not (words - kept) & set(shown.replace("|", " ").replace(",", " ").split())
    assert (hidden.test.item == SPLIT.test.item).all()
    year = replace(SPLIT, train=SPLIT.train.with_(items=SPLIT.train.items.assign(year=1999)))
    assert masked(year).train.items["categories"].iat[0].startswith("1999")
