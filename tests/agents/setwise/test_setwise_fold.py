"""What hand-made records change in the data: weights by the first round, pairs by gap, medoid texts, vectors."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from recloop.agents.agent import Records
from recloop.agents.memory import tfidf_svd
from recloop.agents.payloads import catalogue_digest
from recloop.agents.setwise import Fold, SetwiseAgent
from recloop.agents.setwise.fold import fold
from recloop.recsys.data import Dataset

TEXTS = {i: f"item text {word}" for i, word in enumerate("ash birch cedar dogwood elm fir".split())}
EMBED = tfidf_svd([*TEXTS.values(), "ash like", "calm", "loud birch", "quiet"], size=6)

CATALOGUE = catalogue_digest(
    Dataset.of("six items", pd.DataFrame({"user_id": ["a"] * 6, "item_id": range(6), "timestamp": range(6)}))
)


@pytest.fixture
def data() -> Dataset:
    """User 0 took items 0, 1, 2; user 1 took 3 and 4; nobody took 5."""
    log = pd.DataFrame({"user_id": list("aaabb"), "item_id": [0, 1, 2, 3, 4], "timestamp": [1, 2, 3, 1, 2]})
    made = Dataset.of("toy", log)
    items = pd.concat([made.items, pd.DataFrame({"item_id": [5], "title": [""], "categories": [""]})])
    return made.with_(items=items.reset_index(drop=True))


def round_(order: list[int], scores: list[float], kept: bool = True) -> dict[str, Any]:
    return {"order": order, "scores": scores, "kept": kept, "mismatch": 0.0, "sets": []}


def step(positive: int, candidates: list[int], *rounds: dict[str, Any]) -> dict[str, Any]:
    return {"positive": positive, "candidates": candidates, "notes": [], "rounds": list(rounds)}


def record(user: int, steps: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A row of Records; `semantics` and `profile` go to the payload."""
    payload = {
        "user": user,
        "user_id": "ab"[user],
        "catalogue": CATALOGUE,
        "first_profile": "",
        "profile": more.pop("profile", f"profile of {user}"),
        "semantics": more.pop("semantics", {}),
        "memos": [],
        "steps": steps,
    }
    row = {"key": f"user:{user}", "agent": "setwise", "status": "ok", "payload": json.dumps(payload), "error": ""}
    return {**row, **more}


def records(*rows: dict[str, Any]) -> Records:
    return pd.DataFrame(list(rows), columns=["key", "agent", "status", "payload", "error"])


def folded(data: Dataset, given: Records, **config: Any) -> Dataset:
    return fold(data, given, Fold(**config), EMBED, TEXTS)


# --- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "sure", "weight"),
    [([1, 0, 2], 1.0, 1.0), ([0, 1, 2], 0.5, 0.75), ([0, 2, 1], 0.0, 0.5)],
    ids=["put first", "put in the middle", "put last"],
)
def test_an_interaction_weighs_by_its_place_in_the_first_round(
    data: Dataset, order: list[int], sure: float, weight: float
) -> None:
    told_the_truth = round_([1, 0, 2], [0.1, 0.9, 0.1])
    given = records(record(0, [step(1, [5, 2, 4], round_(order, [0.5, 0.5, 0.5]), told_the_truth)]))
    frame = folded(data, given, weight_floor=0.5).interactions
    assert frame["weight"].tolist() == pytest.approx([1, 1, weight, 1, 1])
    edited = frame.iloc[2]
    assert (edited["origin"], edited["agent"], edited["record"]) == ("reweighted", "setwise", "user:0")
    assert edited["confidence"] == pytest.approx(sure)
    assert frame["origin"].tolist() == ["raw", "raw", "reweighted", "raw", "raw"]
    assert frame["confidence"].drop(index=2).isna().all()


@pytest.mark.parametrize(("floor", "weight"), [(0.0, 0.0), (0.2, 0.2), (1.0, 1.0)])
def test_the_floor_is_the_weight_of_what_was_put_last(data: Dataset, floor: float, weight: float) -> None:
    given = records(record(1, [step(0, [4, 0], round_([1, 0], [0.2, 0.9]))]))
    assert folded(data, given, weight_floor=floor).weight[4] == pytest.approx(weight)


