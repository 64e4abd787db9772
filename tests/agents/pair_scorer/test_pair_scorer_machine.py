"""The pair scorer at work: empty replies are refused, shaky rankings are asked for again, draws are averaged."""

import asyncio
import json

import numpy as np
import pandas as pd
import pytest
from recloop.agents.agent import Tools
from recloop.agents.catalogue import item_texts
from recloop.agents.chat.prices import Price
from recloop.agents.chat.scripted import scripted_chat
from recloop.agents.memory import ListMemory, tfidf_svd
from recloop.agents.pair_scorer import PairScorer, ScorePairs, pair_scores, plan
from recloop.agents.pair_scorer.candidates import covered
from recloop.agents.pair_scorer.config import Coverage
from recloop.agents.pair_scorer.machine import agreement
from recloop.agents.payloads import catalogue_digest
from recloop.errors import ReplyInvalid
from recloop.recsys.data.bazaar import world
from recloop.recsys.data.groups import ColdConfig
from recloop.recsys.data.splits import leave_last_out
from recloop.recsys.guidance import read_scores, write_scores
from recloop.simulators.batch.records import read_records
from recloop.simulators.batch.runner import run_batch

from lab.planted_scorer import Planted
from tests.agents.worlds import small_world

TRAIN = leave_last_out(small_world(users=20)).train
FEW = Coverage(source="popularity", candidates=6)


def reply(request, score):
    """Every option of a request, scored by a function of its handle and text."""
    options = request.facts.values["options"]
    return json.dumps({"reason": "", "ranking": [{"item": h, "score": score(h, text)} for h, text in options.items()]})


def scored(config, answer, user=0):
    """The payload of one user's task, and the requests that it took."""
    seen = []

    def kept(request):
        seen.append(request)
        return answer(request)

    agent = PairScorer(config)
    task = list(agent.tasks(TRAIN))[user]
    tools = Tools(scripted_chat(kept), ListMemory(tfidf_svd(list(item_texts(TRAIN).values()), size=4)))
    final = asyncio.run(agent.graph().ainvoke(dict(task.state), context=tools))
    return final["payload"], seen


def by_text(handle, text):
    return round(sum(map(ord, text)) % 97 / 97, 3)


def test_one_score_for_all_is_asked_to_be_mended_once():
    answers = iter([0.5, None])

    def answer(request):
        same = next(answers)
        return reply(request, lambda h, t: same if same is not None else by_text(h, t))

    payload, seen = scored(ScorePairs(coverage=FEW, draws=1), answer)
    assert len(seen) == 2
    assert "same score" in seen[1].messages[-1].content
    assert len(set(payload["scores"])) > 1


@pytest.mark.parametrize("score", [lambda h, t: 0.5, lambda h, t: 1.5, lambda h, t: -0.1])
def test_a_reply_that_stays_unusable_is_no_answer(score):
    with pytest.raises(ReplyInvalid):
        scored(ScorePairs(coverage=FEW, draws=1), lambda request: reply(request, score))


def test_a_handle_left_out_is_no_answer():
    def answer(request):
        whole = json.loads(reply(request, by_text))
        return json.dumps({"reason": "", "ranking": whole["ranking"][1:]})

    with pytest.raises(ReplyInvalid, match=r"left out|at least"):
        scored(ScorePairs(coverage=FEW, draws=1), answer)


def test_a_stable_ranking_is_asked_for_twice_in_two_orders_and_no_more():
    payload, seen = scored(ScorePairs(coverage=FEW), lambda request: reply(request, by_text))
    assert [request.draw for request in seen] == [0, 1]
    orders = [list(request.facts.values["options"].values()) for request in seen]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
    assert payload["agreement"] == 1.0
    assert set(payload["spread"]) == {0.0}


def test_a_ranking_that_follows_the_order_shown_is_asked_for_again_and_averaged():
    def first_is_best(request):
        names = list(request.facts.values["options"])
        return reply(request, lambda h, t: 1 - names.index(h) / len(names))

    payload, seen = scored(ScorePairs(coverage=FEW, most_draws=3), first_is_best, user=2)
    assert [request.draw for request in seen] == [0, 1, 2]
    texts = item_texts(TRAIN)
    for item, score, spread in zip(payload["items"], payload["scores"], payload["spread"], strict=True):
        given = [1 - list(request.facts.values["options"].values()).index(texts[item]) / 6 for request in seen]
        assert abs(score - np.mean(given)) < 1e-5
        assert abs(spread - np.std(given)) < 1e-5


def test_a_single_draw_has_no_spread():
    payload, seen = scored(ScorePairs(coverage=FEW, draws=1), lambda request: reply(request, by_text))
    assert len(seen) == 1
    assert payload["spread"] is None
    assert payload["agreement"] is None


def test_agreement_is_kendalls_tau_over_lists_and_draws():
    draws = [{0: 0.1, 1: 0.2, 2: 0.9, 3: 0.8}, {0: 0.3, 1: 0.1, 2: 0.7, 3: 0.6}]
    assert agreement(draws, [[0, 1], [2, 3]]) == 0.0
    assert np.isnan(agreement(draws[:1], [[0, 1]]))


# --- coverage ---------------------------------------------------------------------------------------------------------


