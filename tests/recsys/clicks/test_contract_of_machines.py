"""Logistic regression and the factorisation machine pass the contract."""

from recloop.recsys.clicks.contract import ClickContract

from tests.recsys.clicks.small import small


class TestLogistic(ClickContract):
    learns_taste = False
    learns_interactions = False

    def make(self, **hyperparameters):
        return small("logistic", **hyperparameters)


class TestFM(ClickContract):
    def make(self, **hyperparameters):
        return small("fm", **hyperparameters)