def test_an_earlier_weight_is_multiplied_and_its_provenance_told_anew(data: Dataset) -> None:
    frame = data.interactions.assign(origin="raw", agent="", confidence=np.float32(np.nan), record="")
    frame.loc[4, ["weight", "origin", "agent", "record"]] = [0.5, "reweighted", "judge", "user:b/judge"]
    frame.loc[0, ["origin", "agent", "record"]] = ["generated", "maker", "m:1"]
    given = records(record(1, [step(0, [4, 0], round_([1, 0], [0.2, 0.9]))]))
    after = folded(data.with_(interactions=frame), given, weight_floor=0.5).interactions
    assert after["weight"].tolist() == pytest.approx([1, 1, 1, 1, 0.25])
    assert after.loc[4, ["agent", "record"]].tolist() == ["setwise", "user:1"]
    assert after.loc[0, ["origin", "agent", "record"]].tolist() == ["generated", "maker", "m:1"]


def test_only_the_users_own_row_is_weighed(data: Dataset) -> None:
    both = pd.concat([data.interactions, data.interactions.iloc[[4]].assign(user=np.int32(0), timestamp=9)])
    shared = data.with_(interactions=both)
    given = records(record(1, [step(0, [4, 0], round_([1, 0], [0.2, 0.9]))]))
    after = folded(shared, given)
    assert after.weight[(after.user == 0) & (after.item == 4)] == [1.0]
    assert after.weight[(after.user == 1) & (after.item == 4)] == [0.5]


def test_a_list_of_one_item_proves_nothing(data: Dataset) -> None:
    given = records(record(1, [step(0, [4], round_([0], [0.2]))]))
    assert folded(data, given).weight.tolist() == [1.0] * 5


# --- pairs ------------------------------------------------------------------------------------------------------------


def pairs_of(data: Dataset, *steps: dict[str, Any], **config: Any) -> list[tuple[int, int, float]]:
    found = folded(data, records(record(0, list(steps))), **config).pairs
    assert set(found["user"]) <= {0}
    assert set(found["agent"]) <= {"setwise"}
    assert set(found["record"]) <= {"user:0"}
    rows = found[["preferred", "other", "weight"]].itertuples(index=False, name=None)
    return [(preferred, other, round(float(weight), 4)) for preferred, other, weight in rows]


def test_pairs_are_stated_by_gap_widest_first(data: Dataset) -> None:
    judged = step(0, [2, 3, 4], round_([0, 1, 2], [0.9, 0.6, 0.1]))
    assert pairs_of(data, judged, pair_gap=0.1) == [(2, 4, 0.8), (3, 4, 0.5), (2, 3, 0.3)]
    assert pairs_of(data, judged, pair_gap=0.4) == [(2, 4, 0.8), (3, 4, 0.5)]
    assert pairs_of(data, judged, pair_gap=0.9) == []


def test_the_true_item_is_never_dispreferred(data: Dataset) -> None:
    judged = step(0, [2, 3, 4], round_([1, 2, 0], [0.1, 0.9, 0.5]))
    assert pairs_of(data, judged) == [(3, 4, 0.4)]


def test_so_many_pairs_of_a_list_and_no_more(data: Dataset) -> None:
    judged = step(0, [2, 3, 4, 5], round_([0, 1, 2, 3], [0.9, 0.6, 0.3, 0.0]))
    assert pairs_of(data, judged, pairs_per_step=2) == [(2, 5, 0.9), (2, 4, 0.6)]
    assert len(pairs_of(data, judged, judged, pairs_per_step=2)) == 4


def test_pairs_rest_on_the_scores_from_before_the_truth_was_shown(data: Dataset) -> None:
    judged = step(
        0,
        [2, 3],
        round_([0, 1], [0.9, 0.5]),
        round_([0, 1], [0.9, 0.1]),
        round_([1, 0], [0.2, 0.9], kept=False),
    )
    assert pairs_of(data, judged) == [(2, 3, 0.4)]


