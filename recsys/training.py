"""The one loop that trains every network: batches, losses, early stopping on validation, best weights, resume."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from ..errors import ConfigError, DataError
from . import checkpoints
from .batches import Batch, part_of_pairs
from .data.dataset import Dataset, Floats, Ints, Split, together
from .evaluation.ranking import evaluate
from .lazy_adam import LazyAdam
from .models.recommender import Circumstances, ModelConfig, counted
from .processes import Processes
from .progress import Epoch, Log, Network, Progress
from .tracking import Tracker, trackers


class TrainingConfig(ModelConfig):
    """What every network is told about its training; the defaults of a model stand in its own class."""

    epochs: PositiveInt = 100
    """At most this many passes over the training interactions."""
    batch_size: PositiveInt = 1024
    """Rows a step: interactions, or windows of history for sequence models."""
    learning_rate: PositiveFloat = 1e-3
    """Adam's step size."""
    patience: PositiveInt = 10
    """Evaluations of the validation side without a better figure after which training stops: NDCG@10, or what a click
    model's `stop_on` says."""
    evaluate_every: PositiveInt = 1
    """Epochs between two evaluations on the validation side."""
    valid_users: PositiveInt = 5000
    """At most so many users are ranked in one of those evaluations; drawn once by the seed where there are more."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 computes forward passes under autocast; weights and Adam's moments stay fp32."""
    compile: bool = False
    """torch.compile on the network; pays on long runs only, the first epoch compiles for tens of seconds."""
    pair_weight: float = Field(1.0, ge=0)
    """Lambda: what one preference pair of weight 1 counts, in interactions; 0 ignores pairs."""
    clip: NonNegativeFloat = 0.0
    """Largest norm of the gradient; 0 does not clip."""


@dataclass(frozen=True, slots=True)
class Term:
    """One summand of the loss: its batches of one epoch, and the loss of a batch.

    The arrays of a batch reach `loss` as tensors on the network's device, in the same order. The first term of a
    learner sets the length of an epoch; the others must be able to go on for ever.
    """

    batches: Callable[[np.random.Generator], Iterable[Batch]]
    loss: Callable[..., Tensor]
    part: Callable[[Batch, int, int], tuple[Batch, float]] | None = None
    """(batch, which, of how many): what one of several processes takes of a batch, and what share of the batch's loss
    the loss of it is. The shares of all parts add up to 1, or to 0 where nothing counts. None: not to be parted."""


class Learner(Protocol[Network]):
    """What a network's model tells the loop; the loop keeps the network and the weights."""

    name: ClassVar[str]

    @property
    def config(self) -> TrainingConfig: ...

    def build(self, train: Dataset) -> Network:
        """A fresh network; its random numbers come from torch's generator, which the loop has seeded."""

    def terms(self, network: Network, train: Dataset) -> list[Term]:
        """The loss, main term first."""

    def scores(self, network: Network, users: Ints, history: Dataset) -> Floats:
        """(len(users), n_items), as `Recommender.score`; called without gradients and in evaluation mode."""


Judged = TypeVar("Judged", bound=nn.Module, contravariant=True)


@runtime_checkable
class Judge(Protocol[Judged]):
    """A learner that says itself what its validation side is worth; of every other one it is NDCG@10."""

    def judged(self, network: Judged, train: Dataset, valid: Dataset, ranked: Callable[[], float]) -> float:
        """A figure, the higher the better; called without gradients and in evaluation mode. `ranked` gives NDCG@10."""


