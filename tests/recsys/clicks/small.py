"""Every click model, small enough to be fitted in a fraction of a second."""

from recloop.recsys.models import model

DEEP = {"layers": (16,), "dropout": 0.0}
OWN = {
    "logistic": {},
    "fm": {},
    "deepfm": DEEP,
    "xdeepfm": DEEP | {"cin": (8, 8)},
    "dcn": DEEP | {"crosses": 2},
    "dcnv2": DEEP | {"crosses": 1},
    "autoint": DEEP | {"attentions": 1, "head_size": 4},
    "din": DEEP | {"max_length": 6, "attention": 8},
}


def small(name, **hyperparameters):
    size = {} if name == "logistic" else {"embedding_size": 8}
    told = {"epochs": 12, "patience": 12, "batch_size": 128, "learning_rate": 0.03, "l2": 1e-3, "negatives": 2}
    return model(name, **(told | size | OWN[name] | hyperparameters))
