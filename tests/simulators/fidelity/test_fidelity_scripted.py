"""Agents that are known to be good, bad or biased are exposed as what they are."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from recloop.agents.chat.loopback import Loopback
from recloop.agents.chat.scripted import scripted_chat
from recloop.recsys.evaluation import paired
from recloop.simulators.fidelity.agentcf import agentcf
from recloop.simulators.fidelity.position import ALL, ONE, position
from recloop.simulators.fidelity.ratings import ratings
from recloop.simulators.fidelity.rows import LOOP, ONCE
from recloop.simulators.fidelity.taste import taste


def ranking(scores: dict[str, float]) -> str:
    best = sorted(scores, key=lambda handle: -scores[handle])
    return json.dumps({"reason": "so", "ranking": [{"item": h, "score": round(scores[h], 4)} for h in best]})


def options(request) -> dict[str, str]:
    return request.facts.values["options"]


def luck(text: str) -> float:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32


def by_place(request) -> str:
    return ranking({handle: 1 - place / 100 for place, handle in enumerate(options(request))})


def mean(outcome, row: str, metric: str, variant: str | None = None) -> float:
    values = outcome.values[outcome.values["row"].eq(row) & outcome.values["metric"].eq(metric)]
    if variant is not None:
        values = values[values["variant"].eq(variant)]
    return float(values["value"].mean())


async def test_an_agent_that_answers_by_position_is_exposed(a_bench) -> None:
    async with a_bench(by_place, users=60, loop=False) as bench:
        outcome = await position(bench)
        ranked = await agentcf(bench)
    assert mean(outcome, ONCE, "position share") >= 0.9
    assert mean(outcome, ONCE, "agreement (tau)") < 0.2
    assert mean(outcome, "content", "position share") < 0.05
    assert mean(outcome, "content", "agreement (tau)") == pytest.approx(1)
    assert mean(ranked, ONCE, "ndcg@10") == pytest.approx(0.454, abs=0.08)


async def test_an_agent_that_answers_by_popularity_is_exposed_on_matched_negatives(a_bench) -> None:
    async with a_bench(users=200, loop=False, taste={"ratios": (1,)}) as bench:
        counts = {bench.texts[item]: float(n) for item, n in enumerate(bench.split.train.item_counts)}
        top = max(counts.values())

        def by_popularity(request) -> str:
            return ranking({handle: counts[text] / top for handle, text in options(request).items()})

        bench.opened.chat = scripted_chat(by_popularity)
        outcome = await taste(bench)
    assert mean(outcome, ONCE, "auc", "1:1 popularity") == pytest.approx(0.5, abs=0.03)
    assert mean(outcome, ONCE, "auc", "1:1 uniform") > 0.6


async def test_an_agent_with_the_right_answer_scores_one(a_bench) -> None:
    async with a_bench(users=40, loop=False, taste={"ratios": (1, 9)}) as bench:
        held = {
            tuple(bench.shown_history(user)): {bench.texts[int(i)] for i in bench.field.held.history(user)}
            for user in bench.users(10)
        }

        def truth(request) -> str:
            taken = held[tuple(request.facts.values["query"].split("\n"))]
            return ranking({handle: float(text in taken) for handle, text in options(request).items()})

        bench.opened.chat = scripted_chat(truth)
        tasted, ranked = await taste(bench), await agentcf(bench)
    for variant in ("1:1 uniform", "1:9 uniform", "1:1 popularity", "1:9 popularity"):
        for metric in ("auc", "accuracy", "precision", "recall", "f1"):
            assert mean(tasted, ONCE, metric, variant) == pytest.approx(1)
    assert mean(ranked, ONCE, "ndcg@1") == pytest.approx(1)


async def test_averaging_orders_mends_an_agent_that_is_biased_by_position(a_bench) -> None:
    async with a_bench(users=80, loop=False) as bench:
        taken = {bench.texts[int(bench.field.held.history(user)[0])] for user in bench.users(1)}

        def tempted(request) -> str:
            """Knows the truth somewhat, likes what stands first more."""
            shown = options(request)
            return ranking(
                {
                    handle: 0.3 * (text in taken) + 0.2 * luck(text) + 0.5 * (1 - place / len(shown))
                    for place, (handle, text) in enumerate(shown.items())
                }
            )

        bench.opened.chat = scripted_chat(tempted)
        outcome = await position(bench)
    values = outcome.values[outcome.values["row"].eq(ONCE)].pivot(index="user", columns="metric", values="value")
    gain = paired(values[f"ndcg@10, {ALL}"], values[f"ndcg@10, {ONE}"], np.random.default_rng(0))
    assert gain.low > 0
    assert 0.2 < mean(outcome, ONCE, "position share") < 0.9
    costs = {entry["variant"]: entry["calls"] for entry in outcome.costs}
    assert costs[ALL] == 4 * costs[ONE]
    assert any("averaging 4 orders changes NDCG@10 by +" in note for note in outcome.notes)


async def test_a_loop_that_does_not_beat_one_question_is_said_not_to_be_worth_its_calls(a_bench) -> None:
    async with a_bench(users=20) as bench:
        outcome = await agentcf(bench)
    [verdict] = outcome.verdicts(draws=200)
    assert verdict["metric"] == "ndcg@10"
    assert verdict["n"] == 20
    assert verdict["verdict"] == ("worth it" if verdict["low"] > 0 else "not worth its calls")
    assert {ONCE, LOOP} <= set(outcome.values["row"])
    assert next(c for c in outcome.costs if c["row"] == LOOP)["walk_calls"] > 5


async def test_every_user_has_walked_whatever_was_asked_before(a_bench) -> None:
    async with a_bench(users=12) as bench:
        some, all_, few = bench.users(10, 5), bench.users(1), bench.users(1)[3:6]
        for users in (some, all_, few):
            walked = await bench.walk(users)
            assert sorted(walked["key"]) == sorted(bench.key(user) for user in users)
        assert len(bench.walks) == 2
        again = replace(bench, walks={}, walked={})
        assert (await again.walk(all_))["payload"].tolist() == (await bench.walk(all_))["payload"].tolist()


async def test_a_server_is_asked_as_any_provider_and_random_answers_are_seen_to_be_random(a_bench) -> None:
    async with Loopback(faults={"error_500": 0.05, "malformed": 0.02}) as server:
        llm = {"provider": "openai", "model": "none", "base_url": server.url}
        async with a_bench(users=25, llm=llm) as bench:
            ranked = await agentcf(bench)
    assert server.counts["ok"] > 25 * 5
    table = ranked.table(draws=200)
    for row in (ONCE, LOOP):
        found = table[table["row"].eq(row) & table["metric"].eq("ndcg@10")].iloc[0]
        assert found["n"] == 25
        assert found["low"] < 0.454 + 0.05
        assert found["difference_high"] < 0


async def test_replies_that_cannot_be_used_are_missing_and_counted(a_bench) -> None:
    def silent(request) -> str:
        return "no" if luck(request.messages[-1].content) < 0.5 else by_place(request)

    async with a_bench(silent, users=30, loop=False) as bench:
        outcome = await agentcf(bench)
    [spent] = outcome.costs
    values = outcome.values[outcome.values["row"].eq(ONCE) & outcome.values["metric"].eq("ndcg@10")]["value"]
    assert 0 < spent["missing"] < 30
    assert values.isna().sum() == spent["missing"]


async def test_kind_ratings_are_mended_by_calibration(a_bench, shared_data) -> None:
    def kind(request) -> str:
        shown = request.facts.values
        given = {h: 4.5 if luck(text) < 0.7 else 5.0 for h, text in shown["options"].items()}
        return json.dumps({"reason": "so", "ratings": [{"item": h, "rating": r} for h, r in given.items()]})

    data = {
        "source": "atomic",
        "path": shared_data / "ml-100k" / "ml-100k.inter",
        "split": {"leave_last_out": {"test": 10}},
    }
    async with a_bench(kind, data=data, users=60, loop=False) as bench:
        outcome = await ratings(bench)
    before, error, spread = "as predicted", "calibrated for error", "calibrated for spread"
    assert mean(outcome, ONCE, "bias", before) > 0.7
    assert abs(mean(outcome, ONCE, "bias", error)) < 0.3
    for metric in ("rmse", "mae"):
        assert mean(outcome, ONCE, metric, error) < mean(outcome, ONCE, metric, before)
    for metric in ("tv", "js"):
        assert mean(outcome, ONCE, metric, spread) < mean(outcome, ONCE, metric, error)
        assert mean(outcome, ONCE, metric, spread) < mean(outcome, ONCE, metric, before)
    assert mean(outcome, "user + item mean", "rmse", error) < mean(outcome, ONCE, "rmse", before)
