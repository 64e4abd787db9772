"""What every agent must do: a new one's tests are a class that inherits `AgentContract` and a fixture `agent`.

class TestMine(AgentContract):
    @pytest.fixture(scope="class")
    @classmethod
    def agent(cls, split):
        return MyAgent()
"""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import pytest
from recloop.agents.agent import Agent, ExplainsNoTasks, Records, Task, Tools
from recloop.agents.catalogue import item_texts
from recloop.agents.chat.offline import offline_chat
from recloop.agents.chat.types import Chat
from recloop.agents.memory import Embedder, ListMemory, tfidf_svd
from recloop.errors import DataError
from recloop.recsys.data import Dataset, Split
from recloop.recsys.data.dataset import INTERACTION_COLUMNS
from recloop.recsys.data.splits import leave_last_out
from recloop.simulators.batch.records import read_records
from recloop.simulators.batch.runner import run_batch

from tests.agents.worlds import CANARY, held_out_only, small_world, with_canary

RAW = ["user", "item", "timestamp", "value"]


class AgentContract:
    """Give a class-scoped fixture `agent`; override `split` or `chat` where the small bazaar or `offline` won't do."""

    @pytest.fixture(scope="class")
    @classmethod
    def split(cls) -> Split:
        """A split in which some items occur on the held-out sides only; their texts carry the canary."""
        found = leave_last_out(with_canary(small_world()))
        assert held_out_only(found).sum() >= 3
        return found

    @pytest.fixture(scope="class")
    @classmethod
    def embed(cls, split: Split) -> Embedder:
        return tfidf_svd(list(item_texts(split.train).values()), size=16)

    @pytest.fixture(scope="class")
    @classmethod
    def chat(cls, split: Split) -> Chat:
        return offline_chat(list(item_texts(split.train).values()))

    @pytest.fixture(scope="class")
    @classmethod
    def records(
        cls, agent: Agent, split: Split, chat: Chat, embed: Embedder, tmp_path_factory: pytest.TempPathFactory
    ) -> Records:
        return ran(agent, split.train, chat, embed, tmp_path_factory.mktemp("run"), concurrency=4)

    # --- tasks --------------------------------------------------------------------------------------------------------

    def test_the_same_data_gives_the_same_tasks_in_the_same_order(self, agent: Agent, split: Split) -> None:
        tasks = told(agent, split.train)
        assert tasks
        assert told(agent, split.train) == tasks

    def test_tasks_can_be_taken_one_by_one(self, agent: Agent, split: Split) -> None:
        first = [(task.key, dict(task.state)) for task in islice(agent.tasks(split.train), 2)]
        assert first == told(agent, split.train)[:2]

    def test_no_two_tasks_have_one_key(self, agent: Agent, split: Split) -> None:
        keys = [task.key for task in agent.tasks(split.train)]
        assert len(set(keys)) == len(keys)
        assert all(keys)

    def test_tasks_hold_nothing_of_the_held_out_sides(self, agent: Agent, split: Split) -> None:
        states = told(agent, split.train)
        assert states[0][1]
        assert CANARY not in repr(states)

    def test_where_there_are_no_tasks_the_agent_says_why(self, agent: Agent, split: Split) -> None:
        nobody = split.train.rows(np.zeros(len(split.train), bool))
        assert not list(agent.tasks(nobody))
        if isinstance(agent, ExplainsNoTasks):
            reason = agent.no_tasks_reason(nobody)
            assert reason.startswith("no")
            assert "\n" not in reason

    # --- the graph ----------------------------------------------------------------------------------------------------

    def test_every_task_ends_with_a_payload_of_plain_json(self, agent: Agent, split: Split, records: Records) -> None:
        assert list(records["key"]) == [task.key for task in agent.tasks(split.train)]
        assert set(records["status"]) == {"ok"}
        assert set(records["agent"]) == {agent.name}
        for payload in records["payload"]:
            assert isinstance(json.loads(payload), dict)

    def test_calls_and_prompts_are_counted(self, records: Records) -> None:
        assert (records["calls"] > 0).all()
        assert all("@" in prompt for prompts in records["prompts"] for prompt in prompts)
        assert records["prompts"].map(len).min() > 0

    def test_one_after_the_other_gives_the_records_of_side_by_side(
        self, agent: Agent, split: Split, chat: Chat, embed: Embedder, records: Records, tmp_path: Any
    ) -> None:
        alone = ran(agent, split.train, chat, embed, tmp_path, concurrency=1)
        pd.testing.assert_frame_equal(alone.drop(columns="seconds"), records.drop(columns="seconds"))

    async def test_the_graph_leaves_the_task_as_it_was(
        self, agent: Agent, split: Split, chat: Chat, embed: Embedder
    ) -> None:
        task: Task = next(iter(agent.tasks(split.train)))
        before = repr(dict(task.state))
        final = await agent.graph().ainvoke(dict(task.state), context=Tools(chat, ListMemory(embed)))
        assert json.dumps(final["payload"])
        assert repr(dict(task.state)) == before

    # --- fold ---------------------------------------------------------------------------------------------------------

    def test_folding_leaves_data_and_records_untouched(self, agent: Agent, split: Split, records: Records) -> None:
        before, frame, given = fingerprint_of(split.train), split.train.interactions.copy(), records.copy()
        agent.fold(split.train, records)
        assert fingerprint_of(split.train) == before
        pd.testing.assert_frame_equal(split.train.interactions, frame)
        pd.testing.assert_frame_equal(records, given)

    def test_folding_again_gives_the_same(self, agent: Agent, split: Split, records: Records) -> None:
        first = agent.fold(split.train, records)
        assert agent.fold(split.train, records).fingerprint == first.fingerprint

    def test_the_order_of_records_does_not_matter(self, agent: Agent, split: Split, records: Records) -> None:
        shuffled = records.sample(frac=1, random_state=3)
        assert agent.fold(split.train, shuffled).fingerprint == agent.fold(split.train, records).fingerprint

    def test_codes_stay(self, agent: Agent, split: Split, records: Records) -> None:
        folded = agent.fold(split.train, records)
        assert folded.items["item_id"].tolist() == split.train.items["item_id"].tolist()
        assert folded.users["user_id"].tolist() == split.train.users["user_id"].tolist()

    def test_no_raw_row_is_lost(self, agent: Agent, split: Split, records: Records) -> None:
        """A row may count nothing (weight 0) or be replaced under its own name, but it does not vanish."""
        folded = agent.fold(split.train, records).interactions
        kept = set(folded[RAW].itertuples(index=False, name=None))
        gone = [row for row in split.train.interactions[RAW].itertuples(index=False, name=None) if row not in kept]
        replaced = folded[folded["origin"] == "replaced"] if "origin" in folded else folded.iloc[:0]
        assert {(r[0], r[2]) for r in gone} <= set(replaced[["user", "timestamp"]].itertuples(index=False, name=None))

    def test_a_record_without_an_answer_is_passed_over(self, agent: Agent, split: Split, records: Records) -> None:
        without = records.iloc[2:]
        unanswered = records.copy()
        unanswered.loc[unanswered.index[0], ["status", "payload", "error"]] = ["invalid", "", "schema: no"]
        unanswered.loc[unanswered.index[1], ["status", "payload", "error"]] = ["failed", "", "gone"]
        assert agent.fold(split.train, unanswered).fingerprint == agent.fold(split.train, without).fingerprint

    @pytest.mark.parametrize("status", ["invalid", "failed"])
    def test_without_a_valid_record_the_data_stay_as_they_were(
        self, agent: Agent, split: Split, records: Records, status: str
    ) -> None:
        """No weights, pairs, texts or vectors of nothing: what is trained on them is what raw data give."""
        nothing = records.assign(status=status, payload="", error="schema: no")
        for given in (nothing, records.iloc[:0]):
            folded = agent.fold(split.train, given)
            assert folded.fingerprint == split.train.fingerprint
            assert (folded.item_vectors, folded.user_vectors) == (split.train.item_vectors, split.train.user_vectors)

    def test_a_catalogue_of_other_items_of_the_same_number_is_refused(
        self, agent: Agent, split: Split, records: Records
    ) -> None:
        """Payloads hold items as codes: with other items behind the codes they would speak of something else."""
        items = split.train.items
        other = split.train.with_(items=items.assign(item_id=np.roll(items["item_id"].to_numpy(), 1)))
        with pytest.raises(DataError, match="another catalogue"):
            agent.fold(other, records)

    def test_records_of_an_older_form_are_refused_in_one_line(
        self, agent: Agent, split: Split, records: Records
    ) -> None:
        older = [{k: v for k, v in json.loads(text).items() if k != "catalogue"} for text in records["payload"]]
        with pytest.raises(DataError, match="an older recloop wrote it") as caught:
            agent.fold(split.train, records.assign(payload=[json.dumps(payload) for payload in older]))
        assert "\n" not in str(caught.value)

    def test_another_agents_record_is_passed_over(self, agent: Agent, split: Split, records: Records) -> None:
        foreign = records.assign(agent="somebody-else", payload='{"quite": "another form"}')
        both = pd.concat([records, foreign], ignore_index=True)
        assert agent.fold(split.train, both).fingerprint == agent.fold(split.train, records).fingerprint

    def test_no_records_edit_no_rows(self, agent: Agent, split: Split, records: Records) -> None:
        folded = agent.fold(split.train, records.iloc[:0])
        columns = list(INTERACTION_COLUMNS)
        pd.testing.assert_frame_equal(folded.interactions[columns], split.train.interactions[columns])
        assert len(folded.pairs) == len(split.train.pairs)

    def test_every_edit_says_where_it_comes_from(self, agent: Agent, split: Split, records: Records) -> None:
        raw = split.train.interactions
        known = raw.set_index(RAW)["weight"].to_dict()
        folded = agent.fold(split.train, records)
        frame, keys = folded.interactions, set(records["key"])
        for row in frame.to_dict("records"):
            edited = known.get(tuple(row[column] for column in RAW)) != row["weight"]
            assert not edited or row["origin"] in ("generated", "replaced", "reweighted", "removed")
            if row.get("origin", "raw") != "raw":
                assert row["agent"] == agent.name
                assert row["record"] in keys
                assert np.isnan(row["confidence"]) or 0 <= row["confidence"] <= 1
        for pair in folded.pairs.iloc[len(split.train.pairs) :].to_dict("records"):
            assert pair["agent"] == agent.name
            assert pair["record"] in keys
            assert 0 < pair["weight"] <= 1


def told(agent: Agent, data: Dataset) -> list[tuple[str, dict[str, Any]]]:
    """Every task's key and state, spelled out: a state may be made as late as it is read."""
    return [(task.key, dict(task.state)) for task in agent.tasks(data)]


def ran(agent: Agent, data: Dataset, chat: Chat, embed: Embedder, folder: Any, **options: Any) -> Records:
    """The records of a batch run with a memory of its own."""
    memory = ListMemory(embed)
    run_batch(agent, data, lambda task: Tools(chat, memory), folder, seed=0, **options)
    return read_records(folder)


def fingerprint_of(data: Dataset) -> str:
    """The fingerprint of the tables as they are now; `data.fingerprint` is kept from its first reading."""
    return data.with_().fingerprint
