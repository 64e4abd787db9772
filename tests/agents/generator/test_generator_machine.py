"""The generator: slates by need, proposals grounded and checked, and the data that comes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from recloop.agents.catalogue import item_texts
from recloop.agents.chat.offline import offline_chat
from recloop.agents.chat.scripted import scripted_chat
from recloop.agents.chat.types import Chat, Request
from recloop.agents.fusion import Fusion
from recloop.agents.generator import Generate, Generator, ItemEvidence
from recloop.agents.generator.agent import pool_of
from recloop.agents.generator.machine import Candidate, slate_of
from recloop.agents.memory import Embedder, tfidf_svd
from recloop.recsys.data import Dataset
from recloop.recsys.data.bazaar import world
from recloop.recsys.data.groups import HeadConfig, head
from recloop.recsys.data.splits import leave_last_out
from scipy.sparse import csr_matrix

from tests.agents.contract import ran

HEAD = HeadConfig(by="count", value=3)


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Kite lovers and pot lovers; kites 4, 5 and pots 9, 10 are bought by one person each."""
    kites, pots = ["k0", "k1", "k2", "k3"], ["p0", "p1", "p2", "p3"]
    rows = [(f"a{u}", item) for u in range(4) for item in kites[: 3 + u % 2]]
    rows += [(f"b{u}", item) for u in range(4) for item in pots[: 3 + u % 2]]
    rows += [("a0", "k4"), ("a1", "k5"), ("b0", "p4"), ("b1", "p5")]
    titles = {f"k{n}": f"Wind Kite {name}" for n, name in enumerate("Alder Birch Cedar Dogwood Elder Fir".split())}
    titles |= {f"p{n}": f"Honey Pot {name}" for n, name in enumerate("Gold Hazel Iris Jade Khaki Lime".split())}
    items = pd.DataFrame({"item_id": list(titles), "title": list(titles.values())})
    return Dataset.of("shop", pd.DataFrame(rows, columns=["user_id", "item_id"]), items)


@pytest.fixture(scope="module")
def embed(data: Dataset) -> Embedder:
    return tfidf_svd(list(item_texts(data).values()), size=8)


def made(agent: Generator, data: Dataset, chat: Chat, embed: Embedder, folder: Path) -> tuple[Dataset, Any]:
    records = ran(agent, data, chat, embed, folder)
    assert set(records["status"]) == {"ok"}
    return agent.fold(data, records), records


def generated(data: Dataset) -> list[tuple[str, str]]:
    rows = data.interactions[data.interactions["origin"] == "generated"]
    users, items = data.users["user_id"].to_numpy(), data.items["item_id"].to_numpy()
    return sorted(zip(users[rows["user"]], items[rows["item"]], strict=True))


# --- choosing ---------------------------------------------------------------------------------------------------------

POOL = [Candidate(item=i, fit=fit, tail=i >= 10) for i, fit in [(1, 0.9), (2, 0.8), (3, 0.7), (11, 0.25), (12, 0.2)]]


def test_the_pool_is_what_sorting_every_item_gives() -> None:
    """Fits of a few values only, so that the border runs through equals, which need and then the code decide."""
    rng = np.random.default_rng(3)
    counts, tail = rng.integers(0, 6, 300), rng.random(300) < 0.7
    vectors = np.eye(4, dtype=np.float32)[rng.integers(4, size=300)]
    evidence = ItemEvidence(counts, tail, counts > 0, vectors, csr_matrix((300, 300), dtype=np.float32))
    recent, seen = np.array([7, 8, 9, 11]), np.array([7, 8, 9, 11, 40])
    fit = evidence.fit(recent, 0.5)
    open_ = [i for i in range(300) if counts[i] > 0 and i not in seen]
    for pool in (1, 9, 50, 250):
        found = pool_of(evidence, recent, seen, Generate(pool=pool))
        right = [
            item
            for side in (True, False)
            for item in sorted((i for i in open_ if tail[i] == side), key=lambda i: (-fit[i], -evidence.need[i], i))[
                :pool
            ]
        ]
        assert [one["item"] for one in found] == right
        assert [one["tail"] for one in found] == [bool(tail[item]) for item in right]


def test_alpha_brings_the_tail_before_what_fits_better() -> None:
    assert slate_of(POOL, Generate(slate_size=3, alpha=4, beta=1)) == [11, 1, 2]
    assert slate_of(POOL, Generate(slate_size=3, alpha=1, beta=1)) == [1, 2, 3]


def test_a_quota_keeps_places_for_the_tail_and_fills_up_with_the_head() -> None:
    assert slate_of(POOL, Generate(slate_size=4, quota=0.5)) == [11, 12, 1, 2]
    assert slate_of(POOL, Generate(slate_size=4, quota=1.0)) == [11, 12, 1, 2]
    assert slate_of(POOL, Generate(slate_size=4, quota=0.0)) == [1, 2, 3]


