"""What the guidance adds to an epoch: steps with the term and without it, one after the other in one process."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recloop.recsys.data import Dataset
from recloop.recsys.guidance import Guided, GuidedConfig, PairScores
from recloop.recsys.guidance.term import Guidance
from recloop.recsys.guidance.truth import apart
from recloop.recsys.models.recommender import with_positive_weight
from recloop.recsys.training.loop import Batch, Term, threads
from selective_cells import CLICKS, MODELS, offline_scores, split_of

SETTINGS = {name: {"labels": "choices"} for name in MODELS if MODELS[name] is CLICKS}
"""The models' own defaults; every row of ml-100k is a choice, as in the table."""
MEASURED = 16
"""Steps of an epoch that are measured; the others are only counted."""


def overhead(shared: Path, out: Path, models: list[str], epochs: int) -> None:
    """CPU seconds of an epoch on ml-100k at K = 10 pairs a user; one thread, so alone they are its seconds.

    The two kinds of a step meet the same batch, so that a busy neighbour meets both. An epoch without the term is the
    making of its batches, and the median of its steps times their number; what the term adds is the median difference
    of the steps in which it acts times their number, and the median of what it does when an epoch begins. One epoch
    more warms up.
    """
    split, scores = split_of("ml-100k", shared), offline_scores("ml-100k", shared, out)
    train, truth = with_positive_weight(split.train), apart(split.valid, 0.5, 0)[1]
    print("| model | without, s | open, s | held_out, s | open | held_out | of it when it begins |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name in models:
        seconds = {gate: measured(name, gate, scores, train, truth, epochs) for gate in ("open", "held_out")}
        without = float(np.median([alone for alone, _, _ in seconds.values()]))
        share = {gate: (acts + begins) / alone for gate, (alone, acts, begins) in seconds.items()}
        times = " | ".join(f"{without * (1 + more):.3f}" for more in share.values())
        begins = seconds["held_out"][2] / seconds["held_out"][0]
        percent = " | ".join(f"{more:+.0%}" for more in share.values())
        print(f"| {name} | {without:.3f} | {times} | {percent} | {begins:+.0%} |", flush=True)


def measured(
    name: str, gate: str, scores: PairScores, train: Dataset, truth: Dataset, epochs: int
) -> tuple[float, float, float]:
    """CPU seconds: an epoch without the term, what its steps add, what it does when the epoch begins."""
    guided = Guided(GuidedConfig(model=name, settings=SETTINGS.get(name, {}), gate=gate), scores)  # type: ignore[arg-type]
    guidance = Guidance.of(guided.config, scores, train, truth if gate == "held_out" else None)
    with threads(1), torch.random.fork_rng():
        torch.manual_seed(0)
        network = guided.base.build(train).train()
        main, times = guided.base.terms(network, train)[0], guidance.gate(train, epochs + 1)
        [extra] = guidance.term(guided.base, network, times, train)
        optimizer = torch.optim.Adam(network.parameters(), lr=guided.base.config.learning_rate, fused=True)
        alone, added, begins, made = [], [], [], 0.0
        for epoch in range(epochs + 1):
            rng = np.random.default_rng([0, epoch])
            batches, more = main.batches(rng), extra.batches(rng)
            clock = time.process_time()
            heard: Batch | None = next(iter(more))
            start, steps = time.process_time() - clock, 0
            for batch, seconds in timed(batches):
                made += seconds if epoch else 0
                if steps >= MEASURED:
                    steps += 1
                    continue
                # Which of the two comes first changes, for the second one finds its batch in the cache.
                spent = {}
                for both in (False, True) if steps % 2 else (True, False):
                    clock = time.process_time()
                    if both:
                        heard = next(more) if heard is None else heard
                    step(optimizer, [(main, batch), *([(extra, heard)] if both and heard is not None else [])])
                    spent[both] = time.process_time() - clock
                if epoch:
                    alone.append(spent[False])
                    if heard is not None and len(heard[0]):
                        added.append(spent[True] - spent[False])
                heard, steps = None, steps + 1
            if epoch:
                begins.append(start)
    acting = steps * len(added) / len(alone)
    without = made / epochs + steps * float(np.median(alone))
    return without, acting * float(np.median(added)), float(np.median(begins))


def timed(batches: Iterable[Batch]) -> Iterator[tuple[Batch, float]]:
    """Each batch, and the CPU seconds that it took to make it."""
    left = iter(batches)
    while True:
        clock = time.process_time()
        batch = next(left, None)
        if batch is None:
            return
        yield batch, time.process_time() - clock


def step(optimizer: torch.optim.Optimizer, parts: list[tuple[Term, Batch]]) -> None:
    """As the training loop takes one."""
    optimizer.zero_grad(set_to_none=True)
    losses: Iterator[Any] = (term.loss(*(torch.as_tensor(array) for array in batch)) for term, batch in parts)
    torch.stack(list(losses)).sum().backward()
    optimizer.step()
