"""`fidelity`: every protocol of a study, one after the other, into one report."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

from ...atomic import write_text
from ...recsys.data import Split, together
from ...recsys.data.sources import load_split
from ..batch.event_loop import run_async
from ..batch.progress import Silent, Watcher
from ..studies.agent_runner import open_runner
from ..studies.run import study_text
from ..studies.run_folder import STUDY
from ..studies.study import AnyStudy, Study, study_of
from .agentcf import agentcf
from .bench import FidelityBench
from .canaries import canaries
from .contamination import contamination
from .llmrank import llmrank
from .outcome import Outcome
from .plots import plot
from .position import position
from .ratings import ratings
from .report import Report
from .rows import CutOff
from .setwise_value import setwise_value
from .taste import taste

PROTOCOLS: dict[str, Callable[[FidelityBench], Awaitable[Outcome]]] = {
    "agentcf": agentcf,
    "llmrank": llmrank,
    "taste": taste,
    "ratings": ratings,
    "position": position,
    "setwise_value": setwise_value,
    "contamination": contamination,
    "canaries": canaries,
}


def fidelity(
    study: AnyStudy,
    settings: Sequence[str] = (),
    *,
    plots: bool = True,
    progress: Watcher | None = None,
) -> Report:
    """Measure a study's simulated users by the protocols that `study.fidelity` names; resumes what is there.

    study: a Study or the path of its YAML file, on which `settings` (`fidelity.users=500`) are made first. The model is
    the study's `llm`, the loop its `setwise` step (the defaults where it has none), what is to be foretold its test
    side. Everything lands in `study.folder / "fidelity"`: a Parquet of per-user values and a PNG a protocol,
    `fidelity.json`, and what was asked.

    A spent budget or a refused key ends the run early: `Report.stopped` says why, the protocols before it are
    reported, and the same call resumes. Raises ConfigError, DataError and RunError for what the caller has to mend.
    """
    study = study_of(study, settings)
    split = load_split(study.data)
    watch = progress if progress is not None else Silent()
    study.folder.mkdir(parents=True, exist_ok=True)
    write_text(study.folder / STUDY, study_text(study))
    report = run_async(_measure(study, split, plots, watch))
    report.write()
    return report


async def _measure(study: Study, split: Split, plots: bool, watch: Watcher) -> Report:
    config, folder = study.fidelity, study.folder / "fidelity"
    outcomes: dict[str, Outcome] = {}
    seconds: dict[str, float] = {}
    stopped = ""
    async with open_runner(study, together(split.train, split.valid), watch) as opened:
        bench = FidelityBench(study, config, split, opened)
        for name in config.protocols:
            began = time.monotonic()
            try:
                outcomes[name] = await PROTOCOLS[name](bench)
            except CutOff as cut:
                stopped = str(cut)
                break
            seconds[name] = time.monotonic() - began
            watch.say(f"{name}: {seconds[name]:.1f} s")
    tables = {name: outcome.table(study.seed, config.draws) for name, outcome in outcomes.items()}
    pictures = {
        name: plot(outcome, tables[name], folder / f"{name}.png")
        for name, outcome in outcomes.items()
        if plots and len(outcome.values)
    }
    return Report(
        name=study.name,
        folder=folder,
        llm="offline (no LLM)" if study.llm.provider == "offline" else f"{study.llm.provider} {study.llm.model}",
        data=_facts(split),
        outcomes=outcomes,
        tables=tables,
        verdicts={name: outcome.verdicts(study.seed, config.draws) for name, outcome in outcomes.items()},
        seconds=seconds,
        plots=pictures,
        stopped=stopped,
    )


def _facts(split: Split) -> dict[str, object]:
    return {
        "dataset": split.train.name,
        "users": split.train.n_users,
        "items": split.train.n_items,
        "known": len(split.train) + len(split.valid),
        "held out": len(split.test),
        "train fingerprint": split.train.fingerprint,
    }
