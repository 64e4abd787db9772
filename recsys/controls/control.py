"""Control edits: as many changes as an agent made, of the same kinds, chosen without reading any text.

A gain of refined data over raw data proves little: dropping, adding or re-weighting rows regularises whatever the rows.
`random_edit` makes the same changes to random rows of like place and activity, with random items. `popularity_edit`
makes them to rows, items and users that a content-free rule could not tell from the edited ones:

| an agent's edit           | random_edit                               | popularity_edit                          |
|---------------------------|-------------------------------------------|------------------------------------------|
| rows removed              | rows of like place and activity           | of like popularity, too                  |
| items replaced in a row   | in such rows, unseen random items instead | in like rows, items as popular           |
| rows added                | same users and times, unseen random items | unseen items as popular (within 5 %)     |
| weights changed           | on rows of like place and activity        | of like popularity, too                  |
| preference pairs          | same users; own item before an unseen one | both items as popular                    |
| scores of pairs           | same pairs, the scores permuted           | among pairs whose items are as popular   |
| item vectors, `semantics` | moved to random items                     | to items of the same popularity          |
| user vectors, `profile`   | moved to random users                     | to users of the same activity            |

Popularity is the number of interactions in `raw`; place is the position from the end of the user's history (the five
newest singly, then in steps of a factor); activity is the length of the history, in steps of the same factor: 1.25, or
as much more as a small dataset needs to have 50 like rows. Rows of equal place and activity exchange their edits: all
of them for `random_edit`, those within a window of about 10 neighbours in popularity rank for `popularity_edit`. A
sample may fall on a row that the agent chose itself: a control that avoided these would be worse than chance.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..data.dataset import INTERACTION_COLUMNS, PAIR_COLUMNS, SCORE_COLUMNS, Dataset, Longs
from .edits import (
    TEXTS,
    Bools,
    RowEdits,
    edit_size,
    new_pairs,
    new_scores,
    row_edits,
    texts_changed,
    texts_of,
    vectors_changed,
)
from .strata import Matching, UnseenItems, matched, permutation_within, placed


def random_edit(raw: Dataset, refined: Dataset, rng: np.random.Generator) -> Dataset:
    """`raw` with the edits that led to `refined`, on rows of like place and activity and on random items and users.

    Touched rows have origin `control` and agent `random_edit`. No edit gives `raw` itself. Equal generators give equal
    controls. Raises DataError when the two are not over the same users and items, or a user has no unseen item left.
    """
    return _control("random_edit", raw, refined, placed(raw), rng)


def popularity_edit(raw: Dataset, refined: Dataset, rng: np.random.Generator) -> Dataset:
    """`raw` with the edits that led to `refined`, on others of the same popularity, place and activity.

    Where a user has no unseen item within the tolerance (or, for the preferred item of a pair, no own one), the nearest
    in popularity is taken. Else as `random_edit`.
    """
    return _control("popularity_edit", raw, refined, matched(raw, rng), rng)


def _control(name: str, raw: Dataset, refined: Dataset, matching: Matching, rng: np.random.Generator) -> Dataset:
    if not any(edit_size(raw, refined).values()):
        return raw
    unseen = UnseenItems(raw, matching.tolerance, rng)
    changes: dict[str, object] = {}
    rows = row_edits(raw, refined)
    if rows.removed.any() or (rows.replaced >= 0).any() or len(rows.added) or not np.isnan(rows.weight).all():
        changes["interactions"] = _edited_rows(name, raw, refined, rows, matching, unseen, rng)
    pairs = new_pairs(raw, refined)
    if len(pairs):
        samples = _sampled_pairs(name, pairs, unseen)
        changes["pairs"] = pd.concat([raw.pairs, samples], ignore_index=True) if len(raw.pairs) else samples
    scores = new_scores(raw, refined)
    if len(scores):
        permuted = _permuted_scores(name, scores, matching, rng)
        changes["scores"] = pd.concat([raw.scores, permuted], ignore_index=True) if len(raw.scores) else permuted
    changes |= _moved("items", "item_vectors", raw, refined, permutation_within(matching.items, rng))
    changes |= _moved("users", "user_vectors", raw, refined, permutation_within(matching.users, rng))
    return raw.with_(**changes)


def _edited_rows(
    name: str,
    raw: Dataset,
    refined: Dataset,
    rows: RowEdits,
    matching: Matching,
    unseen: UnseenItems,
    rng: np.random.Generator,
) -> pd.DataFrame:
    # Edits are permuted among rows of one stratum and one raw weight, so that each kind keeps its number exactly: a new
    # weight never falls on a row that had it already.
    _, weight = np.unique(raw.weight, return_inverse=True)
    source = permutation_within(matching.rows * (weight.max(initial=0) + 1) + weight, rng)
    removed, replaced, weights = rows.removed[source], rows.replaced[source], rows.weight[source]
    swapped, reweighted = np.flatnonzero(replaced >= 0), ~np.isnan(weights)
    frame = _with_provenance(raw.interactions)
    frame["weight"] = np.where(reweighted, weights, raw.weight)
    substitutes = refined.interactions.iloc[replaced[swapped]].reset_index(drop=True)
    substitutes = substitutes.assign(user=raw.user[swapped], timestamp=raw.timestamp[swapped])
    new = pd.concat([substitutes, refined.interactions.iloc[rows.added]], ignore_index=True)
    new = new.astype(raw.interactions.dtypes[list(INTERACTION_COLUMNS)].to_dict())
    # In random order: a user's first additions would otherwise have the first choice of the popular items.
    items = new["item"].to_numpy(np.int32, copy=True)
    users = new["user"].to_numpy()
    for row in rng.permutation(len(new)):
        items[row] = unseen.take(int(users[row]), int(items[row]))
    new = _signed(name, _with_provenance(new.assign(item=items)), np.ones(len(new), bool))
    untouched = _signed(name, frame, reweighted)[~(removed | (replaced >= 0))]
    return pd.concat([part for part in (untouched, new) if len(part)] or [untouched], ignore_index=True)


def _with_provenance(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy that has every provenance column, with the values of a raw row where it had none."""
    frame = frame.copy()
    for column, blank in (("origin", "raw"), ("agent", ""), ("confidence", np.float32(np.nan)), ("record", "")):
        if column not in frame:
            frame[column] = blank
    return frame


