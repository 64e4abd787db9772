"""What the report concludes of a table: a gain is the agents' doing only where the controls do not have it."""

import pandas as pd
import pytest
from recloop.simulators.batch.summary import Summary
from recloop.simulators.studies.forest_plot import forest_plot
from recloop.simulators.studies.html_report import html_page
from recloop.simulators.studies.report import Verdict, conclusions


def table(*differences: tuple[str, float, float, float]) -> pd.DataFrame:
    """One model's refined row against others: name, difference, low, high."""
    rows = [
        {
            "model": "bpr", "metric": "ndcg@10", "variant": "refined", "against": against, "group": "all",
            "mean": 0.1, "difference": difference, "low": low, "high": high, "p": 0.01, "p_holm": 0.01,
        }
        for against, difference, low, high in differences
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("differences", "words"),
    [
        (
            [("raw", 0.02, 0.01, 0.03), ("random_edit", 0.02, 0.01, 0.03), ("popularity_edit", 0.02, 0.01, 0.03)],
            "helps, beyond raw and beyond every control",
        ),
        ([("raw", 0.02, 0.01, 0.03), ("random_edit", 0.02, 0.01, 0.03)], "none of them is matched on popularity"),
        ([("raw", 0.02, 0.01, 0.03)], "no control of the same size was trained"),
        ([("raw", 0.02, 0.01, 0.03), ("random_edit", 0.0, -0.01, 0.01)], "not the agents' doing"),
        ([("raw", -0.02, -0.03, -0.01)], "HARMS"),
        ([("raw", 0.0, -0.01, 0.01)], "no gain on raw beyond chance"),
        ([("raw", 0.0, 0.0, 0.0)], "unchanged"),
    ],
)
def test_a_gain_is_credited_only_beside_controls(differences, words):
    (sentence,) = conclusions(table(*differences), "ndcg@10")
    assert words in sentence


def test_words_follow_the_corrected_p_and_not_the_interval():
    rows = table(("raw", 0.02, 0.01, 0.03), ("random_edit", 0.02, 0.01, 0.03)).assign(p_holm=[0.08, 0.08])
    assert "no gain on raw beyond chance" in conclusions(rows, "ndcg@10")[0]
    rows = table(("raw", -0.02, -0.03, -0.01)).assign(p_holm=0.08)
    assert "HARMS" not in conclusions(rows, "ndcg@10")[0]


def test_a_fall_of_a_group_is_corrected_over_all_such_tests():
    raw = table(("raw", 0.0, -0.01, 0.01))
    falls = [
        table(("raw", -0.02, -0.03, -0.001)).assign(model=f"model {n}", group=group, p=0.04)
        for n in range(2)
        for group in ("head", "warm")
    ]
    assert not any("WARNING" in line for line in conclusions(pd.concat([raw, *falls]), "ndcg@10"))
    falls[0]["p"] = 0.001
    (warning,) = [line for line in conclusions(pd.concat([raw, *falls]), "ndcg@10") if "WARNING" in line]
    assert warning.startswith("WARNING model 0: head falls")


def summary(ok: int, tasks: int) -> Summary:
    return Summary(tasks, ok, tasks - ok, 0, tasks, 0, 0, 0, 0, 0, 0.0, 0, 0, 0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("ok", "words", "complete"),
    [
        (0, "NOTHING LEARNT setwise: 10 of 10 records unusable (100.0%)", False),
        (4, "setwise: 6 of 10 records unusable (60.0%); too few", False),
        (9, "setwise: 1 of 10 records unusable (10.0%)", True),
    ],
)
def test_unusable_records_are_stated_first_and_too_many_leave_a_verdict_incomplete(ok, words, complete):
    rows = table(("raw", 0.0, 0.0, 0.0))
    summaries = {"setwise": summary(ok, 10)}
    assert conclusions(rows, "ndcg@10", summaries)[0].startswith(words)
    verdict = Verdict("s", "f", "openai m", {}, {}, summaries, rows, pd.DataFrame(), "ndcg@10")
    assert verdict.complete is complete


def test_the_forest_plot_marks_what_stands_after_correction_and_escapes_names():
    rows = table(("raw", 0.02, 0.01, 0.03), ("<b>", -0.01, -0.02, 0.01)).assign(p_holm=[0.01, 0.4])
    figure = forest_plot(rows, "ndcg@10")
    assert figure.count('class="point"') == 1
    assert figure.count('class="point open"') == 1
    assert "<b>" not in figure
    assert forest_plot(rows.iloc[:0], "ndcg@10") == ""


def test_a_page_loads_nothing_and_shows_markup_of_titles_as_text():
    text = "# a <script>x</script>\n\n## Conclusions\n\n| a |\n|---|\n| 1 |\n"
    page = html_page("<i>", text, {"Conclusions": "<svg/>"})
    assert "<script>" not in page
    assert "<title>&lt;i&gt;</title>" in page
    assert "<h2>Conclusions</h2>\n<svg/>" in page
    assert "<table>" in page
    assert not any(link in page for link in ("http:", "https:", "src=", "url("))
