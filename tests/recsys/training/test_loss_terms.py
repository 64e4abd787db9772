"""Loss terms with parameters of their own: they stack on every network, resume with it, and are absent in serving."""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from recloop.errors import ConfigError
from recloop.recsys.guidance import Guided, GuidedConfig
from recloop.recsys.models import FitContext, load, model, save
from recloop.recsys.models.contract import two_tastes
from recloop.recsys.models.network import EmbeddingModel
from recloop.recsys.training.config import Config, TrainingConfig
from recloop.recsys.training.loss_term import LossTerm
from recloop.recsys.training.terms import Term
from torch import nn

SMALL = {"epochs": 4, "embedding_size": 8, "learning_rate": 0.03, "batch_size": 64}
HERE = "tests.recsys.training.test_loss_terms"
EVERYONE = np.arange(41, dtype=np.int32)


class AlignConfig(Config):
    weight: float = 1.0


class Align(LossTerm[AlignConfig]):
    """1 - cosine between a linear map of the items' vectors in the data and the network's item table."""

    name: ClassVar[str] = "align"
    Config: ClassVar[type[Config]] = AlignConfig
    last: ClassVar[nn.Module | None] = None

    def module(self, learner: Any, network: nn.Module, train) -> nn.Module:
        return nn.Linear(train.item_vectors.shape[1], learner.item_table(network).shape[1], bias=False)

    def terms(self, learner: Any, network: nn.Module, module: nn.Module, train) -> list[Term]:
        vectors = torch.from_numpy(train.item_vectors)

        def batches(rng: np.random.Generator) -> Iterator[tuple[np.ndarray, ...]]:
            own = rng.spawn(1)[0]
            while True:
                yield (own.integers(0, train.n_items, 16),)

        def loss(items: torch.Tensor) -> torch.Tensor:
            near = torch.cosine_similarity(module(vectors[items]), learner.item_table(network)[items])
            return self.config.weight * (1 - near).mean()

        return [Term(batches, loss)]

    def finish(self, learner: Any, network: nn.Module, module: nn.Module, train) -> None:
        Align.last = module


class Averages(nn.Module):
    def __init__(self, n_items, size):
        super().__init__()
        self.items = nn.Parameter(torch.randn(n_items, size) * 0.1)


class AverageModel(EmbeddingModel[Averages, TrainingConfig]):
    """A plug-in network: a user is the mean of their items' vectors."""

    name: ClassVar[str] = "average"
    Config: ClassVar[type[TrainingConfig]] = TrainingConfig

    def build(self, train):
        return Averages(train.n_items, 8)

    def empty_network(self, state):
        return Averages(*state["items"].shape)

    def terms(self, network, train):
        def batches(rng):
            for _ in range(4):
                yield train.user[:64].astype(np.int64), train.item[:64].astype(np.int64)

        def loss(users, items):
            return nn.functional.cross_entropy(self.user_states(network, users, train) @ network.items.T, items)

        return [Term(batches, loss)]

    @torch.no_grad()
    def scores(self, network, users, history):
        return (self.user_states(network, torch.as_tensor(users), history) @ network.items.T).numpy()

    def item_table(self, network):
        return network.items

    def user_states(self, network, users, history):
        return torch.stack([network.items[history.history(int(u)).astype(np.int64)].mean(0) for u in users])


@pytest.fixture(scope="module")
def data():
    train = two_tastes().train
    rng = np.random.default_rng(0)
    pairs = [(u, i, rng.random()) for u in range(train.n_users) for i in range(0, train.n_items, 3)]
    scores = pd.DataFrame(pairs, columns=["user", "item", "score"]).astype({"user": "int32", "item": "int32"})
    return train.with_(
        item_vectors=rng.normal(size=(train.n_items, 5)).astype(np.float32),
        scores=scores.assign(spread=np.nan, agent="score_pairs", record="r"),
    )


def scores_of(name, data, terms, context=FitContext(), **changes):
    fitted = model(name, **{**SMALL, **changes}, terms=terms)
    fitted.fit(data, None, context)
    return fitted.score(EVERYONE, data)