def fit(
    learner: Learner[Network],
    train: Dataset,
    valid: Dataset | None = None,
    circumstances: Circumstances | None = None,
) -> tuple[Network, Log]:
    """Trains a fresh network and gives it with the weights of its best epoch.

    With `valid`, training stops after `patience` evaluations without a better NDCG@10, or what else the learner judges
    by (`Judge`); without, the last epoch counts.
    With `config.refit`, a second network is then trained on train + valid for as many epochs as were best. Interactions
    of weight 0 are absent. The process's random state and thread count are as before when this returns; the same seed,
    data, config, device and thread count give the same weights. With a `folder` every epoch is saved there, and a
    training that was cut off goes on from the last one. Several `processes` take parts of the same batches: they learn
    what one would, but for what dropout draws. Raises DataError on empty data, ConfigError on a folder that holds
    another training.
    """
    circumstances = circumstances or Circumstances()
    train = counted(train)
    valid = counted(valid) if valid is not None else None
    if not len(train):
        raise DataError(f"dataset {train.name!r}: no interaction of weight > 0 to train {learner.name} on")
    config, processes = learner.config, circumstances.processes
    names = circumstances.track if processes.first else ()
    told = config.model_dump(mode="json")
    with (
        trackers(names, learner.name, told, circumstances.folder) as watching,
        threads(circumstances.threads),
        torch.random.fork_rng(devices=range(torch.cuda.device_count())),
    ):
        network, log = _train(learner, train, valid, config.epochs, circumstances, "training", watching)
        if config.refit and valid is not None and len(valid):
            everything = counted(together(train, valid))
            network, again = _train(learner, everything, None, log.best_epoch, circumstances, "refit", watching)
            log = Log(log.epochs + again.epochs, log.best_epoch, refitted=True)
    return network.eval(), log


