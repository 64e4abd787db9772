"""An item's facts as one line of text: what every agent shows and every embedder reads."""

from __future__ import annotations

from ..recsys.data import Dataset

DESCRIPTION_WORDS = 40


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
