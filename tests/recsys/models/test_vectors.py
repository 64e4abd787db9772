"""What serving asks of models: vectors whose product is the score, and weights that are the score of one item."""

import numpy as np
import pytest
from recloop.recsys.models import MODELS, model, model_class
from recloop.recsys.models.capabilities import Biased, Embedding, ItemWeights
from recloop.recsys.models.contract import two_tastes

SMALL = {"epochs": 2, "embedding_size": 8}
EMBEDDED = {
    "ials": {"embedding_size": 8},
    "bpr": SMALL,
    "lightgcn": SMALL,
    "sasrec": SMALL | {"max_length": 8},
    "gru4rec": SMALL | {"max_length": 8},
    "bert4rec": SMALL | {"max_length": 8},
}


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_users_vector_times_an_items_plus_its_bias_is_the_score(name):
    split = two_tastes()
    fitted = model(name, **EMBEDDED[name])
    fitted.fit(split.train, split.valid)
    assert isinstance(fitted, Embedding)
    users = np.array([3, 0, 11], np.int32)
    product = fitted.user_vectors(users, split.train) @ fitted.item_vectors().T
    if isinstance(fitted, Biased):
        product = product + fitted.item_bias()
    np.testing.assert_allclose(product, fitted.score(users, split.train), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["itemknn", "swing", "ease"])
def test_an_items_weights_are_the_scores_of_a_user_who_has_that_item_alone(name):
    split = two_tastes()
    fitted = model(name)
    fitted.fit(split.train)
    assert isinstance(fitted, ItemWeights)
    item, user = int(split.train.history(4)[0]), 4
    alone = split.train.rows((split.train.user == user) & (split.train.item == item))
    items = np.array([item], np.int32)
    np.testing.assert_allclose(fitted.item_weights(items), fitted.score(np.array([user], np.int32), alone), rtol=1e-5)


def test_a_model_is_read_in_one_way_at_most():
    for name, kind in ((name, model_class(name)) for name in MODELS):
        assert not (issubclass(kind, Embedding) and issubclass(kind, ItemWeights)), name
