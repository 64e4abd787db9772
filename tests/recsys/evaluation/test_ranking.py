"""Full ranking, candidate ranking and rankings made elsewhere, with recommenders whose answers are known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recloop.errors import ConfigError, DataError
from recloop.recsys.data import Dataset, Split, given, read_movielens
from recloop.recsys.evaluation import (
    evaluate,
    evaluate_candidates,
    group_masks,
    history_buckets,
    read_values,
    score_rankings,
    write_values,
)

METRICS = ("recall@3", "precision@3", "hr@3", "mrr@3", "map@3", "ndcg@3", "ndcg@12")


class Fixed:
    """Scores that were written down before."""

    name = "fixed"

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = scores
        self.histories: list[Dataset] = []

    def score(self, users: np.ndarray, history: Dataset) -> np.ndarray:
        self.histories.append(history)
        return self.scores[users]


def world(rng: np.random.Generator, n_users: int = 30, n_items: int = 25) -> Split:
    """Every user knows some items and has one to four held out; user 0 has nothing held out."""
    rows = [(user, item, 0, "train") for item in range(n_items) for user in (item % n_users,)]
    for user in range(n_users):
        own = rng.permutation(n_items)[: rng.integers(6, 12)]
        sides = ["train"] * (len(own) - 5) + ["valid"] + list(rng.choice(["test", "train"], 3)) + ["test"]
        sides = ["train" if user == 0 and side == "test" else side for side in sides]
        rows += [(user, item, 1 + at, side) for at, (item, side) in enumerate(zip(own, sides, strict=True))]
    table = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp", "side"])
    table = table.drop_duplicates(["user_id", "item_id"], keep="last")
    table = table.assign(user_id="u" + table["user_id"].astype(str), item_id="i" + table["item_id"].astype(str))
    data = Dataset.of("world", table)
    side = data.interactions["side"].to_numpy()
    return Split(*(data.rows(side == name) for name in ("train", "valid", "test")))


def naive(scores: np.ndarray, split: Split, user: int, k: int, mask_seen: bool = True) -> dict[str, float]:
    """One user's ranking by plain sorting; scores must not tie."""
    seen = {*split.train.history(user), *split.valid.history(user)} if mask_seen else set()
    order = [item for item in np.argsort(-scores[user]) if item not in seen]
    relevant = set(split.test.history(user))
    hits = [item in relevant for item in order[:k]]
    gains = sum(1 / np.log2(place + 2) for place, hit in enumerate(hits) if hit)
    best = sum(1 / np.log2(place + 2) for place in range(min(len(relevant), k)))
    return {"recall": sum(hits) / len(relevant), "ndcg": gains / best, "list": order[:k]}


@pytest.mark.parametrize("mask_seen", [True, False])
@pytest.mark.parametrize("block", [None, 1, 7])
def test_every_user_gets_what_plain_sorting_gives(block: int | None, mask_seen: bool) -> None:
    rng = np.random.default_rng(5)
    split = world(rng)
    scores = rng.random((split.train.n_users, split.train.n_items)).astype(np.float32)
    before = scores.copy()
    found = evaluate(
        Fixed(scores), split, metrics=("recall@4", "ndcg@4"), mask_seen=mask_seen, block=block, keep_topk=True
    )
    assert np.array_equal(scores, before)
    assert found.topk is not None
    nobody = 0
    for user in range(split.test.n_users):
        row = found.per_user.iloc[user]
        if split.test.user_counts[user] == 0:
            nobody += 1
            assert np.isnan(row["recall@4"])
            continue
        expected = naive(scores, split, user, 4, mask_seen)
        assert row["recall@4"] == pytest.approx(expected["recall"])
        assert row["ndcg@4"] == pytest.approx(expected["ndcg"])
        assert list(found.topk[user]) == expected["list"]
    assert nobody >= 1
    assert found.protocol["users_undefined"] == nobody
    assert found.protocol["seen_items"] == ("masked" if mask_seen else "ranked")


def test_popularity_on_movielens_gives_the_published_figures(shared_data: Path) -> None:
    folder = shared_data / "ml-100k"
    split = given(read_movielens(folder), folder / "loo" / "valid.tsv", folder / "loo" / "test.tsv")
    counts = split.train.item_counts + split.valid.item_counts
    found = evaluate(Fixed(np.tile(counts.astype(np.float32), (943, 1))), split)
    assert found.mean("recall@10") == pytest.approx(0.086, abs=0.001)
    assert found.mean("ndcg@10") == pytest.approx(0.045, abs=0.001)