def test_more_proposals_than_are_shown_are_refused() -> None:
    with pytest.raises(ValidationError, match="cannot be more"):
        Generate(slate_size=2)
    with pytest.raises(ValidationError, match="free is for mode next_item"):
        Generate(mode="pairs", free=True)


def test_users_are_drawn_alike_whoever_else_is_there(data: Dataset, embed: Embedder) -> None:
    few = {task.key for task in Generator(Generate(users=3), embed).tasks(data)}
    less = data.rows(data.user != 7)
    assert few - {"user:b3"} <= {task.key for task in Generator(Generate(users=3), embed).tasks(less)}
    other = {task.key for task in Generator(Generate(users=3), embed, seed=1).tasks(data)}
    assert len(few) == len(other) == 3


# --- next_item --------------------------------------------------------------------------------------------------------


def test_who_likes_kites_is_given_the_kite_that_nobody_knows(data: Dataset, embed: Embedder, tmp_path: Path) -> None:
    agent = Generator(Generate(head=HEAD, proposals=2, slate_size=4), embed)
    folded, _ = made(agent, data, offline_chat(list(item_texts(data).values())), embed, tmp_path)
    rows = generated(folded)
    assert len(rows) == 14  # of k3, k4, k5 (p3, p4, p5), the tail, a1 (b1) holds two and so can be given one only
    assert {user[0] + item[0] for user, item in rows} <= {"ak", "bp"}
    assert not set(rows) & {("a0", "k4"), ("a1", "k5"), ("b0", "p4"), ("b1", "p5")}
    new = folded.interactions[folded.interactions["origin"] == "generated"]
    assert not head(data, HEAD)[new["item"]].any()
    assert (new["agent"] == "generate").all()
    assert (new["timestamp"].to_numpy() == data.interactions.groupby("user")["timestamp"].max()[new["user"]]).all()


def test_what_is_popular_anyway_is_dropped_and_counted(data: Dataset, embed: Embedder, tmp_path: Path) -> None:
    def everything(request: Request) -> Any:
        return {"reason": "", "picks": [{"item": h, "score": 1} for h in request.facts.values["options"]]}  # type: ignore[union-attr]

    chat = scripted_chat(lambda request: json.dumps(everything(request)))
    dropping = Generator(Generate(head=HEAD, proposals=8, slate_size=8, alpha=1), embed)
    _, records = made(dropping, data, chat, embed, tmp_path / "drop")
    told = dropping.report(data, records)
    assert told["dropped"]["popular"] > 0
    assert told["proposals"] == told["rows"] + told["dropped"]["popular"]
    keeping = Generator(Generate(head=HEAD, proposals=8, slate_size=8, alpha=1, popular="keep"), embed)
    _, records = made(keeping, data, chat, embed, tmp_path / "keep")
    assert keeping.report(data, records)["rows"] == told["proposals"]


def test_the_same_handle_twice_is_repaired_not_recorded(data: Dataset, embed: Embedder, tmp_path: Path) -> None:
    twice = '{"reason": "", "picks": [{"item": "A", "score": 1}, {"item": "A", "score": 1}]}'
    records = ran(Generator(Generate(head=HEAD), embed), data, scripted_chat(lambda _: twice), embed, tmp_path)
    assert set(records["status"]) == {"invalid"}
    assert "items more than once: A" in records["error"].iloc[0]


# --- free titles ------------------------------------------------------------------------------------------------------

INVENTED = ("Storm Lantern Prime", "Wind Castle Deluxe", "Honey Moon Express", "Model Railway Kit", "Pot of Silver")


def gpt_like(titles: list[str]) -> Chat:
    """Names 10 % titles as they stand, 20 % with a slip of the pen, and 70 % of its own invention."""
    rng = np.random.default_rng(4)

    def answer(request: Request) -> str:
        said = []
        for place in range(10):
            title = titles[int(rng.integers(len(titles)))]
            if place == 0:
                said.append(title)
            elif place <= 2:
                said.append(title.replace("Model", "Modle").replace("Size", "Sizze"))
            else:
                said.append(f"{INVENTED[place % len(INVENTED)]} {'one two three four five'.split()[place % 5]}")
        return json.dumps({"reason": "", "titles": [{"title": title, "score": 0.9} for title in said]})

    return scripted_chat(answer)