def test_terms_stack_and_each_changes_what_is_learnt(data):
    align, guide = {f"{HERE}:Align": {"weight": 3.0}}, {"guidance": {"gate": "open", "weight": 3.0, "every": 1}}
    results = [scores_of("bpr", data, terms) for terms in ([], [align], [guide], [align, guide])]
    for place, one in enumerate(results):
        for other in results[:place]:
            assert not np.allclose(one, other)


def test_a_terms_own_parameters_are_trained_and_left_out_of_the_saved_model(data, tmp_path):
    fitted = model("bpr", **SMALL, terms=[{f"{HERE}:Align": {"weight": 3.0}}])
    fitted.fit(data)
    torch.manual_seed(0)
    assert not torch.equal(Align.last.weight, nn.Linear(5, 8, bias=False).weight)
    assert set(fitted.state()) == {"users", "items", "bias"}
    save(fitted, tmp_path)
    np.testing.assert_array_equal(load(tmp_path).score(EVERYONE, data), fitted.score(EVERYONE, data))


@pytest.mark.parametrize("name", ["bpr", "lightgcn"])
def test_the_guided_wrapper_is_the_network_with_the_term_to_the_digit(name, data):
    how = {"gate": "paper", "weight": 2.0}
    wrapper = Guided(GuidedConfig(model=name, settings=SMALL, **how))
    wrapper.fit(data)
    np.testing.assert_array_equal(wrapper.score(EVERYONE, data), scores_of(name, data, [{"guidance": how}]))


def test_guidance_without_scores_changes_no_digit(data):
    bare = data.with_(scores=data.scores.iloc[:0])
    np.testing.assert_array_equal(scores_of("bpr", bare, ["guidance"]), scores_of("bpr", bare, []))


def test_a_plug_in_network_is_guided_by_what_it_offers(data):
    plain, heard = (
        Guided(GuidedConfig(model=f"{HERE}:AverageModel", settings={"epochs": 3}, gate=gate, weight=5.0, every=1))
        for gate in ("closed", "open")
    )
    for one in (plain, heard):
        one.fit(data)
    table = data.scores.sort_values("score")
    low, high = table[table["score"] < 0.2], table[table["score"] > 0.8]

    def gap(fitted):
        x = fitted.score(EVERYONE, data)
        return x[high["user"], high["item"]].mean() - x[low["user"], low["item"]].mean()

    assert gap(heard) > gap(plain)
    assert heard.item_vectors().shape == (data.n_items, 8)


def test_a_cut_training_goes_on_with_the_terms_parameters_and_another_term_is_refused(data, tmp_path):
    terms = [{f"{HERE}:Align": {"weight": 3.0}}]
    whole = scores_of("bpr", data, terms)
    scores_of("bpr", data, terms, FitContext(folder=tmp_path), epochs=2)
    np.testing.assert_array_equal(scores_of("bpr", data, terms, FitContext(folder=tmp_path)), whole)
    for other in ([], [{f"{HERE}:Align": {"weight": 1.0}}]):
        with pytest.raises(ConfigError, match="holds a training with other"):
            scores_of("bpr", data, other, FitContext(folder=tmp_path))


def test_sparse_gradients_and_a_term_exclude_each_other(data):
    with pytest.raises(ConfigError, match="set lazy: false"):
        scores_of("bpr", data, ["guidance"], lazy=True)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (["guidence"], "did you mean 'guidance'"),
        ([{"guidance": {"wieght": 1}}], "did you mean 'weight'"),
        ([{"guidance": {"weight": -1}}], "greater than or equal to 0"),
        (["os:getcwd"], "cannot be used"),
        ("guidance", "write a list of loss terms"),
        ([3], "is not a loss term"),
    ],
)
def test_a_wrong_term_is_refused_when_the_settings_are_read(terms, message):
    with pytest.raises(ConfigError, match=message):
        model("bpr", terms=terms)


def test_scores_that_are_not_there_are_refused_before_a_training():
    with pytest.raises(ConfigError, match=r"nowhere\.parquet do not exist"):
        model("sasrec", terms=[{"guidance": {"scores": "nowhere.parquet"}}]).config.check()
