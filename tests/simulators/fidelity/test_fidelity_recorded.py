"""The reference rows and the recorded answers of a real model, through the suite's own code path."""

import json
from pathlib import Path

import pandas as pd
import pytest
from recloop.errors import DataError
from recloop.recsys.data import leave_last_out
from recloop.recsys.data.bazaar import bazaar
from recloop.simulators.fidelity.agentcf import agentcf
from recloop.simulators.fidelity.cases import Field
from recloop.simulators.fidelity.contamination import contamination
from recloop.simulators.fidelity.recorded import recorded_answers
from recloop.simulators.fidelity.taste import taste


def means(table: pd.DataFrame, variant: str, row: str) -> list[float]:
    part = table[table["variant"].eq(variant) & table["row"].eq(row)]
    return part.groupby("metric", sort=False)["value"].mean().tolist()


@pytest.mark.parametrize(
    ("kind", "popularity", "model"),
    [("dense", [0.185, 0.384, 0.518], [0.350, 0.595, 0.651]), ("sparse", [0.028, 0.052, 0.333], [0.49, 0.649, 0.714])],
)
async def test_the_published_lists_give_the_published_values(
    a_bench, shared_data: Path, replies: Path, kind, popularity, model
) -> None:
    folder = shared_data / "cds-100"
    async with a_bench(
        data={"source": "atomic", "path": folder / kind, "items": folder / "CDs.item"},
        loop=False,
        agentcf={
            "lists": folder / kind / f"CDs-100-user-{kind}.random",
            "recorded": {"asked": replies / f"cds_{kind}_ranking.jsonl"},
        },
    ) as bench:
        outcome = await agentcf(bench)
    for variant in ("given lists", "recorded"):
        assert means(outcome.values, variant, "random") == pytest.approx([0.1, 0.295, 0.454], abs=6e-4)
        assert means(outcome.values, variant, "popularity") == pytest.approx(popularity, abs=1.1e-3)
    assert means(outcome.values, "recorded", "asked") == pytest.approx(model, abs=6e-4)
    own = 26 if kind == "dense" else 0
    assert any(f"{own} of the 900 other candidates stand in the user's own known history" in n for n in outcome.notes)
    table = outcome.table()
    asked = table[table["row"].eq("asked") & table["metric"].eq("ndcg@10")].iloc[0]
    assert asked["against"] == ("ease" if kind == "dense" else "content")
    assert asked["difference_low"] > 0
    assert asked["n"] == 100


@pytest.mark.slow
async def test_the_recorded_taste_scores_keep_their_lead_where_titles_are_hidden(a_bench, shared_data, replies) -> None:
    recorded = {
        "titles": replies / "ml_latest_small_taste.jsonl",
        "masked": replies / "ml_latest_small_taste_masked.jsonl",
    }
    async with a_bench(
        data={
            "source": "movielens",
            "path": shared_data / "ml-latest-small" / "ml-latest-small.zip",
            "split": {"leave_last_out": {"valid": 0, "test": 10}},
        },
        loop=False,
        users=10,
        taste={"ratios": (), "recorded": recorded},
        contamination={"users": 10, "bazaar_users": 0},
    ) as bench:
        outcome = await taste(bench)
        audit = await contamination(bench)
    table = outcome.table()
    auc = table[table["metric"].eq("auc")].set_index("row")["mean"]
    assert auc["titles"] == pytest.approx(0.861, abs=6e-4)
    assert auc["masked"] == pytest.approx(0.806, abs=6e-4)
    assert auc["popularity"] == pytest.approx(0.455, abs=1e-3)
    assert auc["ease"] == pytest.approx(0.69, abs=0.01)
    assert auc["content"] == pytest.approx(0.72, abs=0.01)
    assert auc["content + ease"] == pytest.approx(0.75, abs=0.015)
    assert table[table["row"].eq("titles") & table["metric"].eq("auc")]["difference_low"].iloc[0] > 0
    assert any("recorded: titles add +0.055 [+0.03" in note for note in audit.notes)


def test_a_recorded_line_that_fits_nothing_is_named(tmp_path: Path) -> None:
    field = Field.of(leave_last_out(bazaar(0, 30, 130), valid=0, test=3))
    user = field.known.users["user_id"].iat[0]
    item = field.known.items["item_id"].iat[0]
    path = tmp_path / "asked.jsonl"
    path.write_text(json.dumps({"user": str(user), "items": [str(item), "nothing"], "score": [1, 2]}) + "\n")
    with pytest.raises(DataError, match=r"asked\.jsonl, line 1: KeyError 'nothing'"):
        recorded_answers({"asked": path}, field, "score")
    path.write_text(json.dumps({"user": str(user), "items": [str(item)], "score": [1, 2]}) + "\n")
    with pytest.raises(DataError, match="items and scores differ in number"):
        recorded_answers({"asked": path}, field, "score")
    held = field.known.items["item_id"].iat[int(field.held.history(0)[0])]
    path.write_text(json.dumps({"user": str(user), "items": [str(held)], "score": [1]}) + "\n")
    with pytest.raises(DataError, match="all are held out"):
        recorded_answers({"asked": path}, field, "score")