def test_a_constant_scorer_gets_what_chance_gets() -> None:
    split = world(np.random.default_rng(1))
    found = evaluate(Fixed(np.zeros((30, 25), np.float32)), split, metrics=("recall@3", "ndcg@3", "hr@25"))
    candidates = 25 - split.train.user_counts - split.valid.user_counts
    defined = split.test.user_counts > 0
    np.testing.assert_allclose(found.values("recall@3")[defined], 3 / candidates[defined])
    assert 0 < found.mean("ndcg@3") < 0.5
    assert found.mean("hr@25") == 1


def test_counting_among_the_best_equals_counting_everywhere() -> None:
    rng = np.random.default_rng(8)
    split = world(rng)
    scores = rng.integers(0, 4, (30, 25)).astype(np.float32)
    shallow = evaluate(Fixed(scores), split, metrics=("recall@3", "map@3", "mrr@3"))
    deep = evaluate(Fixed(scores), split, metrics=("recall@3", "map@3", "mrr@3", "recall@25"))
    for metric in shallow.metrics:
        np.testing.assert_array_equal(shallow.values(metric), deep.values(metric))


def test_ties_in_the_lists_go_to_the_lower_code() -> None:
    split = world(np.random.default_rng(1))
    found = evaluate(
        Fixed(np.zeros((30, 25), np.float32)), split, metrics=("recall@3",), mask_seen=False, keep_topk=True
    )
    assert found.topk is not None
    assert (found.topk[split.test.user_counts > 0] == [0, 1, 2]).all()
    assert found.beyond["coverage@3"] == pytest.approx(3 / 25)


def test_minus_infinity_is_never_recommended_and_nan_names_the_model() -> None:
    split = world(np.random.default_rng(2))
    scores = np.full((30, 25), -np.inf, np.float32)
    found = evaluate(Fixed(scores), split, metrics=("recall@25",), keep_topk=True)
    assert found.mean("recall@25") == 0
    assert found.topk is not None
    assert (found.topk == -1).all()
    scores[4, 3] = np.nan
    with pytest.raises(DataError, match="'fixed' scored items NaN"):
        evaluate(Fixed(scores), split, mask_seen=False)


def test_scores_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"'fixed' gave scores of shape \(29, 24\)"):
        evaluate(Fixed(np.zeros((30, 24))), world(np.random.default_rng(2)))


def test_the_history_at_test_is_train_and_valid_and_at_valid_train_alone() -> None:
    split = world(np.random.default_rng(3))
    model = Fixed(np.random.default_rng(0).random((30, 25)))
    on_test = evaluate(model, split)
    on_valid = evaluate(model, split, side="valid")
    assert [len(history) for history in model.histories] == [len(split.train) + len(split.valid), len(split.train)]
    assert (on_test.protocol["known"], on_valid.protocol["known"]) == ("train+valid", "train")
    assert on_valid.per_user["n_relevant"].tolist() == split.valid.user_counts.tolist()


def test_a_refined_history_changes_what_is_scored_from_but_not_what_is_masked() -> None:
    split = world(np.random.default_rng(3))
    model = Fixed(np.random.default_rng(0).random((30, 25)))
    plain = evaluate(model, split)
    refined = evaluate(model, split, history=split.test)
    assert model.histories[-1] is split.test
    assert (plain.protocol["scored_from"], refined.protocol["scored_from"]) == ("known", "world")
    pd.testing.assert_frame_equal(plain.per_user, refined.per_user)


def test_a_held_out_item_that_was_seen_is_left_out_and_counted() -> None:
    table = pd.DataFrame({"user_id": [1, 1, 1, 2, 2], "item_id": [1, 2, 1, 2, 3]})
    data = Dataset.of("again", table)
    train, test = np.array([1, 1, 0, 1, 0], bool), np.array([0, 0, 1, 0, 1], bool)
    split = Split(data.rows(train), data.rows(np.zeros(5, bool)), data.rows(test))
    found = evaluate(Fixed(np.ones((2, 3))), split, metrics=("recall@1",))
    assert found.protocol["held_out_already_seen"] == 1
    assert found.per_user["n_relevant"].tolist() == [0, 1]
    assert evaluate(Fixed(np.ones((2, 3))), split, mask_seen=False).per_user["n_relevant"].tolist() == [1, 1]


