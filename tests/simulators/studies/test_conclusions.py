"""What the report concludes of a table: a gain is the agents' doing only where the controls do not have it."""

import pandas as pd
import pytest
from recloop.simulators.studies.report import conclusions


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
    ("differences", "said"),
    [
        ([("raw", 0.02, 0.01, 0.03), ("random_edit", 0.02, 0.01, 0.03)], "helps, beyond raw and beyond every control"),
        ([("raw", 0.02, 0.01, 0.03)], "no control of the same size was trained"),
        ([("raw", 0.02, 0.01, 0.03), ("random_edit", 0.0, -0.01, 0.01)], "not the agents' doing"),
        ([("raw", -0.02, -0.03, -0.01)], "HARMS"),
        ([("raw", 0.0, -0.01, 0.01)], "no gain on raw beyond the interval"),
        ([("raw", 0.0, 0.0, 0.0)], "unchanged"),
    ],
)
def test_a_gain_is_credited_only_beside_controls(differences, said):
    (sentence,) = conclusions(table(*differences), "ndcg@10")
    assert said in sentence
