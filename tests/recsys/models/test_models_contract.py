"""Every model of the table passes the contract."""

import pytest
from recloop.recsys.clicks import CLICK_MODELS
from recloop.recsys.models import MODELS, model
from recloop.recsys.models.contract import RecommenderContract

SMALL = {"epochs": 12, "embedding_size": 8, "learning_rate": 0.03}


class TestPopularity(RecommenderContract):
    learns_taste = False

    def make(self, **hyperparameters):
        return model("popularity", **hyperparameters)


class TestItemKNN(RecommenderContract):
    def make(self, **hyperparameters):
        return model("itemknn", **hyperparameters)


class TestItemKNNWithBM25OfHistory(RecommenderContract):
    def make(self, **hyperparameters):
        return model("itemknn", weighting="bm25", neighbours_of="history", **hyperparameters)


class TestSwing(RecommenderContract):
    def make(self, **hyperparameters):
        return model("swing", **hyperparameters)


class TestYoutubeDNN(RecommenderContract):
    def make(self, **hyperparameters):
        small = SMALL | {"batch_size": 64, "max_length": 8, "hidden": (16,), "negatives": 16, "dropout": 0.1}
        return model("youtubednn", **small, **hyperparameters)


class TestYoutubeDNNOfTheBatchByCosine(RecommenderContract):
    def make(self, **hyperparameters):
        small = SMALL | {"batch_size": 64, "max_length": 8, "hidden": (), "dropout": 0.1, "shared": False}
        return model("youtubednn", **small, sampler="batch", temperature=0.2, **hyperparameters)


class TestBPR(RecommenderContract):
    def make(self, **hyperparameters):
        return model("bpr", **SMALL, batch_size=64, **hyperparameters)


class TestSASRec(RecommenderContract):
    def make(self, **hyperparameters):
        return model("sasrec", **SMALL, batch_size=16, max_length=8, blocks=1, dropout=0.1, **hyperparameters)


class TestSASRecWithGBCE(RecommenderContract):
    def make(self, **hyperparameters):
        small = SMALL | {"epochs": 30, "batch_size": 16, "max_length": 8, "blocks": 1, "dropout": 0.1}
        return model("sasrec", **small, loss="gbce", negatives=4, calibration=0.0, patience=30, **hyperparameters)


class TestRobustSASRec(RecommenderContract):
    def make(self, **hyperparameters):
        small = SMALL | {"batch_size": 16, "max_length": 8, "blocks": 1, "dropout": 0.1}
        return model("robust_sasrec", **small, **hyperparameters)


class TestRobustGRU4Rec(RecommenderContract):
    def make(self, **hyperparameters):
        small = SMALL | {"batch_size": 16, "max_length": 8, "hidden_size": 8, "dropout": 0.1}
        return model("robust_gru4rec", **small, **hyperparameters)


class TestEASE(RecommenderContract):
    def make(self, **hyperparameters):
        return model("ease", l2=5.0, **hyperparameters)


class TestIALS(RecommenderContract):
    def make(self, **hyperparameters):
        return model("ials", embedding_size=4, **hyperparameters)


class TestLightGCN(RecommenderContract):
    def make(self, **hyperparameters):
        return model("lightgcn", **SMALL, batch_size=64, **hyperparameters)


class TestGRU4Rec(RecommenderContract):
    def make(self, **hyperparameters):
        return model("gru4rec", **SMALL, batch_size=16, max_length=8, hidden_size=8, dropout=0.1, **hyperparameters)


class TestBERT4Rec(RecommenderContract):
    def make(self, **hyperparameters):
        small = SMALL | {"epochs": 20, "patience": 20, "batch_size": 16, "max_length": 8, "blocks": 1, "dropout": 0.1}
        return model("bert4rec", **small, **hyperparameters)


class TestItemToItemOfSwing(RecommenderContract):
    def make(self, **hyperparameters):
        return model("i2i", model="swing", k=30, last=8, **hyperparameters)


class TestItemToItemOfItemKNN(RecommenderContract):
    def make(self, **hyperparameters):
        return model("i2i", model="itemknn", k=30, last=8, decay=0.9, **hyperparameters)


class TestItemToItemOfEASE(RecommenderContract):
    def make(self, **hyperparameters):
        return model("i2i", model="ease", settings={"l2": 5.0}, k=30, last=8, **hyperparameters)


class TestItemToItemOfBPR(RecommenderContract):
    def make(self, **hyperparameters):
        return model("i2i", model="bpr", settings=SMALL | {"batch_size": 64}, k=30, last=8, **hyperparameters)


class TestItemToItemOfYoutubeDNN(RecommenderContract):
    def make(self, **hyperparameters):
        small = SMALL | {"batch_size": 64, "max_length": 8, "hidden": (), "negatives": 16, "dropout": 0.1}
        return model("i2i", model="youtubednn", settings=small, k=30, last=8, **hyperparameters)


class TestGuidedBPR(RecommenderContract):
    def make(self, **hyperparameters):
        return model("guided", model="bpr", settings=SMALL | {"batch_size": 64}, **hyperparameters)


def test_every_model_of_the_table_has_its_contract_tests():
    tested = {
        tests().make().name
        for tests in (kind for kind in globals().values() if isinstance(kind, type))
        if issubclass(tests, RecommenderContract) and tests is not RecommenderContract
    }
    assert tested == set(MODELS) - set(CLICK_MODELS), "click models have theirs in tests/recsys/clicks"


@pytest.mark.parametrize("name", MODELS)
def test_a_name_of_the_table_is_the_models_own(name):
    assert model(name).name == name