def test_no_invented_title_becomes_an_interaction_and_near_misses_do(tmp_path: Path) -> None:
    """A log of a scripted model: 10 % exact, 20 % near misses, 70 % invented, over a catalogue of 400 titles."""
    train = leave_last_out(world(0, users=60, items=400).dataset).train
    words = "amber birch cedar delta ember fjord grove heron inlet jetty".split()
    titles = [f"{words[n // 40 % 10]} {words[n % 10].title()} Model {n}" for n in range(train.n_items)]
    train = train.with_(items=train.items.assign(title=titles))
    embed = tfidf_svd(list(item_texts(train).values()))
    agent = Generator(Generate(free=True, proposals=10, slate_size=10, head=HeadConfig(by="count", value=10**6)), embed)
    records = ran(agent, train, gpt_like(titles), embed, tmp_path)
    told = agent.report(train, records)
    known = int((train.item_counts > 0).sum())
    assert told["proposals"] == 600
    assert told["not_grounded"]["unmatched"] >= 420
    assert told["grounded"]["exact"] >= 60 * known / 400 * 0.8
    assert told["grounded"]["fuzzy"] >= 120 * known / 400 * 0.8
    assert sum(told["grounded"].values()) + sum(told["not_grounded"].values()) == 600
    assert told["rows"] == sum(told["grounded"].values()) - sum(told["dropped"].values())
    for text in records["payload"]:
        payload = json.loads(text)
        for row in payload["rows"]:
            assert normal_like(row["title"], titles[row["item"]])
        assert not [t for t in INVENTED for row in payload["rows"] if row["title"].startswith(t)]


def normal_like(said: str, title: str) -> bool:
    return said.replace("Modle", "Model") == title


def test_an_item_that_train_does_not_know_is_not_grounded(embed: Embedder, data: Dataset, tmp_path: Path) -> None:
    without = data.rows(data.item != 4)  # one of the kites has no interaction left
    title = str(data.items["title"].iat[4])
    said = json.dumps({"reason": "", "titles": [{"title": title, "score": 1}]})
    agent = Generator(Generate(free=True, head=HEAD), embed)
    told = agent.report(without, ran(agent, without, scripted_chat(lambda _: said), embed, tmp_path / "known"))
    assert told["rows"] == 0
    live = Generator(Generate(free=True, head=HEAD, unseen=True), embed)
    assert live.report(without, ran(live, without, scripted_chat(lambda _: said), embed, tmp_path / "live"))["rows"] > 0


# --- cold_item and pairs ----------------------------------------------------------------------------------------------


def test_a_kite_that_one_person_has_is_offered_to_those_who_like_kites(
    data: Dataset, embed: Embedder, tmp_path: Path
) -> None:
    agent = Generator(Generate(mode="cold_item", head=HEAD, slate_size=4, set_size=2), embed)
    folded, records = made(agent, data, offline_chat(list(item_texts(data).values())), embed, tmp_path)
    assert sorted(records["key"]) == ["item:k3", "item:k4", "item:k5", "item:p3", "item:p4", "item:p5"]
    rows = generated(folded)
    assert rows
    assert {user[0] + item[0] for user, item in rows} <= {"ak", "bp"}
    assert (records["calls"] == 2).all()


def test_the_least_known_items_come_first(data: Dataset, embed: Embedder) -> None:
    keys = [task.key for task in Generator(Generate(mode="cold_item", head=HEAD, items=4), embed).tasks(data)]
    assert sorted(keys) == ["item:k4", "item:k5", "item:p4", "item:p5"]


def test_favourite_and_least_favourite_become_a_pair(data: Dataset, embed: Embedder, tmp_path: Path) -> None:
    agent = Generator(Generate(mode="pairs", slate_size=4), embed)
    said = '{"reason": "", "favourite": "A", "least": "B"}'
    folded, records = made(agent, data, scripted_chat(lambda _: said), embed, tmp_path)
    assert len(folded.pairs) == len(records) == data.n_users
    assert (folded.pairs["preferred"] != folded.pairs["other"]).all()
    assert len(folded) == len(data)
    same = ran(agent, data, scripted_chat(lambda _: said.replace("B", "A")), embed, tmp_path / "same")
    assert set(same["status"]) == {"invalid"}


# --- fusion -----------------------------------------------------------------------------------------------------------


def test_quota_share_and_weights_act_and_real_rows_stay(data: Dataset, embed: Embedder, tmp_path: Path) -> None:
    chat = offline_chat(list(item_texts(data).values()))
    agent = Generator(Generate(head=HEAD, proposals=2, slate_size=4), embed)
    whole, records = made(agent, data, chat, embed, tmp_path)

    def fused(**fuse: Any) -> Dataset:
        return Generator(Generate(head=HEAD, proposals=2, slate_size=4, fuse=Fusion(**fuse)), embed).fold(data, records)

    def rows(given: Dataset) -> pd.DataFrame:
        return given.interactions[given.interactions["origin"] == "generated"]

    assert rows(fused(quota=1)).groupby("item").size().max() == 1
    best = rows(whole).sort_values("confidence").groupby("item")["confidence"].max()
    assert np.allclose(rows(fused(quota=1)).set_index("item")["confidence"].sort_index(), best.sort_index())
    assert len(rows(fused(share=0.1))) == int(0.1 * len(data))
    assert len(rows(fused(share=0))) == 0
    weighted = rows(fused(weight="confidence"))
    assert np.allclose(weighted["weight"], weighted["confidence"])
    real = whole.interactions[whole.interactions["origin"] == "raw"].reset_index(drop=True)
    columns = list(data.interactions.columns)
    pd.testing.assert_frame_equal(real[columns], data.interactions)