def test_only_the_users_asked_for_are_ranked() -> None:
    split = world(np.random.default_rng(4))
    model = Fixed(np.random.default_rng(0).random((30, 25)))
    everyone, some = evaluate(model, split), evaluate(model, split, users=[9, 2])
    assert some.per_user["user"].tolist() == [9, 2]
    np.testing.assert_array_equal(some.values("ndcg@10"), everyone.values("ndcg@10")[[9, 2]])
    for users, hint in [([30], "outside 0..29"), ([1, 1], "stands twice")]:
        with pytest.raises(DataError, match=hint):
            evaluate(model, split, users=users)


def test_groups_restrict_the_relevant_items_or_the_users() -> None:
    rng = np.random.default_rng(6)
    split = world(rng)
    scores = rng.random((30, 25)).astype(np.float32)
    item_groups, user_groups = group_masks(["head", "tail", "cold", "warm"], split.train)
    found = evaluate(Fixed(scores), split, metrics=("recall@6",), item_groups=item_groups, user_groups=user_groups)
    # A user's hits are its hits in the head and in the tail.
    hits = {
        group: np.nan_to_num(found.values("recall@6", group)) * found.by_item_group[group]["n_relevant"]
        for group in ("head", "tail")
    }
    together = np.nan_to_num(found.values("recall@6")) * found.per_user["n_relevant"]
    np.testing.assert_allclose(hits["head"] + hits["tail"], together)
    tidy = found.tidy()
    assert set(tidy["group"]) == {"all", "head", "tail", "cold", "warm"}
    assert len(tidy[tidy["group"] == "all"]) == 30
    cold = tidy[tidy["group"] == "cold"]
    assert user_groups["cold"][cold["user"]].all()
    assert found.mean("recall@6", user_groups["cold"]) == pytest.approx(cold["value"].mean())
    assert found.mean("recall@6", group="cold") == pytest.approx(cold["value"].mean())
    with pytest.raises(ConfigError, match="'lukewarm'"):
        found.values("recall@6", "lukewarm")
    with pytest.raises(ConfigError, match="ndcg@3 was not computed"):
        found.mean("ndcg@3")


def test_history_buckets_hold_every_user_once_and_a_wrong_group_is_named() -> None:
    split = world(np.random.default_rng(6))
    buckets = history_buckets(split.train, (2, 4, 6))
    assert (np.sum(list(buckets.values()), axis=0) == 1).all()
    assert np.array_equal(buckets["history 3-4"], np.isin(split.train.user_counts, (3, 4)))
    with pytest.raises(ConfigError, match="'head'"):
        group_masks(["haed"], split.train)


