"""`plan`: estimates calls, tokens and dollars of coverages before any call."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ... import prompts
from ...recsys.data import Dataset
from ..catalogue import item_texts
from ..chat.handles import handles_for
from ..chat.prices import Price
from ..chat.types import Usage
from .candidates import covered
from .config import Coverage, ScorePairs
from .replies import scores_reply

BYTES_A_TOKEN = 4
"""Typical of English text."""
SAMPLE = 20
"""Users whose prompts are rendered to estimate their length."""
REASON = "In a sentence or two: the person likes this kind of thing and has lately turned to that one. " * 2
COLUMNS = ("coverage", "users", "pairs", "calls", "most_calls", "prompt_tokens", "completion_tokens", "usd", "most_usd")


def plan(
    data: Dataset, coverages: Mapping[str, Coverage], config: ScorePairs = ScorePairs(), price: Price | None = None,
    seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """One row per coverage (`COLUMNS`): its cost with `config`'s list size and draws.

    data: the train side. Lengths are estimated from the prompts of `SAMPLE` users, sampled by the seed, and a typical
    reply; tokens are bytes / 4, without the reply's schema. `most_` columns assume that all draws disagree. Dollars
    are NaN without a price.
    """
    texts = item_texts(data)
    rows = []
    for name, coverage in coverages.items():
        lists = covered(data, coverage, seed)
        calls = {user: -(-len(items) // config.list_size) for user, items in lists.items()}
        once = sum(calls.values())
        users = np.random.default_rng([seed, 5]).permutation(sorted(lists))[:SAMPLE].tolist()
        lengths = [_lengths(data, user, lists[user], calls[user], texts, config) for user in users]
        prompt_size, answered = (
            (float(np.mean(side)) if lengths else 0.0 for side in zip(*lengths, strict=True)) if lengths else (0.0, 0.0)
        )
        tokens = Usage(round(once * config.draws * prompt_size), round(once * config.draws * answered))
        usd = price.of(tokens) if price is not None else None
        rows.append(
            {
                "coverage": name,
                "users": len(lists),
                "pairs": sum(len(items) for items in lists.values()),
                "calls": once * config.draws,
                "most_calls": once * (config.most_draws if config.draws > 1 else 1),
                "prompt_tokens": tokens.prompt_tokens,
                "completion_tokens": tokens.completion_tokens,
                "usd": np.nan if usd is None else usd,
                "most_usd": np.nan
                if usd is None
                else usd * (config.most_draws / config.draws if config.draws > 1 else 1),
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _lengths(
    data: Dataset, user: int, items: list[int], calls: int, texts: Mapping[int, str], config: ScorePairs
) -> tuple[float, float]:
    """Tokens of one prompt of a user and of its reply."""
    first_list = items[: -(-len(items) // calls)]
    names = handles_for(len(first_list))
    options = {handle: texts[item] for handle, item in zip(names, first_list, strict=True)}
    history = [texts[int(item)] for item in data.history(user)][-config.history :]
    prompt = prompts.load("score_pairs/score").render(history=history, options=options)
    ranking = [{"item": name, "score": round(place / len(names), 2)} for place, name in enumerate(names)]
    reply = scores_reply(names).model_validate({"reason": REASON, "ranking": ranking})
    prompt_bytes = len((prompt.system + prompt.user).encode())
    return prompt_bytes / BYTES_A_TOKEN, len(reply.model_dump_json().encode()) / BYTES_A_TOKEN
