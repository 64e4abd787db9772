"""One step over all blocks: what is asked of the whole log first, then block by block, and what that leaves.

    run/states/<step>/block-00000.parquet     the block's interactions after the step
    run/steps/<step>/sample, block-00000      records

A block whose state is there is passed over, so a killed run goes on where it was. Quota and share act on the rows of
all blocks together, when the last block is done.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from ...agents.agent import Records
from ...agents.catalogue import item_texts
from ...agents.denoiser import Denoiser
from ...agents.denoiser.evidence import CollaborativeEvidence
from ...agents.denoiser.fold import reasons_of
from ...agents.discriminator import Discriminator, calibration_of
from ...agents.fusion import Fusion, is_generated, weighed, with_provenance, within
from ...agents.generator import Generator, evidence_of
from ...atomic import write_text, write_whole
from ...errors import ConfigError
from ...identity import code_digest, digest, settings_of
from ...recsys.data import Dataset
from ...recsys.data.dataset import Longs
from ..batch.records import Totals, read_records, totals
from ..batch.summary import Asked, Summary
from ..studies.agent_runner import AgentRunner, model_of, wordings_of
from ..studies.steps import check_step, make_agent, step_of
from .config import RefineConfig
from .parts import Parts

NOTHING = "none"
"""The name of the state before the first step."""


class Stopped(Exception):
    """A step ended before its last task; the message says why."""


@dataclass
class Refining:
    """What all steps share. `states` names the state that each step has left, the newest last."""

    parts: Parts
    config: RefineConfig
    folder: Path
    runner: AgentRunner
    counts: Longs
    sample: Dataset
    """Whole users of the log as it was read."""
    state: str = NOTHING
    states: list[str] = field(default_factory=list)
    asked: dict[str, Summary] = field(default_factory=dict)
    said: dict[str, dict[str, Any]] = field(default_factory=dict)
    records: list[Path] = field(default_factory=list)
    """Where the records of each step lie, the newest last."""

    async def step(self, place: int, name: str, settings: Mapping[str, Any]) -> None:
        """Ask, adopt, and leave the next state. Raises Stopped."""
        whole = settings_of(check_step(name, settings, f"step {place}"))
        asked = {key: value for key, value in whole.items() if key not in step_of(name).fold_only}
        identity = self._identity(name, asked)
        about: list[Any] = [self.state, self.parts.blocks.folder.name, self.parts.catalogue.fingerprint]
        about += [self.config.seed, self.config.sample_rows, identity]
        title = f"{place}-{name}"
        steps = self.folder / "steps" / f"{title}-{digest(about)}"
        state = f"{title}-{digest([whole, about, code_digest('agents', 'recsys', 'simulators/refining')])}"
        agent = make_agent(name, settings, self.runner.around)
        done: list[Summary] = []
        try:
            if isinstance(agent, Generator):
                self.said[title] = await self._generate(agent, steps, state, identity, done)
            elif isinstance(agent, Denoiser):
                self.said[title] = await self._denoise(agent, steps, state, identity, done)
            else:
                assert isinstance(agent, Discriminator)
                self.said[title] = await self._discriminate(agent, steps, state, identity, done)
        finally:
            self.asked[title] = _together(steps, done)
        self.state = state
        self.states.append(state)
        self.records.append(steps)

    async def _generate(
        self, agent: Generator, steps: Path, state: str, identity: Mapping[str, Any], done: list[Summary]
    ) -> dict[str, Any]:
        texts = item_texts(self.parts.catalogue)
        embed = self.runner.around.embed
        config = agent.config
        evidence = evidence_of(self.sample, embed, texts, config.head, unseen=config.unseen, counts=self.counts)
        agent = replace(agent, evidence=evidence)
        shared: Records | None = None
        if config.mode == "cold_item":
            shared = await self._records(agent, self.sample, steps / "sample", identity, done)
        elif config.users is not None:
            agent = replace(agent, only=self.parts.drawn(config.users, self.config.seed, config.min_history))
        for _, data, path in self._open(state):
            records = shared
            if records is None:
                records = await self._records(agent, data, steps / path.stem, identity, done)
            report = agent.report(data, records)
            after = agent.adopted(data, records)
            before = np.bincount(data.item[is_generated(data)], minlength=data.n_items)
            new = np.bincount(after.item[is_generated(after)], minlength=data.n_items) > before
            self._leave(path, after, {**report, "new": np.flatnonzero(new).tolist()})
        helped = np.zeros(len(self.counts), bool)
        reports = list(self._reports(state))
        for told in reports:
            helped[told.pop("new")] = True
        self._limit(state, config.fuse)
        if shared is not None:
            # The records are of all blocks: each has counted them, and its own rows.
            same = ("tasks", "proposals", "grounded", "not_grounded", "dropped")
            reports = [{k: v for k, v in told.items() if at == 0 or k not in same} for at, told in enumerate(reports)]
        found = added_up(reports)
        tail = evidence.tail
        return {**found, "tail_items": int(tail.sum()), "tail_items_with_new_rows": int(helped[tail].sum())}

    async def _discriminate(
        self, agent: Discriminator, steps: Path, state: str, identity: Mapping[str, Any], done: list[Summary]
    ) -> dict[str, Any]:
        first = replace(agent, part="calibrate", counts=self.counts)
        shared = await self._records(first, self.sample, steps / "sample", identity, done)
        calibration = calibration_of(shared, agent.config)
        agent = replace(agent, part="judge", counts=self.counts, calibration=calibration)
        if agent.config.users is not None:
            agent = replace(agent, only=self.parts.drawn(agent.config.users, self.config.seed, 2))
        for _, data, path in self._open(state):
            records = await self._records(agent, data, steps / path.stem, identity, done)
            report = agent.report(data, records)
            del report["calibration"]
            self._leave(path, agent.adopted(data, records), report)
        self._limit(state, agent.config.fuse)
        return {"calibration": calibration.report(), **added_up(list(self._reports(state)))}

    async def _denoise(
        self, agent: Denoiser, steps: Path, state: str, identity: Mapping[str, Any], done: list[Summary]
    ) -> dict[str, Any]:
        if agent.config.mode == "hard_samples" and self.parts.blocks.count > 1:
            raise ConfigError(
                "denoise.mode: hard_samples watches a training on the whole log, which is cut into "
                f"{self.parts.blocks.count} parts; raise block_mb (now {self.config.block_mb:g}) or choose mode review"
            )
        agent = replace(agent, evidence=CollaborativeEvidence.of(self.sample, agent.config.vote.shrink))
        if agent.config.users is not None:
            agent = replace(agent, only=self.parts.drawn(agent.config.users, self.config.seed, agent.config.least))
        for _, data, path in self._open(state):
            records = await self._records(agent, data, steps / path.stem, identity, done)
            self._leave(path, agent.fold(data, records), agent.report(data, records))
        return added_up(list(self._reports(state)))

    async def _records(
        self,
        agent: Generator | Discriminator | Denoiser,
        data: Dataset,
        folder: Path,
        identity: Mapping[str, Any],
        done: list[Summary],
    ) -> Records:
        summary = await self.runner.ask(agent, data, folder, identity, keep_memory=False)
        done.append(summary)
        if summary.stopped:
            raise Stopped(summary.stopped)
        return read_records(folder)

    def reasons(self, block: int) -> dict[tuple[str, int], str]:
        """(record, item code) -> why, of the block's rows that a denoiser edited."""
        found: dict[tuple[str, int], str] = {}
        for folder in self.records:
            place = folder / f"block-{block:05d}"
            if "-denoise-" in folder.name and place.is_dir():
                found |= reasons_of(read_records(place))
        return found

    # --- states -------------------------------------------------------------------------------------------------------

    def state_path(self, state: str, block: int) -> Path:
        return self.folder / "states" / state / f"block-{block:05d}.parquet"

    def dataset(self, block: int) -> Dataset:
        """A block as the last step has left it."""
        data = self.parts.dataset(block)
        if self.state == NOTHING:
            return data
        return data.with_(interactions=_read(self.state_path(self.state, block)))

    def _open(self, state: str) -> Iterator[tuple[int, Dataset, Path]]:
        """The blocks that have no such state yet, as the last step has left them."""
        for block in range(self.parts.blocks.count):
            path = self.state_path(state, block)
            if not path.with_suffix(".json").is_file():
                yield block, self.dataset(block), path

    def _leave(self, path: Path, data: Dataset, report: Mapping[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pandas(with_provenance(data.interactions), preserve_index=False)
        write_whole(path, lambda temporary: parquet.write_table(table, temporary, compression="zstd"))
        if len(data.pairs):
            pairs = data.pairs.assign(user=data.users["user_id"].to_numpy()[data.pairs["user"]])
            for side in ("preferred", "other"):
                pairs[side] = data.items["item_id"].to_numpy()[pairs[side]]
            told = pa.Table.from_pandas(pairs, preserve_index=False)
            write_whole(path.with_suffix(".pairs"), lambda temporary: parquet.write_table(told, temporary))
        # Written last: it says that the state is whole.
        write_text(path.with_suffix(".json"), json.dumps(report) + "\n")

    def _reports(self, state: str) -> Iterator[dict[str, Any]]:
        for block in range(self.parts.blocks.count):
            yield json.loads(self.state_path(state, block).with_suffix(".json").read_text(encoding="utf-8"))

    def _limit(self, state: str, fuse: Fusion) -> None:
        """Quota, share and weights, over all blocks. Doing it twice changes nothing: what is cut stays cut."""
        mark = self.folder / "states" / state / "fused"
        if mark.is_file():
            return
        limited = fuse.quota is not None or fuse.share is not None
        kept: list[np.ndarray] = []
        if limited:
            rows, real = [], 0
            for block in range(self.parts.blocks.count):
                data = self.parts.dataset(block).with_(interactions=_read(self.state_path(state, block)))
                made = is_generated(data)
                real += int((~made).sum())
                rows.append(
                    pd.DataFrame(
                        {
                            "user": data.users["user_id"].to_numpy()[data.user[made]],
                            "item": data.item[made],
                            "confidence": data.interactions["confidence"].to_numpy()[made],
                        }
                    )
                )
            stays = within(pd.concat(rows, ignore_index=True), real, fuse)
            kept = np.split(stays, np.cumsum([len(part) for part in rows])[:-1])
        for block in range(self.parts.blocks.count):
            path = self.state_path(state, block)
            frame = weighed(_read(path), fuse)
            if limited:
                made = (frame["origin"] == "generated").to_numpy()
                cut = np.zeros(len(frame), bool)
                cut[np.flatnonzero(made)[~kept[block]]] = True
                frame = frame[~cut]
            table = pa.Table.from_pandas(frame, preserve_index=False)
            fused = path.with_suffix(".fused")
            write_whole(fused, lambda temporary, table=table: parquet.write_table(table, temporary))  # type: ignore[misc]
        for block in range(self.parts.blocks.count):
            path = self.state_path(state, block)
            if path.with_suffix(".fused").is_file():
                path.with_suffix(".fused").replace(path)
        write_text(mark, "")

    def _identity(self, name: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "config": dict(asked),
            "prompts": wordings_of(name, self.config.prompts),
            "llm": model_of(self.runner.study),
            "embedder": settings_of(self.config.embedder),
        }


def _together(steps: Path, done: list[Summary]) -> Summary:
    """A step's records in all its folders, and what this invocation asked for them."""
    found = [totals(folder) for folder in sorted(path for path in steps.glob("*") if path.is_dir())]
    counts = {one.name: sum(getattr(each, one.name) for each in found) for one in fields(Totals) if one.name != "cost"}
    costs, paid = [each.cost for each in found], [each.paid_cost for each in done]
    asked = Asked(
        calls=sum(each.cached + each.paid for each in done),
        cached=sum(each.cached for each in done),
        cost=None if None in paid else sum(cost for cost in paid if cost is not None),
    )
    return Summary.of(
        Totals(**counts, cost=None if None in costs else sum(cost for cost in costs if cost is not None)),
        asked,
        resumed=counts["tasks"] - sum(each.tasks - each.resumed for each in done),
        seconds=sum(each.seconds for each in done),
        torn=[name for each in done for name in each.torn],
        stopped=next((each.stopped for each in done if each.stopped), ""),
    )


def added_up(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """The counts of several reports as one; a rate is made anew of what was judged and accepted."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(key for report in reports for key in report):
        values = [report[name] for report in reports if name in report]
        if all(isinstance(value, dict) for value in values):
            found[name] = added_up(values)
        elif name == "rate":
            judged, accepted = (sum(report[key] for report in reports) for key in ("judged", "accepted"))
            found[name] = accepted / judged if judged else float("nan")
        else:
            found[name] = sum(values)
    return found


def _read(path: Path) -> pd.DataFrame:
    return parquet.read_table(path, use_threads=False).to_pandas()
