"""`ClickModel`, the base class of click models: labels, batches, negatives, loss, early stopping, scores, saving.

A model's own file defines its hyperparameters and its body, which maps embedded rows to log-odds. The training loop is
that of all recommenders.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar, Literal, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from ..data.dataset import Dataset, Floats, Ints
from ..data.feature_table import FeatureTable, check_columns
from ..evaluation.clicks import auc, logloss
from ..models.network import NetworkModel, PairScoring, steps_of
from ..models.recommender import fitted, with_positive_weight
from ..training import losses
from ..training.batches import Batch, Negatives, shuffled
from ..training.checkpoints import Arrays
from ..training.config import TrainingConfig
from ..training.space import Among, Range, Space
from ..training.terms import Term, pairs
from .embedding import Fields, Rows
from .network import ClickNetwork, catalogue_scores, likes_of, row_scores
from .rows import Likes, has_ratings, labels


class ClickConfig(TrainingConfig):
    threshold: float = 4.0
    """Smallest rating that is a click."""
    labels: Literal["auto", "ratings", "choices"] = "auto"
    """ratings: a row is a click if its rating is at least the threshold. choices: every row is a click, and negatives
    are sampled. auto: ratings where train has values on both sides of the threshold, else choices."""
    negatives: PositiveInt = 4
    """Negatives for each row, sampled anew every epoch from the items without an interaction of the user (He et al.
    2017: 3 to 6); only where labels are choices."""
    fields: tuple[str, ...] | None = None
    """Columns of items and users that are fields besides the two ids; None takes those of categories, year, age, sex
    and occupation that the data has."""
    context: tuple[Literal["hour", "weekday"], ...] = ()
    """Fields of a row's timestamp (UTC). A ranking has no timestamp, so they are unknown there."""
    hidden: float = Field(0.05, ge=0, lt=1)
    """Probability that a training row's user, item or context is replaced by "unknown", independently for each. It
    trains the code that cold users and items have. An unknown user has no history either."""
    stop_on: Literal["auto", "auc", "logloss", "ndcg@10"] = "auto"
    """Metric of the validation side. auto: auc where labels are ratings, ndcg@10 where they are choices."""
    l2: NonNegativeFloat = 1e-2
    """Weight of the squared norm of the weights and vectors that a row uses."""
    epochs: PositiveInt = 100
    batch_size: PositiveInt = 1024
    learning_rate: PositiveFloat = 2e-3
    patience: PositiveInt = 15
    """Evaluations of the validation side without improvement after which training stops. On ml-100k the AUC stays
    flat for some epochs after the items' main effects are learnt, before interactions raise it."""
    valid_users: PositiveInt = 1000
    """Largest number of users ranked for ndcg@10; auc and logloss use every validation row."""

    space: ClassVar[Space] = {
        "learning_rate": Range(3e-4, 1e-2, log=True),
        "l2": Range(1e-4, 1e-1, log=True),
    }

    def check(self, train: Dataset | None = None) -> None:
        super().check(train)
        if train is not None and self.fields is not None:
            check_columns(train, self.fields)


class EmbeddingConfig(ClickConfig):
    embedding_size: PositiveInt = 16
    """Size of the vector of a field's value."""

    space: ClassVar[Space] = {"embedding_size": Among((8, 16, 32))}


Settings = TypeVar("Settings", bound=ClickConfig)


class ClickModel(NetworkModel[ClickNetwork, Settings]):
    """Scores are log-odds of a click; `predict` gives probabilities.

    Where labels are choices, probabilities refer to the sampled data: one choice among `negatives` + 1 rows.
    """

    Config: ClassVar[type[ClickConfig]]
    weighed: ClassVar[bool] = False
    """Whether the body uses a scalar weight of each field value besides the vectors."""

    @abstractmethod
    def body(self, fields: Fields) -> nn.Module:
        """A module that maps n `Embedded` rows to (n,) log-odds."""

    @property
    def history_length(self) -> int:
        """Number of liked items that the body reads as history; 0 for none."""
        return 0

    @property
    def threshold(self) -> float:
        """Smallest rating that is a click."""
        return self.config.threshold

    def build(self, train: Dataset) -> ClickNetwork:
        table = FeatureTable.fitted(train, self.config.fields, self.config.context)
        size = self.config.embedding_size if isinstance(self.config, EmbeddingConfig) else 0
        fields = Fields.of(table, size, self.weighed)
        fields.start_from(train)
        wanted, threshold = self.config.labels, self.config.threshold
        rated = wanted == "ratings" or (wanted == "auto" and has_ratings(train, threshold))
        return self._network(fields, rated)

    def empty_network(self, state: Arrays) -> ClickNetwork:
        fields = {name.removeprefix("fields."): a for name, a in state.items() if name.startswith("fields.")}
        return self._network(Fields.from_state(fields), bool(state["rated"]))

    def _network(self, fields: Fields, rated: bool) -> ClickNetwork:
        return ClickNetwork(fields, self.body(fields), self.config.context, self.history_length, rated)

    def terms(self, network: ClickNetwork, train: Dataset) -> list[Term]:
        return click_terms(network, train, self.config)

    def scores(self, network: ClickNetwork, users: Ints, history: Dataset) -> Floats:
        return catalogue_scores(network, users, likes_of(network, history, self.config.threshold))

    def predict(self, rows: Dataset, history: Dataset) -> Floats:
        """(len(rows),) click probabilities, each at the row's timestamp; only earlier rows of `history` are used."""
        network, known = fitted(self.name, self.network), with_positive_weight(history)
        return _chances(row_scores(network, rows, likes_of(network, known, self.config.threshold)))

    def validation_figure(
        self, network: ClickNetwork, train: Dataset, valid: Dataset, ndcg: Callable[[], float]
    ) -> float:
        """AUC, or minus logloss, of the validation rows, or NDCG@10, according to `stop_on`. Higher is better."""
        figure = self.config.stop_on
        if figure == "auto":
            figure = "auc" if bool(network.rated) else "ndcg@10"
        if figure == "ndcg@10":
            return ndcg()
        truth = labels(valid, self.config.threshold)
        odds = row_scores(network, valid, likes_of(network, train, self.config.threshold))
        return auc(truth, odds) if figure == "auc" else -logloss(truth, _chances(odds))

    def pair_scorer(self, network: ClickNetwork, train: Dataset) -> PairScoring:
        return ClickScoring(network, likes_of(network, train, self.config.threshold))

    def steps_an_epoch(self, network: ClickNetwork, train: Dataset) -> int:
        rows = float(len(train))
        if not bool(network.rated):
            rows += self.config.negatives * float((Negatives.of(train).free(train.user) > 0).sum())
        return steps_of(rows, self.config.batch_size)