def test_nobody_is_asked_about_what_they_have_and_nothing_twice():
    coverage = Coverage(source="mixed", candidates=8, diverse=4, cold=ColdConfig(), tail_users=3, tail=0.3)
    for user, items in covered(TRAIN, coverage, 0).items():
        assert len(set(items)) == len(items)
        assert not set(items) & set(TRAIN.history(user).tolist())


def test_the_pool_is_the_most_popular_items():
    pool = set(np.argsort(-TRAIN.item_counts, kind="stable")[:20].tolist())
    for items in covered(TRAIN, Coverage(source="popularity", candidates=6, pool=20), 0).values():
        assert set(items) <= pool


def test_cold_users_meet_more_categories_and_tail_items_meet_users():
    base = covered(TRAIN, FEW, 0)
    cold = covered(TRAIN, FEW.model_copy(update={"diverse": 8, "cold": ColdConfig(value=0.2)}), 0)
    more = [user for user in cold if len(cold[user]) > len(base[user])]
    assert len(more) == 4
    first = TRAIN.items["categories"].str.split(",").str[0]
    for user in more:
        extra = cold[user][6:]
        assert len(extra) == 8
        assert len(set(first.iloc[extra])) >= 7
    tail = covered(TRAIN, FEW.model_copy(update={"tail_users": 5, "tail": 0.2}), 0)
    popular = np.argsort(-TRAIN.item_counts, kind="stable")
    popular = popular[TRAIN.item_counts[popular] > 0]
    rare = popular[::-1][: round(0.2 * len(popular))]
    met = [sum(item in items for items in tail.values()) for item in rare.tolist()]
    assert min(met) >= 4
    before = [sum(item in items for items in base.values()) for item in rare.tolist()]
    assert sum(met) > sum(before)


def test_a_plan_says_what_a_coverage_costs_before_anybody_is_asked():
    wide = Coverage(candidates=30)
    told = plan(TRAIN, {"few": FEW, "wide": wide}, ScorePairs(list_size=10), Price(prompt=1.0, completion=2.0))
    few, more = told.to_dict("records")
    assert few["calls"] == 2 * 20
    assert few["most_calls"] == 3 * 20
    assert more["calls"] == 2 * 3 * 20
    assert more["pairs"] == 30 * 20
    assert more["usd"] > few["usd"] > 0
    assert np.isnan(plan(TRAIN, {"few": FEW})["usd"].iloc[0])


def test_the_calls_of_a_plan_are_those_that_are_made(tmp_path):
    coverage = Coverage(candidates=25, tail_users=2, tail=0.3)
    config = ScorePairs(coverage=coverage, list_size=10)
    memory = ListMemory(tfidf_svd(list(item_texts(TRAIN).values()), size=4))
    chat = scripted_chat(lambda request: reply(request, by_text))
    run_batch(PairScorer(config), TRAIN, lambda task: Tools(chat, memory), tmp_path / "run", seed=0)
    records = read_records(tmp_path / "run")
    [told] = plan(TRAIN, {"all": coverage}, config).to_dict("records")
    assert records["calls"].sum() == told["calls"]
    scores = pair_scores(records)
    assert len(scores) == told["pairs"]
    write_scores(scores, TRAIN, tmp_path / "scores.parquet")
    again = read_scores(tmp_path / "scores.parquet", TRAIN)
    np.testing.assert_array_equal(again.spread, scores.spread)


def test_scores_and_pairs_are_folded_and_an_earlier_step_keeps_its_own():
    agent = PairScorer(ScorePairs(coverage=FEW, pairs=3, pair_gap=0.1))
    payload = {"user_id": TRAIN.users["user_id"].iat[1], "catalogue": catalogue_digest(TRAIN), "items": [3, 4, 5]}
    payload |= {"scores": [0.9, 0.2, 0.6], "spread": None, "draws": 1, "agreement": None}
    columns = {"key": ["user:x"], "agent": ["score_pairs"], "status": ["ok"], "payload": [json.dumps(payload)]}
    records = pd.DataFrame(columns)
    folded = agent.fold(TRAIN, records)
    assert folded.pairs[["preferred", "other"]].to_numpy().tolist() == [[3, 4], [5, 4], [3, 5]]
    np.testing.assert_allclose(folded.pairs["weight"], [0.7, 0.4, 0.3], rtol=1e-5)
    assert folded.scores["score"].tolist() == pytest.approx([0.9, 0.2, 0.6])
    twice = agent.fold(folded, records)
    assert len(twice.scores) == 6


def test_the_planted_model_is_right_where_it_was_planted():
    truth = world(3, users=30, items=80, longest=20)
    train = leave_last_out(truth.dataset).train
    users, items = np.arange(30) < 10, np.arange(80) < 20
    planted = Planted(truth, train, users, items, noise=0.0)
    affinity = truth.affinity(np.arange(30)[:, None], np.arange(80)[None])
    told = np.array([[planted.score(u, i) for i in range(80)] for u in range(30)])
    assert np.corrcoef(told[5], affinity[5].argsort().argsort())[0, 1] > 0.99
    assert np.corrcoef(told[20, 20:], affinity[20, 20:].argsort().argsort())[0, 1] < -0.9
    assert planted.right(20, 5)
    assert not planted.right(20, 50)
