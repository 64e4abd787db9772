"""LightGCN's propagation and gradient against dense ones worked out apart."""

import numpy as np
import pandas as pd
import pytest
import torch
from recloop.recsys.data.dataset import Dataset
from recloop.recsys.models import model
from recloop.recsys.models.contract import two_tastes
from recloop.recsys.models.lightgcn import Graph, normalised


def dense(data):
    n = data.n_users + data.n_items
    adjacency = np.zeros((n, n))
    np.add.at(adjacency, (data.user, data.n_users + data.item), data.weight)
    adjacency += adjacency.T
    degree = adjacency.sum(1)
    return adjacency / np.sqrt(np.outer(degree, degree))


def test_the_graph_is_normalised_by_both_degrees():
    # user 1 has a, b; user 2 has b: degrees 2, 1 and 1, 2
    data = Dataset.of("made", pd.DataFrame({"user_id": [1, 1, 2], "item_id": ["a", "b", "b"]}))
    graph = normalised(data).to_dense().numpy()
    expected = [[0, 0, 1 / np.sqrt(2), 1 / 2], [0, 0, 0, 1 / np.sqrt(2)]]
    np.testing.assert_allclose(graph[:2], expected, rtol=1e-6)
    np.testing.assert_allclose(graph, graph.T)


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_propagation_is_the_mean_over_the_layers(layers):
    train = two_tastes().train
    network = Graph(train.n_users, train.n_items, 4, layers, normalised(train))
    adjacency = torch.tensor(dense(train), dtype=torch.float32)
    start = torch.cat([network.users, network.items])
    expected = sum(torch.linalg.matrix_power(adjacency, k) @ start for k in range(layers + 1)) / (layers + 1)
    torch.testing.assert_close(torch.cat(network.propagated()), expected)


def test_the_gradient_is_that_of_the_dense_product():
    train = two_tastes().train
    users, items, others = torch.tensor([0, 1, 2]), torch.tensor([3, 4, 5]), torch.tensor([6, 7, 6])
    sparse = Graph(train.n_users, train.n_items, 4, 2, normalised(train))
    plain = Graph(train.n_users, train.n_items, 4, 2, None)
    plain.load_state_dict(sparse.state_dict())
    sparse(users, items, others).square().sum().backward()
    adjacency = torch.tensor(dense(train), dtype=torch.float32)
    start = torch.cat([plain.users, plain.items])
    spread = (start + adjacency @ start + adjacency @ adjacency @ start) / 3
    u, i = spread.split([train.n_users, train.n_items])
    (u[users] * (i[items] - i[others])).sum(1).square().sum().backward()
    torch.testing.assert_close(sparse.users.grad, plain.users.grad)
    torch.testing.assert_close(sparse.items.grad, plain.items.grad)


def test_a_heavier_interaction_pulls_its_ends_closer():
    train = two_tastes().train
    weight = np.ones(len(train), np.float32)
    weight[0] = 50
    heavy = normalised(train.with_(interactions=train.interactions.assign(weight=weight))).to_dense()
    plain = normalised(train).to_dense()
    at = (train.user[0], train.n_users + train.item[0])
    assert heavy[at] > plain[at]


def test_every_parameter_moves_and_a_node_without_edges_keeps_its_own_vector():
    train = two_tastes().train
    learner = model("lightgcn", embedding_size=4, epochs=1, batch_size=32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        before = learner.build(train).state_dict()
    learner.fit(train)
    for name, after in learner.network.state_dict().items():
        assert not torch.equal(before[name], after), name
    lonely = train.rows(train.item != 3)
    network = Graph(train.n_users, train.n_items, 4, 2, normalised(lonely))
    torch.testing.assert_close(network.propagated()[1][3], network.items[3] / 3)
