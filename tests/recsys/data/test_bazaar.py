"""The built-in world is what its docstring says: skewed, drifting, noisy on purpose, and partly told by its texts."""

import dataclasses
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recloop.errors import ConfigError
from recloop.recsys.data.bazaar import World, bazaar, world
from recloop.recsys.data.bazaar_words import DEPARTMENTS, MOODS
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

RECENT = 5


@pytest.fixture(scope="module")
def shop() -> World:
    return world(seed=0)


@pytest.fixture(scope="module")
def texts(shop: World) -> np.ndarray:
    items = shop.dataset.items
    told = items["title"] + " " + items["categories"] + " " + items["description"]
    return TfidfVectorizer().fit_transform(told).toarray()


@pytest.fixture(scope="module")
def last_out(shop: World) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seen (users, items) before the last row, the last item of each user, and each item's popularity until then."""
    data = shop.dataset
    last = data.indptr[1:] - 1
    seen = np.zeros((data.n_users, data.n_items), bool)
    seen[data.user, data.item] = True
    seen[np.arange(data.n_users), data.item[last]] = False
    return seen, data.item[last], seen.sum(0)


def auc(scores: np.ndarray, seen: np.ndarray, truth: np.ndarray, odds: np.ndarray) -> float:
    """Mean over users of P(truth scores above an unseen item drawn with these odds), ties counted half."""
    users = np.arange(len(truth))
    target = scores[users, truth][:, None]
    chance = np.where(seen, 0.0, odds)
    chance[users, truth] = 0.0
    won = (target > scores) + 0.5 * (target == scores)
    return float((won * chance).sum(1).mean() / chance.sum(1).mean())


def ndcg10(scores: np.ndarray, seen: np.ndarray, truth: np.ndarray) -> float:
    ranked = np.where(seen, -np.inf, scores)
    rank = (ranked > ranked[np.arange(len(truth)), truth][:, None]).sum(1)
    return float(np.where(rank < 10, 1 / np.log2(rank + 2), 0.0).mean())


def by_content(shop: World, texts: np.ndarray, part: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """(users, items) mean cosine of an item's text with a part of the history before the last row."""
    data = shop.dataset
    return np.stack([texts @ texts[part(data.history(u)[:-1])].mean(0) for u in range(data.n_users)])


def roc(scores: np.ndarray, positive: np.ndarray) -> float:
    above, below = scores[positive][:, None], scores[~positive]
    return float(((above > below) + 0.5 * (above == below)).mean())


def test_a_seed_gives_the_same_bytes_on_every_machine() -> None:
    assert bazaar(0).fingerprint == "2d04662e9ef9bdb4"
    assert bazaar(1).fingerprint == "1e2a0b81c08e4a69"


def test_the_truth_is_as_repeatable_as_the_data() -> None:
    first, second = world(3, users=40, items=150), world(3, users=40, items=150)
    for field in dataclasses.fields(World):
        if field.name != "dataset":
            np.testing.assert_array_equal(getattr(first, field.name), getattr(second, field.name))


def test_a_world_is_made_in_less_than_two_seconds() -> None:
    started = time.process_time()
    world(seed=5)
    assert time.process_time() - started < 2


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    users=st.integers(1, 60),
    items=st.integers(40, 130),
    noise=st.floats(0, 1),
    drift=st.floats(0, 1),
    follow=st.floats(0, 1),
    clean_end=st.integers(0, 4),
)
def test_nobody_buys_twice_and_time_only_grows(
    seed: int, users: int, items: int, noise: float, drift: float, follow: float, clean_end: int
) -> None:
    made = world(seed, users, items, noise, drift=drift, follow=follow, shortest=3, longest=20, clean_end=clean_end)
    data = made.dataset
    assert (data.n_users, data.n_items) == (users, items)
    assert not data.interactions.duplicated(["user", "item"]).any()
    within = data.user[1:] == data.user[:-1]
    assert (np.diff(data.timestamp)[within] > 0).all()
    assert ((data.user_counts >= 3) & (data.user_counts <= 20)).all()
    assert not any(made.noise[end - clean_end : end].any() for end in data.indptr[1:] if clean_end)
    assert not (made.noise & made.followed).any()
    assert len(made.noise) == len(made.followed) == len(made.phase) == len(data)


def test_histories_are_skewed_around_twenty(shop: World) -> None:
    lengths = shop.dataset.user_counts
    assert (lengths.min(), lengths.max()) == (8, 60)
    assert 18 <= np.median(lengths) <= 22
    assert lengths.mean() > np.median(lengths) + 1


