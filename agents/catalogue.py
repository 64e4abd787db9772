"""An item's facts as one line of text: what every agent shows and every embedder reads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..recsys.data import Dataset

DESCRIPTION_WORDS = 40
NO_TEXTS = (
    "no item has a title, categories or a description, and this step judges by them; name the table of items in "
    "data.items, or leave the step out"
)
"""Clause for where a step that reads texts has none."""


def has_text(data: Dataset) -> npt.NDArray[np.bool_]:
    """(n_items,) whether a letter or digit stands in the item's title, categories or description.

    Nothing is judged, asked or proposed about the other items: all that could be shown of them is their id.
    """
    present = np.zeros(data.n_items, bool)
    for name in ("title", "categories", "description"):
        if name in data.items:
            column = data.items[name].fillna("").astype(str)
            present |= column.str.contains(r"[^\W_]", regex=True).to_numpy(bool)
    return present


def item_texts(data: Dataset, *, hide_titles: bool = False) -> dict[int, str]:
    """Item code -> "title | categories | description", without the parts that are empty.

    The description is cut after 40 words. `hide_titles` leaves out what a model could have memorised and names an item
    by its code. An item without any text is "item <its id>", so that no two items look alike.
    """
    items = data.items
    columns = [items["title"], items["categories"]]
    if "description" in items:
        columns.append(items["description"].fillna("").astype(str))
    texts = {}
    for code, (item_id, title, *rest) in enumerate(zip(items["item_id"], *columns, strict=True)):
        parts = [f"item {code}" if hide_titles else title, *(" ".join(p.split()[:DESCRIPTION_WORDS]) for p in rest)]
        texts[code] = " | ".join(part for part in parts if part) or f"item {item_id}"
    return texts
