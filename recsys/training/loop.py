"""The training loop of all networks: batches, losses, early stopping on validation, best weights, resuming."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import ConfigError, DataError
from ..data.dataset import Dataset, Split, together
from . import checkpoints
from .batches import Batch, with_positive_weight
from .config import TrainingConfig
from .context import FitContext, check_context
from .lazy_adam import LazyAdam
from .loss_term import LossTerm, WithTerms
from .processes import Processes
from .progress import EpochLog, Network, TrainingLog, TrainingProgress
from .terms import Term, pairs
from .tracking import Tracker, trackers
from .validation import NetworkScorer, validation_figure, validation_users

__all__ = ["Batch", "Learner", "Term", "TrainingConfig", "TrainingLog", "fit", "pairs", "restore", "state", "threads"]


class Learner(NetworkScorer[Network], Protocol[Network]):
    """The interface that the loop needs of a model; `NetworkModel` implements it."""

    @property
    def config(self) -> TrainingConfig: ...

    def build(self, train: Dataset) -> Network:
        """A new network; torch's generator has been seeded by the loop."""

    def terms(self, network: Network, train: Dataset) -> list[Term]:
        """The terms of the loss, main term first."""


def fit(
    learner: Learner[Network],
    train: Dataset,
    valid: Dataset | None = None,
    context: FitContext | None = None,
    extra: Sequence[LossTerm[Any]] = (),
) -> tuple[Network, TrainingLog]:
    """Trains a new network and returns it with the weights of its best epoch, and the log.

    With `valid`, training stops after `patience` evaluations without a better NDCG@10, or the learner's own metric
    (`ValidationMetric`); without `valid`, the last epoch is the best. With `config.refit`, a second network is then
    trained on train + valid for the best number of epochs. Interactions of weight 0 are ignored.

    The same seed, data, config, device and thread count give the same weights; the process's random state and thread
    count are restored. With a `context.folder` every epoch is saved there, and an interrupted training resumes from the
    last epoch. Several `context.processes` share every batch: results equal those of one process, except for dropout.

    extra: loss terms besides the learner's own; their parameters are trained, too, but are not part of the network.
    Raises DataError for empty data, ConfigError for a folder with a different training, a context that this machine
    does not support, and a loss that is not finite.
    """
    context = context or FitContext()
    check_context(context)
    config, processes = learner.config, context.processes
    if extra and config.sparse_gradients:
        raise ConfigError(
            f"{learner.name}: {extra[0].name} reads tables as a whole, and lazy ones have sparse gradients; "
            "set lazy: false"
        )
    for term in extra:
        train, valid = term.prepare(train, valid)
    train = with_positive_weight(train)
    valid = with_positive_weight(valid) if valid is not None else None
    if not len(train):
        raise DataError(f"dataset {train.name!r}: no interaction of weight > 0 to train {learner.name} on")
    names = context.track if processes.first else ()
    with (
        trackers(names, learner.name, config.model_dump(mode="json"), context.folder) as watching,
        threads(context.threads),
        torch.random.fork_rng(devices=range(torch.cuda.device_count())),
    ):
        trained = _train(learner, extra, train, valid, config.epochs, context, "training", watching)
        log = trained.log
        if config.refit and valid is not None and len(valid):
            everything = with_positive_weight(together(train, valid))
            trained = _train(learner, extra, everything, None, log.best_epoch, context, "refit", watching)
            log = TrainingLog(log.epochs + trained.log.epochs, log.best_epoch, refitted=True)
        for term, module in zip(extra, trained.modules, strict=True):
            term.finish(learner, trained.network, module, train)
    return trained.network.eval(), log


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Sets torch's number of CPU threads inside the block; None leaves it unchanged."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True, slots=True)
class _Trained(Generic[Network]):
    """A network with its best weights, the modules of its extra terms, and the log."""

    network: Network
    modules: list[nn.Module]
    log: TrainingLog