def test_popularity_is_skewed_and_every_good_is_sold(shop: World) -> None:
    sold = np.sort(shop.dataset.item_counts)[::-1]
    assert 0.28 < sold[:40].sum() / sold.sum() < 0.45
    assert sold[-1] >= 1
    assert sold[0] > 15 * sold[-40]
    by_code = np.corrcoef(np.arange(len(sold)), shop.dataset.item_counts)[0, 1]
    assert abs(by_code) < 0.15, "the item code must not tell the popularity"


def test_every_department_kind_and_mood_is_stocked(shop: World) -> None:
    assert set(np.bincount(shop.department)) == {40}
    assert set(np.bincount(shop.kind)) == {10}
    assert np.bincount(shop.mood, minlength=len(MOODS)).min() >= 25
    assert {len(department.kinds) for department in DEPARTMENTS} == {4}


def test_titles_are_distinct_and_read_like_goods(shop: World) -> None:
    items = shop.dataset.items
    assert items["title"].is_unique
    assert items["item_id"].is_unique
    assert items["title"].str.fullmatch(r"[A-Z][\w'.]*( [A-Z0-9][\w'.]*)+").all()
    assert (items["title"].str.count(" ") + 1).between(2, 8).all()
    assert 0.02 < items["title"].str.contains(r"No\. \d").mean() < 0.09


def test_some_goods_are_sparse_in_text_but_none_is_bare(shop: World) -> None:
    items = shop.dataset.items
    assert 0.02 < (items["categories"] == "").mean() < 0.1
    assert 0.1 < (items["description"] == "").mean() < 0.2
    assert not ((items["categories"] == "") & (items["description"] == "")).any()
    sentences = items["description"][items["description"] != ""].str.count(r"\.( |$)")
    assert sentences.between(1, 2).all()


def test_planted_noise_has_its_share_and_suits_its_buyers_less(shop: World) -> None:
    open_to_noise = np.ones(len(shop.noise), bool)
    for end in shop.dataset.indptr[1:]:
        open_to_noise[end - 2 : end] = False
    assert shop.noise[open_to_noise].mean() == pytest.approx(0.08, abs=0.008)
    assert not shop.noise[~open_to_noise].any()
    affinity = shop.affinity(shop.dataset.user, shop.dataset.item, shop.phase)
    assert affinity[shop.noise].mean() < 0.5 * affinity[~shop.noise].mean()
    assert roc(-affinity, shop.noise) > 0.9


def test_a_world_without_noise_has_none_and_one_of_noise_has_no_taste() -> None:
    assert not world(0, users=50, noise=0.0).noise.any()
    pure = world(0, users=200, noise=1.0, clean_end=0)
    assert pure.noise.all()
    bought = pure.affinity(pure.dataset.user, pure.dataset.item, pure.phase).mean()
    anything = (pure.affinity(np.arange(200)[:, None], np.arange(400)[None, :]) @ pure.popularity).mean()
    assert bought == pytest.approx(anything, abs=0.02)


def test_noise_shows_in_the_texts_of_a_history(shop: World, texts: np.ndarray) -> None:
    data = shop.dataset
    coherence = np.empty(len(data))
    for u in range(data.n_users):
        own = texts[data.history(u)]
        alike = own @ own.T
        np.fill_diagonal(alike, 0)
        coherence[data.indptr[u] : data.indptr[u + 1]] = alike.sum(1) / (len(own) - 1)
    assert 0.78 < roc(-coherence, shop.noise) < 0.92


def test_noise_is_found_again_in_a_side_or_an_edit(shop: World) -> None:
    keep = np.random.default_rng(0).random(len(shop.dataset)) < 0.7
    side = shop.dataset.rows(keep)
    np.testing.assert_array_equal(shop.noise_in(side), shop.noise[keep])
    stranger = side.interactions.iloc[:1].assign(item=np.setdiff1d(np.arange(400), shop.dataset.history(0))[0])
    assert not shop.noise_in(side.with_(interactions=stranger)).any()


def test_the_recent_past_tells_more_of_the_next_department_than_the_distant_past(shop: World) -> None:
    data = shop.dataset
    histories = [shop.department[data.history(u)] for u in range(data.n_users)]
    recent = np.mean([(h[-1 - RECENT : -1] == h[-1]).mean() for h in histories])
    oldest = np.mean([(h[:RECENT] == h[-1]).mean() for h in histories])
    assert recent > 2.5 * oldest
    assert oldest > 0.1, "a taste keeps a part of where it began"


