"""Items without words are never doubted for their words."""

import numpy as np
import pandas as pd
from recloop.recsys.data import Dataset
from recloop.recsys.denoising.coherence import text_doubt


def test_items_without_words_are_neutral_and_do_not_weigh_on_others() -> None:
    rows = pd.DataFrame({"user_id": ["u"] * 4, "item_id": list("abcd")})
    data = Dataset.of("four", rows)
    doubts = text_doubt(data, ["red chess set", "red chess set", "", "--"])
    assert np.allclose(doubts, 0)
    assert np.allclose(text_doubt(data, [""] * 4), 0.5)


def test_titles_without_spaces_are_compared_by_signs_or_by_character_n_grams() -> None:
    rows = pd.DataFrame({"user_id": ["u"] * 4, "item_id": list("abcd")})
    data = Dataset.of("four", rows)
    for texts in (
        ["红色国际象棋", "蓝色国际象棋", "绿色国际象棋", "水泥桶"],
        ["redchess", "bluechess", "greychess", "mud"],
    ):
        doubts = text_doubt(data, texts)
        assert doubts[3] > doubts[:3].max()
    assert np.allclose(text_doubt(data, ["ab", "cd", "ef", "gh"]), 0.5)
