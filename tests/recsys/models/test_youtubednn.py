"""YoutubeDNN: what a row is predicted from, how its negatives are corrected, and what the user tower reads."""

import numpy as np
import pandas as pd
import pytest
import torch
from recloop.errors import ConfigError
from recloop.recsys.data.dataset import Dataset
from recloop.recsys.models import model
from recloop.recsys.models.contract import two_tastes
from recloop.recsys.models.youtubednn import draw_odds, user_fields


@pytest.fixture(scope="module")
def split():
    return two_tastes()


def batches(data, **settings):
    network = model("youtubednn", embedding_size=4, batch_size=32, **settings)
    made = network.build(data)
    return network, made, list(network.terms(made, data)[0].batches(np.random.default_rng(0)))


def test_every_row_but_the_first_of_a_user_is_predicted_from_the_rows_before_it(split):
    data, last = split.train, 3
    _, _, made = batches(data, max_length=last)
    found = set()
    for users, items, positives, _, _ in made:
        for user, seen, target in zip(users.tolist(), items.tolist(), positives.tolist(), strict=True):
            history = data.history(user).tolist()
            place = history.index(target)
            assert [i for i in seen if i != data.n_items] == history[max(place - last, 0) : place]
            found.add((user, target))
    expected = {(u, i) for u in range(data.n_users) for i in data.history(u)[1:].tolist()}
    assert found == expected


def test_a_later_item_does_not_change_what_an_earlier_row_is_predicted_from(split):
    data = split.train
    place = np.arange(len(data)) - data.indptr[data.user]
    early = data.rows(place < 4)
    windows = []
    for one in (data, early):
        _, _, made = batches(one)
        windows.append(
            {
                (u, t): [i for i in seen if i != data.n_items]
                for users, items, targets, _, _ in made
                for u, seen, t in zip(users.tolist(), items.tolist(), targets.tolist(), strict=True)
            }
        )
    assert windows[1]
    assert all(windows[0][row] == seen for row, seen in windows[1].items())


def test_the_corrected_loss_over_the_whole_catalogue_drawn_once_is_the_full_softmax(split):
    """With every item drawn exactly once and Q uniform, the correction is a constant and nothing is estimated."""
    dnn, network, made = batches(split.train, sampler="uniform", dropout=0.0)
    users, items, positive, _, weight = (torch.as_tensor(a) for a in made[0])
    everything = torch.arange(split.train.n_items)
    loss = dnn.terms(network, split.train)[0].loss(users, items, positive, everything, weight)
    logits = network(users, items) @ network.items.T
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits, positive.long()))


def test_log_q_is_taken_from_the_target_and_from_the_drawn(split):
    dnn, network, made = batches(split.train, sampler="popularity", dropout=0.0)
    users, items, positive, others, weight = (torch.as_tensor(a) for a in made[0])
    place = np.arange(len(split.train)) - split.train.indptr[split.train.user]
    q = torch.from_numpy(np.log(draw_odds(split.train.item[place > 0], split.train.n_items, "popularity")))
    state = network(users, items).double()
    expected = []
    for row, target in enumerate(positive.tolist()):
        other = [j for j in others.tolist() if j != target]
        logits = torch.stack([state[row] @ network.items[j].double() - q[j] for j in (target, *other)])
        expected.append(torch.logsumexp(logits, 0) - logits[0])
    loss = dnn.terms(network, split.train)[0].loss(users, items, positive, others, weight)
    torch.testing.assert_close(loss.double(), torch.stack(expected).mean(), rtol=1e-5, atol=1e-5)


def test_negatives_are_drawn_as_often_as_q_says(split):
    _, _, made = batches(split.train, negatives=4096)
    place = np.arange(len(split.train)) - split.train.indptr[split.train.user]
    odds = draw_odds(split.train.item[place > 0], split.train.n_items, "popularity")
    drawn = np.bincount(np.concatenate([b[3] for b in made]), minlength=split.train.n_items)
    np.testing.assert_allclose(drawn / drawn.sum(), odds, atol=4 * np.sqrt(odds.max() / drawn.sum()))


def test_without_the_correction_popular_items_are_pushed_down():
    """Everybody takes item 0 half of the time: sampled by popularity, only the corrected model finds out."""
    rng = np.random.default_rng(0)
    rows = [(u, 0 if t % 2 else int(rng.integers(1, 20)), t) for u in range(80) for t in range(8)]
    data = Dataset.of("popular", pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]))
    popular = data.items["item_id"].tolist().index(0)
    gain = []
    for correction in (True, False):
        dnn = model("youtubednn", embedding_size=8, hidden=(8,), epochs=30, batch_size=64, correction=correction)
        dnn.fit(data)
        scores = dnn.score(np.arange(80, dtype=np.int32), data)
        gain.append((scores[:, popular] - np.delete(scores, popular, 1).mean(1)).mean())
    assert gain[0] > gain[1] + 1


def test_padding_does_not_matter(split):
    _, network, _ = batches(split.train)
    network.eval()
    n = split.train.n_items
    users, short = torch.tensor([0, 1]), torch.tensor([[1, 2], [3, n]])
    torch.testing.assert_close(network(users, short), network(users, torch.nn.functional.pad(short, (0, 5), value=n)))


def test_only_the_last_items_are_read(split):
    dnn = model("youtubednn", embedding_size=4, epochs=2, max_length=2)
    dnn.fit(split.train)
    data = split.train
    from_end = data.indptr[data.user + 1] - 1 - np.arange(len(data))
    everyone = np.arange(data.n_users, dtype=np.int32)
    np.testing.assert_allclose(dnn.score(everyone, data), dnn.score(everyone, data.rows(from_end < 2)), rtol=1e-5)


def test_the_vectors_products_are_the_scores(split):
    dnn = model("youtubednn", embedding_size=4, epochs=2, temperature=0.1)
    dnn.fit(split.train)
    everyone = np.arange(split.train.n_users, dtype=np.int32)
    products = dnn.user_vectors(everyone, split.train) @ dnn.item_vectors().T
    np.testing.assert_allclose(products, dnn.score(everyone, split.train), rtol=1e-4, atol=1e-5)


def test_the_users_own_fields_are_read():
    """Users of one field value take item 0, those of the other item 1, after the same first item."""
    rows = [(u, i, t) for u in range(60) for t, i in enumerate((2, u % 2))]
    users = pd.DataFrame({"user_id": range(60), "sex": ["F" if u % 2 else "M" for u in range(60)]})
    data = Dataset.of("fields", pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]), users=users)
    history = data.rows(np.arange(len(data)) % 2 == 0)
    dnn = model("youtubednn", embedding_size=8, epochs=60, batch_size=16, dropout=0.0)
    dnn.fit(data)
    scores = dnn.score(np.arange(60, dtype=np.int32), history)
    zero, one = (data.items["item_id"].tolist().index(i) for i in (0, 1))
    assert ((scores[:, zero] > scores[:, one]) == (np.arange(60) % 2 == 0)).all()


def test_fields_are_rows_of_one_table(split):
    users = split.train.users.assign(age=np.arange(41) % 3, town=["x", ""] * 20 + ["y"])
    data = split.train.with_(users=users)
    codes, size = user_fields(data, ("age", "town"))
    assert codes.shape == (41, 2)
    assert size == 4 + 3  # three ages, two towns, and "unknown" for each
    assert codes[:, 0].max() < 4 <= codes[:, 1].min()
    assert user_fields(split.train, None) == (pytest.approx(np.empty((41, 0))), 0)
    with pytest.raises(ConfigError, match="no column 'height'"):
        user_fields(data, ("height",))