def _signed(name: str, frame: pd.DataFrame, touched: Bools) -> pd.DataFrame:
    """The frame with this control's name as the agent of the touched rows."""
    frame.loc[touched, ["origin", "agent", "record"]] = ["control", name, ""]
    frame.loc[touched, "confidence"] = np.nan
    return frame


def _sampled_pairs(name: str, pairs: pd.DataFrame, unseen: UnseenItems) -> pd.DataFrame:
    stated = pairs[["user", "preferred", "other"]].to_numpy().tolist()
    preferred = np.array([unseen.own(user, item) for user, item, _ in stated], np.int32)
    other = np.array([unseen.peek(user, item) for user, _, item in stated], np.int32)
    columns = {"preferred": preferred, "other": other}
    return pairs.assign(**columns, agent=name, record="")[list(PAIR_COLUMNS)].reset_index(drop=True)


def _permuted_scores(name: str, scores: pd.DataFrame, matching: Matching, rng: np.random.Generator) -> pd.DataFrame:
    """The same pairs; their scores are permuted among pairs whose items share a stratum."""
    source = permutation_within(matching.items[scores["item"].to_numpy()], rng)
    columns = {column: scores[column].to_numpy()[source] for column in ("score", "spread")}
    return scores.assign(**columns, agent=name, record="")[list(SCORE_COLUMNS)].reset_index(drop=True)


def _moved(table: str, side: str, raw: Dataset, refined: Dataset, source: Longs) -> dict[str, object]:
    """The changed fields: edited row `source[i]` of refined now describes row i; the unedited stay as they were."""
    changes: dict[str, object] = {}
    before, after = getattr(raw, side), getattr(refined, side)
    changed = vectors_changed(len(source), before, after)[source]
    if changed.any():
        changes[side] = after[source] if changed.all() else np.where(changed[:, None], after[source], before)
    column = TEXTS[table]
    rewritten = texts_changed(table, raw, refined)[source]
    if rewritten.any():
        texts = texts_of(table, refined)[source]
        changes[table] = getattr(raw, table).assign(**{column: np.where(rewritten, texts, texts_of(table, raw))})
    return changes
