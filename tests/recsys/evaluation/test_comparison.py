"""Intervals that cover as often as they say, tests that agree with scipy, and the study's table."""

import numpy as np
import pandas as pd
import pytest
from recloop.errors import DataError
from recloop.recsys.evaluation import as_markdown, compare, holm, interval, paired, wilcoxon
from scipy import stats


def test_the_same_rng_gives_the_same_interval_and_another_gives_another() -> None:
    a, b = np.random.default_rng(0).random((2, 200))
    first = paired(a, b, np.random.default_rng([1, 2]))
    assert first == paired(a, b, np.random.default_rng([1, 2]))
    assert first != paired(a, b, np.random.default_rng([1, 3]))
    assert first.low < first.mean < first.high
    assert first.mean == pytest.approx((a - b).mean())


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    found = [interval(rng.exponential(size=150) - 1, rng, 400) for _ in range(300)]
    covered = np.mean([one.low <= 0 <= one.high for one in found])
    assert 0.91 <= covered <= 0.98
    # The p-value and the interval are the same test.
    agree = np.mean([(one.p < 0.05) == (not one.low <= 0 <= one.high) for one in found])
    assert agree > 0.97


@pytest.mark.parametrize(("resample", "least", "most"), [(True, 0.93, 1.0), (False, 0.5, 0.92)])
def test_where_seeds_differ_only_intervals_over_seeds_cover_the_truth(resample, least, most) -> None:
    """No variant does anything, but every training has luck of its own, the same for all users."""
    rng = np.random.default_rng(6)
    covered = []
    for _ in range(150):
        values = rng.normal(0, 0.05, (3, 100)) + rng.normal(0, 0.005, (3, 1))
        found = interval(values, rng, 400, resample_seeds=resample)
        covered.append(found.low <= 0 <= found.high)
    assert least <= np.mean(covered) <= most


def test_undefined_users_are_left_out_in_pairs() -> None:
    a, b = np.array([1.0, np.nan, 3.0, 4.0]), np.array([0.0, 1.0, np.nan, 2.0])
    found = paired(a, b, np.random.default_rng(0))
    assert (found.n, found.mean) == (2, 1.5)
    nobody = paired([np.nan], [1.0], np.random.default_rng(0))
    assert nobody.n == 0
    assert np.isnan(nobody.mean)
    assert np.isnan(nobody.p)


def test_drawing_the_seeds_again_widens_the_interval_when_seeds_differ() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(400)
    shifted = np.stack([base + shift + rng.normal(0, 0.01, 400) for shift in (-0.2, 0.0, 0.3)])
    users_only = paired(shifted, np.stack([base] * 3), np.random.default_rng(1))
    both = paired(shifted, np.stack([base] * 3), np.random.default_rng(1), resample_seeds=True)
    assert both.mean == pytest.approx(users_only.mean)
    assert both.high - both.low > 5 * (users_only.high - users_only.low)
    with pytest.raises(DataError, match="shapes"):
        paired(np.zeros(3), np.zeros(4), rng)


def test_wilcoxon_agrees_with_scipy_and_knows_equality() -> None:
    a, b = np.random.default_rng(2).random((2, 80))
    assert wilcoxon(a, b) == pytest.approx(stats.wilcoxon(a, b).pvalue)
    assert wilcoxon(a, a + 1e-15) == 1
    assert np.isnan(wilcoxon([np.nan], [1.0]))


def test_holm_by_hand() -> None:
    corrected = holm([0.01, 0.04, np.nan, 0.03, 0.6])
    np.testing.assert_allclose(corrected, [0.04, 0.09, np.nan, 0.09, 0.6])


def study(rng: np.random.Generator, gain: float = 0.1) -> pd.DataFrame:
    """Two models, four variants, three seeds; only `refined` differs from raw, by `gain`."""
    rows = []
    taste = rng.random(200)
    for model in ("bpr", "sasrec"):
        for variant in ("refined", "raw", "random_edit", "popularity_edit"):
            for seed in range(3):
                value = taste + (gain if variant == "refined" else 0) + rng.normal(0, 0.1, 200)
                for group, users in (("all", slice(None)), ("cold", slice(0, 40))):
                    user = np.arange(200)[users]
                    frame = {"model": model, "variant": variant, "seed": seed, "user": user}
                    rows.append(pd.DataFrame(frame | {"group": group, "metric": "ndcg@10", "value": value[users]}))
    return pd.concat(rows, ignore_index=True)


def test_the_table_holds_every_variant_against_raw_and_the_controls() -> None:
    values = study(np.random.default_rng(0))
    table = compare(values, controls=("random_edit", "popularity_edit"))
    assert len(table) == 2 * 2 * (4 + 3 + 2)
    refined = table[(table["variant"] == "refined") & (table["against"] != "")]
    assert (refined["low"] > 0.03).all()
    assert (refined["p_holm"] < 0.01).all()
    assert refined["against"].unique().tolist() == ["raw", "random_edit", "popularity_edit"]
    assert (refined["p_holm"] >= refined["p"]).all()
    none = table[table["variant"].isin(["random_edit", "popularity_edit"]) & (table["against"] == "raw")]
    assert (none["p_holm"] > 0.05).all()
    assert table[table["group"] == "cold"]["n"].unique().tolist() == [40]
    assert table["seeds"].unique().tolist() == [3]