def pairs(
    train: Dataset, weight: float, batch_size: int, prefer: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> list[Term]:
    """The extra BPR term of preference pairs, or nothing where `train` has none or `weight` is 0.

    prefer: (users, preferred, other), all (n,) codes, to x_u,preferred - x_u,other (n,).
    Every step takes its share of the pairs, so that over an epoch each is seen about once, and scales their loss so
    that a pair of weight 1 counts as `weight` interactions do. A step's pairs are all those of a few users: a sequence
    model needs a state a user, which is by far the dearest part of it.
    """
    table = train.pairs[train.pairs["weight"] > 0].sort_values("user", kind="stable")
    if weight == 0 or table.empty:
        return []
    columns = tuple(table[c].to_numpy(np.int64) for c in ("user", "preferred", "other"))
    counts = table["weight"].to_numpy(np.float32)
    share = len(table) / max(len(train), 1)
    size = int(np.clip(round(share * batch_size), 1, len(table)))

    first = np.flatnonzero(np.diff(columns[0], prepend=-1))
    last = np.append(first[1:], len(table))

    def batches(rng: np.random.Generator) -> Iterator[Batch]:
        while True:
            order = rng.permutation(len(first))
            rows = np.concatenate([np.arange(first[user], last[user]) for user in order])
            # Cut between two users, at the one nearest to a multiple of the batch's size.
            ends = np.cumsum((last - first)[order])
            cuts = np.unique(ends[np.searchsorted(ends, np.arange(size, len(rows), size))])
            for part in np.split(rows, cuts[cuts < len(rows)]):
                yield *(column[part] for column in columns), counts[part]

    def loss(users: Tensor, preferred: Tensor, other: Tensor, count: Tensor) -> Tensor:
        return weight * share * (-nn.functional.logsigmoid(prefer(users, preferred, other)) * count).mean()

    return [Term(batches, loss, part_of_pairs)]


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Lets torch use `count` CPU threads inside the block; None changes nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _train(
    learner: Learner[Network],
    train: Dataset,
    valid: Dataset | None,
    epochs: int,
    circumstances: Circumstances,
    stem: str,
    watching: list[Tracker],
) -> tuple[Network, Log]:
    config, device, processes = learner.config, torch.device(circumstances.device), circumstances.processes
    torch.manual_seed(circumstances.seed)
    network = learner.build(train).to(device)
    if config.compile:
        network.compile()
    terms = learner.terms(network, train)
    if not processes.alone and (getattr(network, "lazy", False) or any(term.part is None for term in terms)):
        raise ConfigError(f"{learner.name}: cannot be trained by several processes as it is set; start it in one")
    optimizer = _adam(network, config.learning_rate, device)
    identity = _identity(learner, train, valid, circumstances)
    progress = Progress(network, optimizer, circumstances.folder, stem, identity, processes)
    progress.resume()
    processes.agree(network)
    users = _judges(valid, config.valid_users, circumstances.seed)
    sides = Split(train, valid, valid) if valid is not None else None

    while not progress.finished(epochs, config.patience):
        epoch = len(progress.epochs) + 1
        torch.manual_seed(_mixed(circumstances.seed, epoch, processes.rank))
        network.train()
        began = time.perf_counter()
        rng = np.random.default_rng([circumstances.seed, epoch])
        loss = _epoch(network, terms, optimizer, rng, device, config, processes)
        seconds = time.perf_counter() - began
        if not np.isfinite(loss):
            raise ConfigError(
                f"{learner.name}: the loss of epoch {epoch} is {loss}; "
                f"lower learning_rate (now {config.learning_rate:g})"
            )
        judged = float("nan")
        if sides is not None and len(users) and (epoch % config.evaluate_every == 0 or epoch == epochs):
            network.eval()
            with torch.no_grad():
                judged = _judged(learner, network, sides, users, processes, device)
        progress.add(Epoch(epoch, loss, seconds, judged))
        for tracker in watching:
            tracker.epoch(stem, progress.epochs[-1])
    return progress.result()


def _adam(network: nn.Module, learning_rate: float, device: torch.device) -> torch.optim.Optimizer:
    weights = [p for p in network.parameters() if p.requires_grad]
    if getattr(network, "lazy", False):
        return LazyAdam(weights, learning_rate)
    return torch.optim.Adam(weights, lr=learning_rate, fused=device.type in ("cpu", "cuda"))


def _judged(
    learner: Learner[Network],
    network: Network,
    sides: Split,
    users: Ints,
    processes: Processes,
    device: torch.device,
) -> float:
    """What the validation side is worth. Processes rank a part of the users each, and take the first one's figure."""

    def ranked() -> float:
        part = users[processes.rank :: processes.count]
        ranking = evaluate(_InTraining(learner, network), sides, metrics=["ndcg@10"], side="valid", users=part)
        values = ranking.values("ndcg@10")
        defined = values[~np.isnan(values)]
        total = torch.tensor([defined.sum(), len(defined)], dtype=torch.float64).to(device)
        processes.add_up([total])
        figure, count = total.tolist()
        return figure / count if count else float("nan")

    figure = learner.judged(network, sides.train, sides.valid, ranked) if isinstance(learner, Judge) else ranked()
    return processes.from_first(lambda: figure)


def _epoch(
    network: nn.Module,
    terms: list[Term],
    optimizer: torch.optim.Optimizer,
    rng: np.random.Generator,
    device: torch.device,
    config: TrainingConfig,
    processes: Processes,
) -> float:
    """One pass; gives the mean loss of its steps."""
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
    """This process's summand of a batch's loss, None where it takes no row of it."""
    if processes.alone:
        return term.loss(*(torch.as_tensor(array, device=device) for array in batch))
    assert term.part is not None
    mine, share = term.part(batch, processes.rank, processes.count)
    if not len(mine[0]):
        return None
    return share * term.loss(*(torch.as_tensor(array, device=device) for array in mine))


def _identity(learner: Learner[Network], train: Dataset, valid: Dataset | None, circumstances: Circumstances) -> str:
    """What must be the same for a training to be gone on with: all but the number of epochs."""
    if circumstances.folder is None:
        return ""
    facts = {
        "model": learner.name,
        "config": learner.config.model_dump(mode="json", exclude={"epochs", "patience"}),
        "train": train.fingerprint,
        "valid": valid.fingerprint if valid is not None else None,
        "seed": circumstances.seed,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _judges(valid: Dataset | None, most: int, seed: int) -> Ints:
    if valid is None:
        return np.empty(0, np.int32)
    users = np.flatnonzero(valid.user_counts).astype(np.int32)
    if len(users) > most:
        users = np.sort(np.random.default_rng([seed, 0]).choice(users, most, replace=False))
    return users


@dataclass(frozen=True, slots=True)
class _InTraining(Generic[Network]):
    """A network in the middle of its training, as evaluation sees it."""

    learner: Learner[Network]
    network: Network

    @property
    def name(self) -> str:
        return self.learner.name

    def score(self, users: Ints, history: Dataset) -> Floats:
        return self.learner.scores(self.network, users, history)


def _mixed(seed: int, epoch: int, rank: int) -> int:
    """A seed of its own for each epoch and process; the first process draws what one alone would."""
    return int(
        np.random.SeedSequence([seed, epoch, *([rank] if rank else [])]).generate_state(1, np.uint64)[0] >> np.uint64(1)
    )


def state(network: nn.Module) -> checkpoints.Arrays:
    """A network's weights as arrays, by name."""
    return {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}


def restore(network: nn.Module, arrays: checkpoints.Arrays) -> None:
    """Puts such arrays back into a network of the same form, in evaluation mode."""
    network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    network.eval()