class ClickScoring:
    """Pair scores of a click network: log-odds at an unknown time after the train history."""

    def __init__(self, network: ClickNetwork, likes: Likes) -> None:
        self.network, self.likes = network, likes

    def __call__(self, users: Tensor, place: Tensor, items: Tensor) -> Tensor:
        network, history = self.network, None
        if network.length:
            codes = users.cpu().numpy().astype(np.int32)
            seen = self.likes.last(codes, self.likes.whole(codes), network.length, network.fields.n_items)
            history = torch.as_tensor(seen, device=users.device)[place]
        odds: Tensor = network(Rows(users[place], items, history=history))[0]
        return odds

    def chances(self, users: Tensor, place: Tensor, items: Tensor) -> Tensor:
        return torch.sigmoid(self(users, place, items))

    def release(self) -> None:
        pass


def click_terms(network: ClickNetwork, train: Dataset, config: ClickConfig) -> list[Term]:
    """Binary cross-entropy of every row, and the loss of preference pairs.

    A sampled negative has the user, timestamp, history and weight of the row that it was sampled for.
    """
    rated, n = bool(network.rated), len(train)
    likes = likes_of(network, train, config.threshold)
    clicked = labels(train, config.threshold) if rated else np.ones(n, np.float32)
    ends = likes.before(train.user, train.timestamp)
    moments = network.moments(train.timestamp)
    negatives = None if rated else Negatives.of(train)
    # A user with an interaction with every item has no negatives.
    open_rows = np.empty(0, np.int64) if negatives is None else np.flatnonzero(negatives.free(train.user) > 0)
    drawn_from = np.repeat(open_rows, config.negatives)
    rows = np.concatenate([np.arange(n), drawn_from])
    truth = np.concatenate([clicked, np.zeros(len(drawn_from), np.float32)])

    def batches(rng: np.random.Generator) -> Iterator[Batch]:
        items = train.item
        if negatives is not None:
            sampled = negatives.draw(train.user[open_rows], rng, config.negatives)
            items = np.concatenate([items, sampled.ravel()])
        for batch in shuffled(len(rows), config.batch_size, rng):
            of = rows[batch]
            users = train.user[of]
            yield (
                users,
                items[batch],
                moments[of],
                rng.random((len(batch), 3), np.float32) < config.hidden,
                likes.last(users, ends[of], network.length, train.n_items),
                truth[batch],
                train.weight[of],
            )

    def loss(users: Tensor, items: Tensor, context: Tensor, hidden: Tensor, history: Tensor, *rest: Tensor) -> Tensor:
        clicks, weights = rest
        odds, squares = network(Rows(users, items, context, hidden, history if network.length else None))
        wrong = F.binary_cross_entropy_with_logits(odds, clicks, reduction="none")
        return losses.weighted_mean(wrong + config.l2 * squares, weights)

    # Negatives multiply the steps of an epoch, so each step takes proportionally fewer of the pairs.
    size = max(1, config.batch_size * n // max(len(rows), 1))
    return [Term(batches, loss), *pairs(train, config.pair_weight, size, _margin(network, likes))]


def _margin(network: ClickNetwork, likes: Likes) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    def prefer(users: Tensor, preferred: Tensor, other: Tensor) -> Tensor:
        """x_u,preferred - x_u,other (n,), at the end of the train history."""
        codes = users.cpu().numpy().astype(np.int32)
        history = None
        if network.length:
            seen = likes.last(codes, likes.whole(codes), network.length, network.fields.n_items)
            history = torch.as_tensor(seen, device=users.device).repeat(2, 1)
        odds, _ = network(Rows(users.repeat(2), torch.cat([preferred, other]), history=history))
        output: Tensor = odds[: len(users)] - odds[len(users) :]
        return output

    return prefer


def _chances(odds: Floats) -> Floats:
    return torch.sigmoid(torch.from_numpy(odds)).numpy()
