"""DeepFM and xDeepFM pass the contract."""

from recloop.recsys.clicks.contract import ClickContract

from tests.recsys.clicks.small import small


class TestDeepFM(ClickContract):
    def make(self, **hyperparameters):
        return small("deepfm", **hyperparameters)


class TestXDeepFM(ClickContract):
    def make(self, **hyperparameters):
        return small("xdeepfm", **hyperparameters)
