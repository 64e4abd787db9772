"""What the agents of an item study make of the train side: all rows they propose, and what each filter leaves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...agents.agent import Records, Reporting
from ...agents.discriminator import Discriminator, calibration_of
from ...agents.discriminator.config import Noise
from ...agents.discriminator.fold import confidences
from ...agents.fusion import is_generated
from ...atomic import write_text
from ...errors import RunError
from ...recsys.data import Dataset
from ..batch.progress import Watcher
from ..batch.records import read_records
from ..batch.summary import Summary
from ..studies.agent_runner import AgentRunner, open_runner
from ..studies.report import defined
from ..studies.run import TOLD
from ..studies.steps import make_agent
from ..studies.study import Study


@dataclass(frozen=True)
class ItemRefinement:
    """generated: the raw rows and every row proposed. discriminated: without those below the cut. both: real rows that
    are taken for noise count less, or nothing, besides.

    rows: the generated ones: user, item (codes), confidence as the model gave it, the calibrated one (both NaN where
    the model gave none), kept.
    real: the raw rows' confidence as given, in their order; NaN where not judged.
    reports, summaries: what the agents report of their records, and what they asked, by step.
    """

    generated: Dataset
    discriminated: Dataset
    both: Dataset
    rows: pd.DataFrame
    real: npt.NDArray[np.float64]
    reports: Mapping[str, Mapping[str, Any]]
    summaries: Mapping[str, Summary]


async def refine_items(study: Study, train: Dataset, watch: Watcher) -> ItemRefinement:
    """Asks the study's two steps of the train side alone; resumes what is there.

    Raises RunError where a spent budget or a refused key ended it; the same call goes on from there.
    """
    (_, generate), (name, discriminate) = (next(iter(entry.items())) for entry in study.steps)
    reports: dict[str, dict[str, Any]] = {}
    async with open_runner(study, train, watch) as opened:
        maker, made = await _step(opened, "generate", generate, train, study.folder / "agents" / "0", reports)
        generated = maker.fold(train, made)
        discriminator, judgements = await _step(
            opened, name, discriminate, generated, study.folder / "agents" / "1", reports
        )
        assert isinstance(discriminator, Discriminator)
        # What becomes of real rows is a matter of the fold: no request is repeated for it.
        silent = {**discriminate, "noise": Noise(action="keep").model_dump()}
        alone = make_agent(name, silent, opened.around)
        discriminated = alone.fold(generated, judgements)
        both = discriminator.fold(generated, judgements)
        summaries = dict(opened.totals)
    sure, _, _ = confidences(generated, judgements)
    new = is_generated(generated)
    added = is_generated(discriminated)
    stays = set(zip(discriminated.user[added], discriminated.item[added], strict=True))
    rows = pd.DataFrame({"user": generated.user[new], "item": generated.item[new], "confidence": sure[new]})
    rows["calibrated"] = np.nan
    has_confidence = rows["confidence"].notna()
    rows.loc[has_confidence, "calibrated"] = calibration_of(judgements, discriminator.config)(
        rows["confidence"][has_confidence]
    )
    rows["kept"] = [pair in stays for pair in zip(rows["user"], rows["item"], strict=True)]
    return ItemRefinement(generated, discriminated, both, rows, sure[~new], reports, summaries)


async def _step(
    opened: AgentRunner,
    name: str,
    settings: Mapping[str, Any],
    data: Dataset,
    below: Path,
    reports: dict[str, dict[str, Any]],
) -> tuple[Any, Records]:
    agent, folder = await opened.step(name, settings, data, below)
    if opened.totals[folder.name].stopped:
        raise RunError(f"{name} stopped: {opened.totals[folder.name].stopped}; the same call goes on from there")
    records = read_records(folder)
    if isinstance(agent, Reporting):
        reports[name] = defined(agent.report(data, records))
        write_text(folder / TOLD, json.dumps(reports[name], indent=2) + "\n")
    return agent, records
