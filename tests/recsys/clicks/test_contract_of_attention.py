"""AutoInt and DIN pass the contract."""

from recloop.recsys.clicks.contract import ClickContract

from tests.recsys.clicks.small import small


class TestAutoInt(ClickContract):
    def make(self, **hyperparameters):
        return small("autoint", **hyperparameters)


class TestDIN(ClickContract):
    def make(self, **hyperparameters):
        return small("din", **hyperparameters)