def test_pairs_are_added_to_those_of_earlier_agents(data: Dataset) -> None:
    first = folded(data, records(record(0, [step(0, [2, 3], round_([0, 1], [0.9, 0.5]))])))
    again = folded(first, records(record(1, [step(0, [4, 5], round_([0, 1], [0.9, 0.5]))])))
    assert again.pairs["record"].tolist() == ["user:0", "user:1"]
    assert [str(again.pairs[c].dtype) for c in ("user", "preferred", "weight")] == ["int32", "int32", "float32"]


# --- texts and vectors ------------------------------------------------------------------------------------------------


def test_an_items_text_is_the_proposal_nearest_to_all_of_them(data: Dataset) -> None:
    proposals = ["quiet calm", "loud birch", "calm quiet ash", "calm quiet"]
    given = records(*(record(u % 2, [], key=f"k{u}", semantics={"2": text}) for u, text in enumerate(proposals)))
    vectors = EMBED(proposals)
    medoid = proposals[int(np.argmax((vectors @ vectors.T).sum(axis=1).round(5)))]
    assert "loud" not in medoid
    after = folded(data, given)
    assert after.items["semantics"].tolist() == ["", "", medoid, "", "", ""]
    np.testing.assert_allclose(after.item_vectors[2], EMBED([f"{TEXTS[2]} | {medoid}"])[0], atol=1e-6)
    np.testing.assert_allclose(after.item_vectors[0], EMBED([TEXTS[0]])[0], atol=1e-6)


def test_vectors_are_rows_of_items_and_of_users(data: Dataset) -> None:
    after = folded(data, records(record(1, [], profile="calm ash")))
    assert after.item_vectors.shape[0] == after.n_items == 6
    assert after.user_vectors.shape == (2, after.item_vectors.shape[1])
    assert after.item_vectors.dtype == after.user_vectors.dtype == np.float32
    assert after.users["profile"].tolist() == ["", "calm ash"]
    assert not after.user_vectors[0].any()
    assert np.linalg.norm(after.user_vectors[1]) == pytest.approx(1, abs=1e-5)


# --- switches and records that do not count ---------------------------------------------------------------------------

FULL = step(0, [2, 3, 4], round_([1, 0, 2], [0.5, 0.9, 0.1]))


@pytest.mark.parametrize("on", ["weights", "pairs", "vectors"])
def test_each_effect_can_stand_alone(data: Dataset, on: str) -> None:
    switches = {name: name == on for name in ("weights", "pairs", "vectors")}
    after = folded(data, records(record(0, [FULL], semantics={"2": "calm"})), **switches)
    assert (after.weight.tolist() != data.weight.tolist()) == (on == "weights")
    assert (len(after.pairs) > 0) == (on == "pairs")
    assert (after.item_vectors is not None) == (after.user_vectors is not None) == (on == "vectors")
    assert ("semantics" in after.items) == ("profile" in after.users) == (on == "vectors")


def test_everything_switched_off_changes_nothing(data: Dataset) -> None:
    after = folded(data, records(record(0, [FULL])), weights=False, pairs=False, vectors=False)
    assert after.fingerprint == data.fingerprint


def test_an_embedder_is_asked_for_only_where_vectors_are_made(data: Dataset) -> None:
    given = records(record(0, [FULL]))
    assert len(SetwiseAgent(fold_config=Fold(vectors=False)).fold(data, given).pairs)
    with pytest.raises(ValueError, match="embedder"):
        SetwiseAgent().fold(data, given)


@pytest.mark.parametrize(
    "row",
    [
        record(0, [FULL], status="invalid", payload="", error="schema: no"),
        record(0, [FULL], status="failed", payload=""),
        record(0, [FULL], agent="somebody-else"),
    ],
    ids=["invalid", "failed", "another agent's"],
)
def test_a_record_that_does_not_count_changes_nothing(data: Dataset, row: dict[str, Any]) -> None:
    after = folded(data, records(row), vectors=False)
    assert after.weight.tolist() == [1.0] * 5
    assert len(after.pairs) == 0


@pytest.mark.parametrize("wrong", [{"pair_gap": 0}, {"weight_floor": 1.5}, {"pairs_per_step": 0}, {"weihgts": True}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Fold(**wrong)