def _train(
    learner: Learner[Network],
    extra: Sequence[LossTerm[Any]],
    train: Dataset,
    valid: Dataset | None,
    epochs: int,
    context: FitContext,
    stem: str,
    watching: list[Tracker],
) -> _Trained[Network]:
    config, device, processes = learner.config, torch.device(context.device), context.processes
    torch.manual_seed(context.seed)
    network = learner.build(train)
    modules = [term.module(learner, network, train) for term in extra]
    # Without extra terms the network is not wrapped, so that its checkpoints have the network's own names.
    whole = (WithTerms(network, modules) if modules else network).to(device)
    if config.compile:
        network.compile()
    terms = learner.terms(network, train)
    for term, module in zip(extra, modules, strict=True):
        terms = [*terms, *term.terms(learner, network, module, train)]
    if not processes.alone and (config.sparse_gradients or any(term.part is None for term in terms)):
        raise ConfigError(f"{learner.name}: cannot be trained by several processes as it is set; start it in one")
    optimizer = _adam(whole, config, device)
    identity = _identity(learner, extra, train, valid, context)
    progress = TrainingProgress(whole, optimizer, context.folder, stem, identity, processes)
    progress.resume()
    processes.agree(whole)
    users = validation_users(valid, config.valid_users, context.seed)
    sides = Split(train, valid, valid) if valid is not None else None

    while not progress.finished(epochs, config.patience):
        epoch = len(progress.epochs) + 1
        torch.manual_seed(_mixed(context.seed, epoch, processes.rank))
        whole.train()
        began = time.perf_counter()
        rng = np.random.default_rng([context.seed, epoch])
        loss = _epoch(whole, terms, optimizer, rng, device, config, processes)
        seconds = time.perf_counter() - began
        if not np.isfinite(loss):
            raise ConfigError(
                f"{learner.name}: the loss of epoch {epoch} is {loss}; "
                f"lower learning_rate (now {config.learning_rate:g})"
            )
        figure = float("nan")
        if sides is not None and len(users) and (epoch % config.evaluate_every == 0 or epoch == epochs):
            whole.eval()
            with torch.no_grad():
                figure = validation_figure(learner, network, sides, users, processes, device)
        progress.add(EpochLog(epoch, loss, seconds, figure))
        for tracker in watching:
            tracker.epoch(stem, progress.epochs[-1])
    return _Trained(network, modules, progress.restore_best())


def _adam(network: nn.Module, config: TrainingConfig, device: torch.device) -> torch.optim.Optimizer:
    weights = [p for p in network.parameters() if p.requires_grad]
    if config.sparse_gradients:
        return LazyAdam(weights, config.learning_rate)
    return torch.optim.Adam(weights, lr=config.learning_rate, fused=device.type in ("cpu", "cuda"))


def _epoch(
    network: nn.Module,
    terms: list[Term],
    optimizer: torch.optim.Optimizer,
    rng: np.random.Generator,
    device: torch.device,
    config: TrainingConfig,
    processes: Processes,
) -> float:
    """One pass over the batches of the main term; returns the mean loss per step."""
    total, steps = torch.zeros((), device=device), 0
    bf16 = torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16")
    for step in zip(*(term.batches(rng) for term in terms), strict=False):
        optimizer.zero_grad(set_to_none=True)
        with bf16:
            parts = [
                part
                for term, batch in zip(terms, step, strict=True)
                if (part := _part(term, batch, device, processes)) is not None
            ]
            loss = torch.stack(parts).sum() if parts else None
        if loss is not None:
            loss.backward()
            total += loss.detach()
        processes.add_up_gradients(network)
        if config.clip:
            nn.utils.clip_grad_norm_(network.parameters(), config.clip)
        optimizer.step()
        steps += 1
    processes.add_up([total])
    return float(total) / max(steps, 1)


def _part(term: Term, batch: Batch, device: torch.device, processes: Processes) -> Tensor | None:
    """This process's summand of a batch's loss; None if it has no row of the batch."""
    if processes.alone:
        return term.loss(*(torch.as_tensor(array, device=device) for array in batch))
    assert term.part is not None
    mine, share = term.part(batch, processes.rank, processes.count)
    if not len(mine[0]):
        return None
    return share * term.loss(*(torch.as_tensor(array, device=device) for array in mine))


def _identity(
    learner: Learner[Network],
    extra: Sequence[LossTerm[Any]],
    train: Dataset,
    valid: Dataset | None,
    context: FitContext,
) -> str:
    """Digest of all that must be equal to resume a training: everything but the number of epochs and the patience."""
    if context.folder is None:
        return ""
    facts = {
        "format": 2,
        "model": "+".join([learner.name, *(term.identity() for term in extra)]),
        "config": learner.config.model_dump(mode="json", exclude={"epochs", "patience", "terms"}),
        "train": train.fingerprint,
        "valid": valid.fingerprint if valid is not None else None,
        "seed": context.seed,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _mixed(seed: int, epoch: int, rank: int) -> int:
    """A seed for each epoch and process; that of rank 0 equals the seed of a training in one process."""
    return int(
        np.random.SeedSequence([seed, epoch, *([rank] if rank else [])]).generate_state(1, np.uint64)[0] >> np.uint64(1)
    )


def state(network: nn.Module) -> checkpoints.Arrays:
    """A network's parameters and buffers as arrays, by name."""
    return {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}


def restore(network: nn.Module, arrays: checkpoints.Arrays) -> None:
    """Loads the output of `state` into a network of the same shapes and sets it to evaluation mode."""
    network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    network.eval()
