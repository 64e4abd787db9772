"""The guidance as a `Term` of the training loop: which users a step takes, what an epoch begins with, the loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import DataError
from ..data.dataset import Dataset, Longs
from ..training import Batch, Term
from . import forms
from .fitting import fitted_gate
from .gates import Gate
from .inputs import PASSES as DROPOUT_PASSES
from .inputs import check_dropout, fixed_inputs, uncertainty
from .pairs import ScoredPairs, widest_pairs
from .scores import PairScores
from .scoring import Scorer, chances, pace, scorer_of, steps_an_epoch
from .selective import Selective
from .truth import TruthPairs, truth_pairs

ROWS = 2**15
"""Scored pairs whose uncertainty is computed at once."""
OF_PAIRS = ("hinge", "logistic")


@dataclass
class Guidance:
    """What one training hears: the table, its pairs, the truth that the gate is held to."""

    config: Selective
    scores: PairScores
    pairs: ScoredPairs
    truth: TruthPairs
    traces: list[Tensor] = field(default_factory=list)
    """The gate's trace after each epoch's beginning; the last one is the longest."""

    @classmethod
    def of(cls, config: Selective, scores: PairScores, train: Dataset, truth: Dataset | None) -> Guidance:
        """Pairs of what the user has not taken in train. DataError where `held_out` has nothing to be fitted to."""
        wanted = ~_taken(scores, train)
        rows = np.flatnonzero(wanted)
        found = widest_pairs(scores.rows(wanted), train.n_users, config.pairs, config.least_gap, config.per_item)
        pairs = ScoredPairs(rows[found.better], rows[found.worse], found.gap)
        nothing = truth if truth is not None else train.rows(np.zeros(len(train), bool))
        known = truth_pairs(scores, train, nothing, config.least_gap, config.threshold)
        if config.gate == "held_out" and not len(known):
            raise DataError(
                f"gate held_out: no item that {len(np.unique(nothing.user))} held-out users took is among their scored "
                "items; score more candidates a user, hold out more rows, or take another gate"
            )
        return cls(config, scores, pairs, known)

    def gate(self, train: Dataset, epochs: int) -> Gate:
        inputs = fixed_inputs(self.scores, train, self.config.seen, self.config.cold, self.config.head)
        return Gate(self.config.gate, torch.from_numpy(inputs), epochs, self.config.budget)

    def term(self, learner: Any, network: nn.Module, gate: Gate, train: Dataset) -> list[Term]:
        """The term, or nothing where the gate is closed, the weight 0 or no pair there."""
        config = self.config
        lists = _Lists.of(self.scores.user, None) if config.form not in OF_PAIRS else self._lists_of_pairs()
        if config.gate == "closed" or config.weight == 0 or not len(lists.first):
            return []
        score = scorer_of(learner, network, train)
        if "uncertainty" in config.seen and config.uncertainty == "dropout":
            check_dropout(network, learner.name)
        passes, every = pace(network, config)
        steps = max(1, round(steps_an_epoch(learner, network, train) / every))
        size = max(1, int(np.ceil(len(lists.first) * passes / steps)))

        def batches(rng: np.random.Generator) -> Iterator[Batch]:
            # A child of the generator leaves its own stream, and so the other terms' draws, as they are without us.
            own = rng.spawn(1)[0]
            self.begin(learner, network, gate, score, train)
            while True:
                order = own.permutation(len(lists.first))
                for start in range(0, len(order), size):
                    yield self._step(lists, order[start : start + size])
                    for _ in range(every - 1):
                        yield self._step(lists, order[:0])

        def loss(
            users: Tensor, items: Tensor, rows: Tensor, told: Tensor, group: Tensor, better: Tensor, worse: Tensor
        ) -> Tensor:
            if not len(rows):
                return gate.bias.new_zeros(())
            x, alpha = score(users, items), gate(rows)
            if config.form == "pointwise":
                heard, wrong = gate.heard(alpha), forms.pointwise(x, told)
            elif config.form == "distilled":
                count = int(group.max()) + 1
                mean = alpha.new_zeros(count).index_add(0, group, alpha) / torch.bincount(group, minlength=count)
                heard, wrong = gate.heard(mean), forms.distilled(x, told, group, count, config.temperature)
            else:
                form = forms.hinge if config.form == "hinge" else forms.logistic
                heard = gate.heard((alpha[better] + alpha[worse]) / 2)
                wrong = form(x[better] - x[worse], config.margin)
            return config.weight * every * (heard * wrong).mean()

        return [Term(batches, loss)]

    @torch.no_grad()
    def begin(self, learner: Any, network: nn.Module, gate: Gate, score: Scorer, train: Dataset) -> None:
        """What an epoch begins with: the recommender's uncertainty, the fit of the gate, a line of its trace."""
        config, device = self.config, gate.bias.device
        if "uncertainty" in config.seen:
            needed = np.unique(
                np.concatenate([self.pairs.better, self.pairs.worse, self.truth.taken, self.truth.other])
            )
            if config.form not in OF_PAIRS:
                needed = np.arange(len(self.scores))
            q = self._uncertainty(learner, network, score, train, needed)
            gate.inputs[torch.as_tensor(needed, device=device), config.seen.index("uncertainty")] = q
        if gate.kind == "held_out":
            taken, other, right, speaks = (
                torch.as_tensor(part, device=device)
                for part in (self.truth.taken, self.truth.other, self.truth.right, self.truth.weight)
            )
            start = torch.cat([gate.weight, gate.bias[None]])
            weight, bias = fitted_gate(gate.inputs[taken], gate.inputs[other], right, speaks, config.shrinkage, start)
            gate.weight.copy_(weight)
            gate.bias.copy_(bias)
        reached = int((~gate.trace[:, 0].isnan()).sum())
        if reached < len(gate.trace):
            heard = self.weights(gate)
            line = [heard.mean().item() if len(heard) else np.nan, len(self.truth), self.truth.agreement()]
            gate.trace[reached] = torch.cat([torch.tensor(line, device=device), gate.bias[None], gate.weight])
        self.traces = [gate.trace[: reached + 1].cpu().clone()]

    @torch.no_grad()
    def weights(self, gate: Gate) -> Tensor:
        """(pairs,) what each training pair is weighed by as the gate stands."""
        better, worse = (
            torch.as_tensor(side, device=gate.bias.device) for side in (self.pairs.better, self.pairs.worse)
        )
        return gate.heard((gate(better) + gate(worse)) / 2)

    def _uncertainty(self, learner: Any, network: nn.Module, score: Scorer, train: Dataset, rows: Longs) -> Tensor:
        device = next(network.parameters()).device
        dropout = self.config.uncertainty == "dropout"
        training, found = network.training, []
        network.train(dropout)
        # The passes with dropout draw from torch's generator, which belongs to the training.
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else [], enabled=dropout):
            for start in range(0, len(rows), ROWS):
                part = rows[start : start + ROWS]
                users = torch.as_tensor(self.scores.user[part].astype(np.int64), device=device)
                items = torch.as_tensor(self.scores.item[part].astype(np.int64), device=device)
                drawn = [
                    chances(learner, network, score, train, users, items)
                    for _ in range(DROPOUT_PASSES if dropout else 1)
                ]
                found.append(uncertainty(torch.stack(drawn) if dropout else drawn[0], self.config.uncertainty))
        network.train(training)
        return torch.cat(found) if found else torch.empty(0, device=device)

    def _lists_of_pairs(self) -> _Lists:
        return _Lists.of(self.scores.user[self.pairs.better], self.pairs)

    def _step(self, lists: _Lists, chosen: Longs) -> Batch:
        """The scored pairs of some users, each once, and which of them are held against each other."""
        places = lists.places(chosen)
        nothing = np.empty(0, np.int64)
        if lists.pairs is None:
            rows, better, worse = places, nothing, nothing
        else:
            both = np.concatenate([lists.pairs.better[places], lists.pairs.worse[places]])
            rows, place = np.unique(both, return_inverse=True)
            better, worse = np.split(place, 2)
        users = self.scores.user[rows].astype(np.int64)
        group = np.unique(users, return_inverse=True)[1]
        return users, self.scores.item[rows].astype(np.int64), rows, self.scores.score[rows], group, better, worse


@dataclass(frozen=True, slots=True)
class _Lists:
    """Rows that are sorted by user, user by user: list k is first[k]:last[k]."""

    first: Longs
    last: Longs
    pairs: ScoredPairs | None

    @classmethod
    def of(cls, user: np.ndarray, pairs: ScoredPairs | None) -> _Lists:
        first = np.flatnonzero(np.diff(user, prepend=-1))
        return cls(first, np.append(first[1:], len(user)), pairs)

    def places(self, chosen: Longs) -> Longs:
        """The rows of the chosen lists, one list after the other."""
        size = self.last[chosen] - self.first[chosen]
        within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        return np.repeat(self.first[chosen], size) + within


def _taken(scores: PairScores, train: Dataset) -> np.ndarray:
    """(n,) whether the user took the item in train: such a pair teaches nothing that the interactions do not."""
    key = scores.user.astype(np.int64) * train.n_items + scores.item
    return np.isin(key, train.user.astype(np.int64) * train.n_items + train.item)
