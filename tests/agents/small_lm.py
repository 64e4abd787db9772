"""A small language model for tests, made in a second: random weights, a tokenizer over bazaar's titles."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from recloop.recsys.data.bazaar import World, world
from recloop.recsys.data.dataset import Dataset

from lab.small_lm import make_small_model, texts_of

CHAT_TEMPLATE = (
    "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)


@lru_cache(maxsize=4)
def small_world(users: int = 60) -> World:
    return world(0, users=users)


def sides(users: int = 60) -> tuple[Dataset, Dataset, Dataset]:
    """Train, validation and test side of a world by users: nobody is on two sides."""
    data = small_world(users).dataset
    part = data.user % 10
    return data.rows(part < 8), data.rows(part == 8), data.rows(part == 9)


def made(folder: Path, *, chat_template: str | None = None, **sizes: Any) -> Path:
    """A model in `folder`, of two layers of 32 unless told otherwise."""
    given = {"hidden_size": 32, "feed_forward": 64, "layers": 2, "vocabulary": 700, **sizes}
    make_small_model(folder, texts_of(sides()[0]), **given)
    if chat_template is not None:
        (folder / "chat_template.jinja").write_text(chat_template, encoding="utf-8")
    return folder
