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
