"""An agent of one's own refines a log as recloop's own do: by its contract, not by its name."""

from __future__ import annotations

import importlib
from pathlib import Path

import pandas as pd
import pytest
from recloop.agents.blockwise import Blockwise
from recloop.agents.denoiser import Denoiser
from recloop.agents.discriminator import Discriminator
from recloop.agents.generator import Generator
from recloop.agents.pair_scorer import PairScorer
from recloop.errors import ConfigError
from recloop.simulators.refining.config import RefineConfig, read_config
from recloop.simulators.refining.diff import diff
from recloop.simulators.refining.refine import Refined, refine

from tests.simulators.refining.test_denoise import toys_at

MODULE = '''
"""Edits each user's last row; asks nobody."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel, ConfigDict
from recloop.agents.agent import Task
from recloop.agents.blockwise import BlockTasks
from recloop.simulators.studies.steps import Step


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    edit: str = "weight"


@dataclass(frozen=True)
class LastRow:
    settings: Settings
    popular: int = -1
    name: str = "last-row"

    def tasks(self, data):
        for user, ident in enumerate(data.users["user_id"]):
            yield Task(f"user:{ident}", {"user": str(ident)})

    def graph(self):
        graph = StateGraph(dict)
        graph.add_node("see", lambda state: {"payload": {"user": state["user"]}})
        graph.add_edge(START, "see")
        graph.add_edge("see", END)
        return graph.compile()

    def fold(self, data, records):
        rows = data.interactions
        last = data.indptr[1:] - 1
        if self.settings.edit == "weight":
            weight = rows["weight"].to_numpy(copy=True)
            weight[last] *= np.float32(0.5)
            return data.with_(interactions=rows.assign(weight=weight))
        if self.settings.edit == "replace":
            item = rows["item"].to_numpy(copy=True)
            item[last] = self.popular if self.popular >= 0 else 0
            return data.with_(interactions=rows.assign(item=item))
        if self.settings.edit == "drop":
            return data.with_(interactions=rows.drop(index=last).reset_index(drop=True))
        new = rows.iloc[last].assign(row=np.nan, item=0)
        return data.with_(interactions=pd.concat([rows, new], ignore_index=True))

    def report(self, data, records):
        return {"users": data.n_users}


class LastRowInBlocks(LastRow):
    def sample_tasks(self, log):
        return None

    def block_tasks(self, log, sample_records):
        agent = replace(self, popular=int(log.counts.argmax()))
        return BlockTasks(agent, agent.fold, lambda data, records, folded: agent.report(data, records))


step = Step(Settings, lambda settings, around: LastRow(settings), prompts=())
by_user = Step(Settings, lambda settings, around: LastRow(settings), prompts=(), by_user=True)
in_blocks = Step(Settings, lambda settings, around: LastRowInBlocks(settings), prompts=())
vectors = Step(Settings, lambda settings, around: LastRow(settings), prompts=(), refines=False)
'''


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "last_row.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path / "package")
    monkeypatch.delitem(__import__("sys").modules, "last_row", raising=False)
    importlib.invalidate_caches()
    return toys_at(tmp_path)[0]


def refined(log: Path, out: str, step: str, edit: str, *settings: str) -> Refined:
    done = refine(log, log.with_name(out), settings=[f'steps=[{{"last_row:{step}": {{edit: {edit}}}}}]', *settings])
    assert done.complete, done.stopped
    return done


@pytest.mark.parametrize(
    ("edit", "what", "column"),
    [("weight", "reweighted", None), ("replace", "replaced", "was"), ("drop", "removed", None), ("add", "added", None)],
)
def test_edits_that_a_fold_does_not_mark_are_written_counted_and_shown_by_diff(
    edit: str, what: str, column: str | None, log: Path
) -> None:
    done = refined(log, "out.csv", "step", edit)
    users = pd.read_csv(log)["user_id"].nunique()
    found = diff(log, done.out)
    assert set(found.counts) == {what}
    assert users - 2 <= found.counts[what] <= users  # a last row that holds the very item already is no edit
    assert {change.agent for edits in found.users.values() for change in edits} == {"last-row"}
    assert done.reports["0-last_row.step"] == {"users": users}
    raw, out = pd.read_csv(log), pd.read_csv(done.out)
    if edit == "drop":
        assert len(out) == len(raw) - users == done.rows["written"]
        assert done.rows["removed"] == users
    if edit == "add":
        assert (out["origin"] == "generated").sum() == done.rows["generated"]
    if edit == "replace":
        was = {change.row: change.was for edits in found.users.values() for change in edits}
        assert {row: str(raw["item_id"][row]) for row in was} == was


def test_a_log_in_blocks_wants_an_agent_that_says_how_it_works_in_parts(log: Path) -> None:
    with pytest.raises(ConfigError, match=r"'last-row' needs the whole log at once.*raise block_mb.*by_user=True"):
        refined(log, "parts.csv", "step", "weight", "block_mb=0.002")


@pytest.mark.parametrize(("step", "edit"), [("by_user", "weight"), ("in_blocks", "replace")])
def test_an_agent_of_single_users_or_in_blocks_gives_the_same_bytes_in_any_number_of_blocks(
    step: str, edit: str, log: Path
) -> None:
    parts = refined(log, "parts.csv", step, edit, "block_mb=0.002")
    assert len(list(Path(parts.folder).glob("blocks-*/block-*"))) > 2
    whole = refined(log, "whole.csv", step, edit)
    assert Path(parts.out).read_bytes() == Path(whole.out).read_bytes()
    assert parts.reports == whole.reports


def test_a_step_that_edits_no_rows_is_refused_when_the_settings_are_read(log: Path) -> None:
    for name in ("setwise", "score_pairs", "last_row:vectors", "nobody"):
        with pytest.raises(ConfigError, match=f"'{name}' is not a step that edits a log; write generate, discr"):
            read_config(None, [name], [])
    with pytest.raises(ConfigError, match="cannot be imported"):
        read_config(None, ["last_row:none"], [])
    assert read_config(None, ["last_row:step"], []).steps == ({"last_row:step": {}},)


def test_a_plug_in_stands_between_recloops_own_steps(log: Path) -> None:
    items = f"data.items={log.parent / 'items.csv'}"
    steps = 'steps=[{denoise: {threshold: 0.8}}, {"last_row:by_user": {}}, {denoise: {threshold: 0.9}}]'
    done = refine(log, log.with_name("out.csv"), settings=[items, steps, "block_mb=0.002"])
    assert done.complete, done.stopped
    assert list(done.reports) == ["0-denoise", "1-last_row.by_user", "2-denoise"]
    assert {"denoise", "last-row"} == {change.agent for edits in diff(log, done.out).users.values() for change in edits}


def test_settings_of_a_step_that_the_command_names_are_set_by_its_place() -> None:
    assert read_config(None, ["denoise"], ["steps.0.denoise.users=3"]).steps == ({"denoise": {"users": 3}},)


def test_recloops_own_agents_say_how_they_work_in_blocks() -> None:
    assert all(issubclass(agent, Blockwise) for agent in (Generator, Discriminator, Denoiser))
    assert not issubclass(PairScorer, Blockwise)
    assert RefineConfig().steps == ({"generate": {}}, {"discriminate": {}})