def test_the_table_says_what_paired_says() -> None:
    values = study(np.random.default_rng(0))
    row = compare(values, seed=5).query("model == 'bpr' and variant == 'refined' and against == 'raw'").iloc[0]
    wide = values.query("model == 'bpr' and group == 'all'").pivot_table("value", "user", ["variant", "seed"])
    a, b = wide["refined"].to_numpy().T, wide["raw"].to_numpy().T
    spread = paired(a, b, np.random.default_rng(0), resample_seeds=True)
    assert row["difference"] == pytest.approx(spread.mean)
    assert row["low"] == pytest.approx(spread.low, abs=0.003)


def test_the_p_of_a_row_and_its_interval_never_contradict() -> None:
    """20 users gain .6, 120 lose .05: the mean rises while most signs fall, and p speaks of the mean."""
    rng = np.random.default_rng(0)
    for trial in range(40):
        gains, losses = rng.integers(5, 30), rng.integers(20, 200)
        difference = np.zeros(1000)
        difference[:gains], difference[gains : gains + losses] = 0.6, -0.05
        frames = [
            pd.DataFrame({"model": "bpr", "variant": name, "seed": 0, "user": np.arange(1000), "group": "all"}).assign(
                metric="ndcg@10", value=value
            )
            for name, value in (("raw", np.zeros(1000)), ("refined", difference))
        ]
        row = compare(pd.concat(frames), seed=trial).iloc[-1]
        assert (row["p"] <= 0.05) == (row["low"] > 0 or row["high"] < 0)


def test_a_family_is_one_metric_and_group_with_controls_apart() -> None:
    values = study(np.random.default_rng(0))
    both = pd.concat([values, values.assign(metric="recall@10")])
    controls = ("random_edit", "popularity_edit")
    one, two = compare(values, controls=controls), compare(both, controls=controls)
    pd.testing.assert_series_equal(one["p_holm"], two[two["metric"] == "ndcg@10"]["p_holm"].reset_index(drop=True))
    headline = one[(one["variant"] == "refined") & (one["group"] == "all") & (one["against"] != "")]
    np.testing.assert_allclose(headline["p_holm"], holm(headline["p"]))


def test_a_model_of_one_seed_is_held_against_every_seed_of_a_control() -> None:
    values = study(np.random.default_rng(0))
    values = values[(values["seed"] == 0) | (values["variant"] == "random_edit")]
    row = compare(values, controls=("random_edit",)).query("variant == 'refined' and against == 'random_edit'").iloc[0]
    assert row["seeds"] == 3
    table = values[(values["group"] == "all") & (values["model"] == "bpr")]
    means = table.groupby("variant")["value"].mean()
    assert row["difference"] == pytest.approx(means["refined"] - means["random_edit"])


def test_neither_row_order_nor_another_group_changes_a_figure() -> None:
    values = study(np.random.default_rng(0))
    whole = compare(values)
    shuffled = compare(values.sample(frac=1, random_state=1))
    key = ["model", "variant", "group", "against"]
    one, other = (table.sort_values(key, ignore_index=True) for table in (whole, shuffled))
    pd.testing.assert_frame_equal(one, other)
    alone = compare(values[values["group"] == "all"])
    columns = [*key, "mean", "difference", "low", "high", "p"]
    pd.testing.assert_frame_equal(whole[whole["group"] == "all"][columns].reset_index(drop=True), alone[columns])


def test_the_markdown_of_equal_tables_is_equal_and_reads_as_promised() -> None:
    values = study(np.random.default_rng(0))
    text = as_markdown(compare(values, controls=("random_edit",)))
    assert text == as_markdown(compare(values.copy(), controls=("random_edit",)))
    assert "### ndcg@10, cold" in text
    assert "| model | variant | users | seeds | mean | vs raw | vs random_edit |" in text
    line = next(line for line in text.splitlines() if line.startswith("| bpr | refined"))
    assert line.count("p=.00") == 2
    assert "| +0.1" in line or "| +0.09" in line
    raw = next(line for line in text.splitlines() if line.startswith("| bpr | raw"))
    assert raw.endswith("|  |  |")


def test_drawing_seeds_again_is_offered_in_the_table_too() -> None:
    values = study(np.random.default_rng(0))
    wide, narrow = compare(values), compare(values, resample_seeds=False)
    compared = narrow["against"] != ""
    np.testing.assert_allclose(wide["difference"][compared], narrow["difference"][compared])
    assert ((wide["high"] - wide["low"])[compared] > (narrow["high"] - narrow["low"])[compared]).mean() > 0.7


def test_what_cannot_be_compared_is_refused() -> None:
    values = study(np.random.default_rng(0))
    with pytest.raises(DataError, match="stands twice"):
        compare(pd.concat([values, values.head(1)]))
    with pytest.raises(DataError, match="variant 'raw'"):
        compare(values[values["variant"] != "raw"])
    with pytest.raises(DataError, match="lack the column"):
        compare(values.drop(columns="seed"))
