"""The training loop for language models: new samples each epoch, loss on the answers, early stopping on validation.

An epoch's samples and dropout depend on the seed and its number only, so that a killed and resumed training gives the
same result.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch

from ...errors import ConfigError
from ..chat.local.model import LocalModel
from .batches import Row, loss_of, micro_batches, rows_of
from .config import TuneLM
from .progress import Epoch, Progress
from .samples import Sampler

Say = Callable[[str], None]
_VALIDATION = 0
"""The validation side's number in the seed, in place of an epoch's; epochs count from 1."""
_LOWEST = 0.1
"""Final learning rate as a share of the largest."""


def train(
    model: LocalModel, config: TuneLM, train_side: Sampler, valid_side: Sampler, progress: Progress,
    optimizer: torch.optim.Optimizer, say: Say,
) -> None:  # fmt: skip
    """Trains the optimizer's parameters with early stopping on validation and restores the best weights.

    ConfigError if the loss is not finite.
    """
    rng = np.random.default_rng([config.seed, _VALIDATION])
    held_out = rows_of(model, list(valid_side.draw(config.valid_samples, rng)))
    steps_an_epoch = math.ceil(config.samples / config.batch_size)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        while not progress.finished(config.epochs, config.patience):
            number = len(progress.epochs) + 1
            began = time.perf_counter()
            rng = np.random.default_rng([config.seed, number])
            torch.manual_seed(int(rng.integers(2**63 - 1)))
            rows = rows_of(model, list(train_side.draw(config.samples, rng)))
            loss = _epoch(model, config, rows, optimizer, (number - 1) * steps_an_epoch, config.epochs * steps_an_epoch)
            valid = valid_loss(model, config, held_out)
            if not math.isfinite(loss) or not math.isfinite(valid):
                raise ConfigError(
                    f"the loss of epoch {number} is {loss} (validation {valid}); "
                    f"lower learning_rate (now {config.learning_rate:g})"
                )
            progress.add(Epoch(number, loss, valid, time.perf_counter() - began))
            say(f"epoch {number}/{config.epochs}: loss {loss:.4f}, validation {valid:.4f} nats a token of the answers")
    progress.restore_best()
    model.network.eval()


def valid_loss(model: LocalModel, config: TuneLM, rows: list[Row]) -> float:
    """Nats per token of the answers: the mean over tokens, or, if `balance` is sample, over the samples' means."""
    model.network.eval()
    total, count = 0.0, 0.0
    with torch.no_grad():
        for batch in micro_batches(rows, config, prompts=False):
            loss = loss_of(model, batch, config.precision)
            total, count = total + loss.reported, count + loss.count
    return total / count


def rate(config: TuneLM, step: int, steps: int) -> float:
    """The learning rate of a step: linear warm-up over `warmup` steps, then cosine decay to a tenth."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    share = (step - config.warmup) / max(1, steps - config.warmup)
    return config.learning_rate * (_LOWEST + (1 - _LOWEST) * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))


def _epoch(
    model: LocalModel, config: TuneLM, rows: list[Row], optimizer: torch.optim.Optimizer, done: int, steps: int
) -> float:
    """Trains one epoch; returns the loss in nats per token of the answers (see `valid_loss`)."""
    model.network.train()
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    total, count = 0.0, 0.0
    for at, low in enumerate(range(0, len(rows), config.batch_size)):
        for group in optimizer.param_groups:
            group["lr"] = rate(config, done + at, steps)
        batches = micro_batches(rows[low : low + config.batch_size], config)
        total_weight = sum(float(batch.weights.sum()) for batch in batches)
        optimizer.zero_grad(set_to_none=True)
        for batch in batches:
            loss = loss_of(model, batch, config.precision)
            (loss.loss / total_weight).backward()
            total, count = total + loss.reported, count + loss.count
        torch.nn.utils.clip_grad_norm_(weights, config.clip)
        optimizer.step()
    return total / count