def test_without_drift_the_first_items_tell_as_much_as_the_last() -> None:
    still = world(seed=0, drift=0.0, follow=0.0)
    np.testing.assert_allclose(still.start, still.end, atol=1e-6)
    histories = [still.department[still.dataset.history(u)] for u in range(500)]
    recent = np.mean([(h[-1 - RECENT : -1] == h[-1]).mean() for h in histories])
    oldest = np.mean([(h[:RECENT] == h[-1]).mean() for h in histories])
    assert recent == pytest.approx(oldest, abs=0.05)


def test_tastes_and_affinities_lie_in_their_range_and_broadcast(shop: World) -> None:
    users, items = np.arange(20)[:, None], np.arange(400)[None, :]
    now, then = shop.affinity(users, items), shop.affinity(users, items, 0.0)
    assert now.shape == (20, 400)
    assert (now >= 0).all()
    assert (now <= 1 + 1e-6).all()
    assert not np.allclose(now, then)
    assert shop.affinity(3, 7, 0.5) == pytest.approx(float(shop.taste(3, 0.5) @ shop.traits[7]), rel=1e-6)
    np.testing.assert_allclose(np.linalg.norm(shop.taste(np.arange(500), 0.3), axis=1), 1, rtol=1e-5)


def test_a_follow_up_goes_with_the_previous_choice(shop: World) -> None:
    data = shop.dataset
    rows = np.flatnonzero(shop.followed)
    assert 0.25 < len(rows) / len(data) < 0.35
    rows = rows[~shop.noise[rows - 1]]
    assert (data.user[rows] == data.user[rows - 1]).all()
    before, after = shop.kind[data.item[rows - 1]], shop.kind[data.item[rows]]
    np.testing.assert_array_equal(after, before // 4 * 4 + (before + 1) % 4)


def test_texts_rank_the_next_item_above_chance_but_do_not_give_it_away(
    shop: World, texts: np.ndarray, last_out: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    seen, truth, popularity = last_out
    recent = by_content(shop, texts, lambda history: history[-RECENT:])
    oldest = by_content(shop, texts, lambda history: history[:RECENT])
    uniform, matched = np.ones(400), popularity.astype(float)
    assert 0.74 < auc(recent, seen, truth, uniform) < 0.85
    assert 0.74 < auc(recent, seen, truth, matched) < 0.85
    assert auc(oldest, seen, truth, uniform) < auc(recent, seen, truth, uniform) - 0.1
    known = shop.affinity(np.arange(500)[:, None], np.arange(400)[None, :])
    assert auc(known, seen, truth, uniform) > auc(recent, seen, truth, uniform) + 0.05


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_random_popularity_itemknn_and_the_truth_stand_in_this_order(seed: int) -> None:
    shop = world(seed)
    data = shop.dataset
    users, last = np.arange(data.n_users), data.indptr[1:] - 1
    truth = data.item[last]
    log = csr_matrix((np.ones(len(data), np.float32), (data.user, data.item)), (data.n_users, data.n_items)).toarray()
    log[users, truth] = 0
    seen, popularity = log > 0, log.sum(0)
    together = log.T @ log
    np.fill_diagonal(together, 0)
    size = np.sqrt(np.maximum(popularity, 1))
    itemknn = log @ (together / size[:, None] / size)
    chance = ndcg10(np.random.default_rng(seed).random(log.shape), seen, truth)
    popular = ndcg10(np.tile(popularity, (data.n_users, 1)), seen, truth)
    knowing = 13 * shop.affinity(users[:, None], np.arange(data.n_items)[None, :]) + np.log(shop.popularity)
    assert popular > 2.5 * chance
    assert ndcg10(itemknn, seen, truth) > 1.6 * popular
    assert ndcg10(knowing, seen, truth) > 1.5 * ndcg10(itemknn, seen, truth)
    # The order of the history tells what neither popularity nor the set of items does.
    goes_with = shop.kind // 4 * 4 + (shop.kind + 1) % 4
    next_kind = shop.kind[None, :] == goes_with[data.item[last - 1]][:, None]
    assert ndcg10(knowing + 2.0 * next_kind, seen, truth) > 1.1 * ndcg10(knowing, seen, truth)


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ({"noise": 1.2}, "noise is 1.2"),
        ({"drift": -0.1}, "drift is -0.1"),
        ({"users": 0}, "n_users=0"),
        ({"items": 100}, "n_items=100"),
        ({"shortest": 30, "longest": 20}, "shortest 30"),
    ],
)
def test_a_setting_out_of_range_is_named(setting: dict, names: str) -> None:
    with pytest.raises(ConfigError, match=names):
        world(**setting)
