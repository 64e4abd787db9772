"""The guidance as a `Term` of the training loop: its batches, the refit of the gate at each epoch, its loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import DataError
from ..data.dataset import Dataset, Longs
from ..models.network import NetworkModel, PairScoring
from ..training.batches import Batch
from ..training.terms import Term
from . import forms
from .gates import Gate, fitted_gate
from .inputs import PASSES as DROPOUT_PASSES
from .inputs import check_dropout, fixed_inputs, uncertainty
from .lists import Lists, nothing, part_of_lists
from .pairs import ScoredPairs, widest_pairs
from .scores import PairScores
from .selective import Selective
from .truth import TruthPairs, truth_pairs

ROWS = 2**15
"""Scored pairs whose uncertainty is computed at once."""
FITTED = 2**15
"""Largest number of truth pairs that the gate is fitted to; resampled each epoch where there are more."""
OF_PAIRS = ("hinge", "logistic")


@dataclass
class Guidance:
    """Guidance of one training: the LLM scores, their pairs, and the truth pairs that the gate is fitted to."""

    config: Selective
    scores: PairScores
    pairs: ScoredPairs
    truth: TruthPairs
    traces: list[Tensor] = field(default_factory=list)
    """The gate's trace at the beginning of the last epoch, one row per epoch so far."""

    @classmethod
    def of(cls, config: Selective, scores: PairScores, train: Dataset, truth: Dataset | None) -> Guidance:
        """Pairs of items that the user has not taken in train. DataError if `held_out` has no truth pair."""
        wanted = ~_taken(scores, train)
        rows = np.flatnonzero(wanted)
        widest = widest_pairs(scores.rows(wanted), train.n_users, config.pairs, config.least_gap, config.per_item)
        pairs = ScoredPairs(rows[widest.better], rows[widest.worse], widest.gap)
        nothing_held = truth if truth is not None else train.rows(np.zeros(len(train), bool))
        known = truth_pairs(scores, train, nothing_held, config.least_gap, config.threshold)
        if config.gate == "held_out" and not len(known):
            raise DataError(
                f"gate held_out: no item that {len(np.unique(nothing_held.user))} held-out users took is among their "
                "scored items; score more candidates a user, hold out more rows, or take another gate"
            )
        return cls(config, scores, pairs, known)

    def gate(self, train: Dataset, epochs: int) -> Gate:
        inputs = fixed_inputs(self.scores, train, self.config.seen, self.config.cold, self.config.head)
        return Gate(self.config.gate, torch.from_numpy(inputs), epochs, self.config.budget)

    def term(self, learner: NetworkModel[Any, Any], network: nn.Module, gate: Gate, train: Dataset) -> list[Term]:
        """The term; empty if the gate is closed, the weight is 0 or there are no pairs."""
        config = self.config
        lists = Lists.of(self.scores, self.pairs if config.form in OF_PAIRS else None)
        if config.gate == "closed" or config.weight == 0 or not len(lists):
            return []
        score: PairScoring = learner.pair_scorer(network, train)
        if "uncertainty" in config.seen and config.uncertainty == "dropout":
            check_dropout(network, learner.name)
        whole: int = learner.steps_an_epoch(network, train)
        passes = config.passes or learner.term_passes
        every = config.every or max(1, min(whole, int(learner.term_users * whole / (len(lists) * passes))))
        steps = max(1, round(whole / every))
        size = max(1, int(np.ceil(len(lists) * passes / steps)))
        met = min(len(lists), size * steps)

        def batches(rng: np.random.Generator) -> Iterator[Batch]:
            # Drawing from a child generator leaves the other terms' random numbers as they are without guidance.
            own = rng.spawn(1)[0]
            order = own.permutation(len(lists))[:met]
            self.begin(network, gate, score, lists, order, own)
            # If the epoch has more steps than expected, start over: uncertainty was only refreshed for these lists.
            while True:
                for step in lists.steps(order, size):
                    yield step
                    for _ in range(every - 1):
                        yield nothing()

        def loss(
            users: Tensor, place: Tensor, items: Tensor, rows: Tensor, llm_score: Tensor, better: Tensor, worse: Tensor
        ) -> Tensor:
            if not len(rows):
                return gate.bias.new_zeros(())
            x, alpha = score(users, place, items), gate(rows)
            if config.form == "pointwise":
                heard, wrong = gate.heard(alpha), forms.pointwise(x, llm_score)
            elif config.form == "distilled":
                count = len(users)
                mean = alpha.new_zeros(count).index_add(0, place, alpha) / torch.bincount(place, minlength=count)
                heard, wrong = gate.heard(mean), forms.distilled(x, llm_score, place, count, config.temperature)
            else:
                form = forms.hinge if config.form == "hinge" else forms.logistic
                heard = gate.heard((alpha.index_select(0, better) + alpha.index_select(0, worse)) / 2)
                wrong = form(x.index_select(0, better) - x.index_select(0, worse), config.margin)
            return config.weight * every * (heard * wrong).mean()

        # A normalisation over the whole step, and random numbers per process, cannot be split over processes.
        dropout = "uncertainty" in config.seen and config.uncertainty == "dropout"
        together = config.gate == "normalised" or config.form == "distilled" or dropout
        return [Term(batches, loss, None if together else part_of_lists)]

    @torch.no_grad()
    def begin(
        self, network: nn.Module, gate: Gate, score: PairScoring, lists: Lists, met: Longs, rng: np.random.Generator
    ) -> None:
        """Start of an epoch: refreshes the uncertainty for its lists, fits the gate and adds a row to its trace.

        met: indices of the lists of the epoch.
        """
        device = gate.bias.device
        fitted = np.arange(len(self.truth))
        if gate.kind != "held_out":
            fitted = fitted[:0]
        elif len(fitted) > FITTED:
            fitted = rng.choice(fitted, FITTED, replace=False)
        taken, other = self.truth.taken[fitted], self.truth.other[fitted]
        seen = np.zeros(len(self.scores), bool)
        for rows in (lists.rows(met), taken, other):
            seen[rows] = True
        self.look(network, gate, score, np.flatnonzero(seen))
        if len(fitted):
            right, speaks = (
                torch.as_tensor(part[fitted], device=device) for part in (self.truth.right, self.truth.weight)
            )
            start = torch.cat([gate.weight, gate.bias[None]])
            ours, theirs = (gate.inputs[torch.as_tensor(side, device=device)] for side in (taken, other))
            weight, bias = fitted_gate(ours, theirs, right, speaks, self.config.shrinkage, start)
            gate.weight.copy_(weight)
            gate.bias.copy_(bias)
        reached = int((~gate.trace[:, 0].isnan()).sum())
        if reached < len(gate.trace):
            heard = self.weights(gate, lists, met)
            line = [heard.mean().item() if len(heard) else np.nan, len(self.truth), self.truth.agreement()]
            gate.trace[reached] = torch.cat([torch.tensor(line, device=device), gate.bias[None], gate.weight])
        self.traces = [gate.trace[: reached + 1].cpu().clone()]

    def end(self, learner: NetworkModel[Any, Any], network: nn.Module, gate: Gate, train: Dataset) -> None:
        """Refreshes the uncertainty of all scored rows with the trained network, and releases the pair scorer."""
        score: PairScoring = learner.pair_scorer(network, train)
        self.look(network, gate, score, np.arange(len(self.scores)))
        score.release()

    @torch.no_grad()
    def look(self, network: nn.Module, gate: Gate, score: PairScoring, rows: Longs) -> None:
        """Recomputes the uncertainty of these rows of the score table (ascending), if it is an input of the gate."""
        if "uncertainty" not in self.config.seen or not len(rows):
            return
        column, device = self.config.seen.index("uncertainty"), gate.bias.device
        dropout = self.config.uncertainty == "dropout"
        training = network.training
        network.train(dropout)
        # Dropout draws from torch's generator, whose state belongs to the training.
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else [], enabled=dropout):
            for start in range(0, len(rows), ROWS):
                part = rows[start : start + ROWS]
                user = self.scores.user[part].astype(np.int64)
                begins = np.diff(user, prepend=-1) != 0
                codes = user[begins], np.cumsum(begins) - 1, self.scores.item[part].astype(np.int64)
                tensors = [torch.as_tensor(array, device=device) for array in codes]
                chances = [score.chances(*tensors) for _ in range(DROPOUT_PASSES if dropout else 1)]
                q = uncertainty(torch.stack(chances) if dropout else chances[0], self.config.uncertainty)
                gate.inputs[torch.as_tensor(part, device=device), column] = q
        network.train(training)

    @torch.no_grad()
    def weights(self, gate: Gate, lists: Lists, met: Longs) -> Tensor:
        """(n,) current weights of the pairs of these lists, or of their rows for forms without pairs."""
        alpha, device = gate.every(), gate.bias.device
        if not len(lists.better):
            return gate.heard(alpha[torch.as_tensor(lists.rows(met), device=device)])
        better, worse = (torch.as_tensor(side, device=device) for side in lists.pairs(met))
        return gate.heard((alpha[better] + alpha[worse]) / 2)


def _taken(scores: PairScores, train: Dataset) -> np.ndarray:
    """(n,) whether the user took the item in train; such items are redundant with the interactions."""
    key = scores.user.astype(np.int64) * train.n_items + scores.item
    return np.isin(key, train.user.astype(np.int64) * train.n_items + train.item)
