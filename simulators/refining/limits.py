"""Quota, share and weights of generated rows, applied over all blocks of a log together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...agents.fusion import GENERATED, Fusion, is_generated, weighed, within
from ...atomic import write_text
from .states import BlockStates

MARK = "fused"


def apply_limits(states: BlockStates, state: str, fusion: Fusion) -> None:
    """Cut and weigh the generated rows of `state` as `fusion` says. Applied twice it changes nothing more."""
    mark = states.folder / state / MARK
    if mark.is_file():
        return
    within_limits = _within_limits(states, state, fusion)

    def frames() -> Iterator[pd.DataFrame]:
        for block in range(states.parts.blocks.count):
            frame = weighed(states.frame(state, block), fusion)
            if within_limits is not None:
                generated = np.flatnonzero((frame["origin"] == GENERATED).to_numpy())
                stays = np.ones(len(frame), bool)
                stays[generated[~within_limits[block]]] = False
                frame = frame[stays]
            yield frame

    states.replace_frames(state, frames())
    write_text(mark, "")


def _within_limits(states: BlockStates, state: str, fusion: Fusion) -> list[npt.NDArray[np.bool_]] | None:
    """Which generated rows of each block stay, in their order; None where there is neither quota nor share."""
    if fusion.quota is None and fusion.share is None:
        return None
    rows: list[pd.DataFrame] = []
    real = 0
    for block in range(states.parts.blocks.count):
        data = states.dataset(state, block)
        generated = is_generated(data)
        real += int((~generated).sum())
        rows.append(
            pd.DataFrame(
                {
                    "user": data.users["user_id"].to_numpy()[data.user[generated]],
                    "item": data.item[generated],
                    "confidence": data.interactions["confidence"].to_numpy()[generated],
                }
            )
        )
    stays = within(pd.concat(rows, ignore_index=True), real, fusion)
    return np.split(stays, np.cumsum([len(part) for part in rows])[:-1])