def test_values_come_back_from_parquet_with_their_labels(tmp_path: Path) -> None:
    split = world(np.random.default_rng(7))
    found = evaluate(Fixed(np.random.default_rng(0).random((30, 25))), split)
    write_values(found, tmp_path / "values" / "a.parquet", model="fixed", variant="raw", seed=0)
    write_values(found, tmp_path / "values" / "b.parquet", model="fixed", variant="raw", seed=1)
    back = read_values(tmp_path / "values")
    assert list(back.columns) == ["model", "variant", "seed", "user", "group", "metric", "value"]
    np.testing.assert_array_equal(back[back["seed"] == 1]["value"], found.tidy()["value"])
    with pytest.raises(DataError, match=r"nothing\.parquet: no per-user values here; run the study again, which"):
        read_values(tmp_path / "nothing.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "values" / "a.parquet").read_bytes()[:100])
    with pytest.raises(DataError, match=r"cut\.parquet: .*delete the file and run the study again"):
        read_values(tmp_path / "cut.parquet")


def test_a_ranking_written_to_a_file_scores_as_it_did_inside(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    split = world(rng)
    scores = rng.integers(0, 6, (30, 25)).astype(np.float32)
    inside = evaluate(Fixed(scores), split, metrics=METRICS, keep_topk=True)
    users, items = np.divmod(np.arange(scores.size), 25)
    table = pd.DataFrame(
        {
            "user_id": split.train.users["user_id"].to_numpy()[users],
            "item_id": split.train.items["item_id"].to_numpy()[items],
            "score": scores.ravel(),
        }
    ).sample(frac=1, random_state=0)
    table.to_csv(tmp_path / "theirs.csv", index=False)
    table.assign(rank=table.groupby("user_id")["score"].rank("min", ascending=False)).drop(columns="score").to_parquet(
        tmp_path / "ranks.parquet"
    )
    for file in ("theirs.csv", "ranks.parquet"):
        outside = score_rankings(tmp_path / file, split, metrics=METRICS, keep_topk=True)
        pd.testing.assert_frame_equal(outside.per_user, inside.per_user)
        assert outside.beyond == pytest.approx(inside.beyond)
        np.testing.assert_array_equal(outside.topk, inside.topk)


def test_users_without_a_list_get_nothing_and_are_counted() -> None:
    split = world(np.random.default_rng(9))
    user = int(np.flatnonzero(split.test.user_counts == 1)[0])
    ids = split.train.users["user_id"], split.train.items["item_id"]
    right = pd.DataFrame({"user_id": [ids[0][user]], "item_id": [ids[1][split.test.history(user)[0]]], "rank": [1]})
    found = score_rankings(right, split, metrics=("recall@10",))
    assert found.values("recall@10")[user] == 1
    assert np.nansum(found.values("recall@10")) == 1
    assert found.protocol["users_without_list"] == (split.test.user_counts > 0).sum() - 1


@pytest.mark.parametrize(
    ("table", "hint"),
    [
        ({"user_id": ["u1"], "rank": [1]}, "column item_id missing"),
        ({"user_id": ["u1"], "item_id": ["i1"]}, "neither 'rank' nor 'score'"),
        ({"user_id": ["u1"] * 2, "item_id": ["i1", "i2"], "rank": [1, 2], "score": [1, 2]}, "'rank' and 'score' order"),
        (
            {"user_id": ["u1", "u1"], "item_id": ["i1", "i99"], "rank": [1, 2]},
            "row 2: item_id 'i99' is not in the data",
        ),
        ({"user_id": ["u1", "u1"], "item_id": ["i1", "i1"], "rank": [1, 2]}, "row 2: item 'i1' stands twice"),
        ({"user_id": ["u1"], "item_id": ["i1"], "score": ["high"]}, "row 1: score 'high' is not a number"),
    ],
)
def test_a_bad_ranking_is_refused_with_its_row(table: dict[str, list[object]], hint: str) -> None:
    with pytest.raises(DataError, match=hint):
        score_rankings(pd.DataFrame(table), world(np.random.default_rng(9)))


def test_candidates_are_ranked_without_favour_to_their_order() -> None:
    known = world(np.random.default_rng(1)).train
    candidates = np.array([[4, 7, 9, 11], [3, 8, 1, -1]])
    truth = np.array([9, 3])

    def equal(users: np.ndarray, listed: np.ndarray) -> np.ndarray:
        return np.zeros(listed.shape)

    chance = evaluate_candidates(equal, [5, 2], candidates, truth, known=known, metrics=("recall@1", "ndcg@4"))
    np.testing.assert_allclose(chance.values("recall@1"), [1 / 4, 1 / 3])
    scores = np.zeros((30, 25))
    scores[5, [4, 9]], scores[2, 3] = [2, 1], 1
    found = evaluate_candidates(Fixed(scores), [5, 2], candidates, truth, known=known, metrics=("mrr@4",))
    np.testing.assert_allclose(found.values("mrr@4"), [1 / 2, 1])
    assert found.protocol["shortest_list"] == 3


@pytest.mark.parametrize(
    ("candidates", "truth", "hint"),
    [([[1, 2]], [3], "not among the candidates"), ([[1, 1]], [1], "listed twice"), ([[1, 99]], [1], "outside")],
)
def test_bad_candidate_lists_are_refused(candidates: list[list[int]], truth: list[int], hint: str) -> None:
    known = world(np.random.default_rng(1)).train
    with pytest.raises(DataError, match=hint):
        evaluate_candidates(Fixed(np.zeros((30, 25))), [5], np.array(candidates), np.array(truth), known=known)


@pytest.mark.parametrize(
    ("ranks", "message"),
    [([0, 1], "rank 0"), ([-1, 2], "rank -1"), ([1.5, 2], "rank 1.5"), ([], "no rows below the header")],
)
def test_ranks_count_from_one_in_whole_numbers(ranks: list[float], message: str) -> None:
    split = world(np.random.default_rng(0))
    train = split.train
    table = pd.DataFrame({"user_id": train.users["user_id"][: len(ranks)], "item_id": train.items["item_id"].iloc[0]})
    with pytest.raises(DataError, match=message):
        score_rankings(table.assign(rank=np.array(ranks)), split)
