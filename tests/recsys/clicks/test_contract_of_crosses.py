"""The cross networks pass the contract."""

from recloop.recsys.clicks.contract import ClickContract

from tests.recsys.clicks.small import small


class TestDCN(ClickContract):
    def make(self, **hyperparameters):
        return small("dcn", **hyperparameters)


class TestDCNv2(ClickContract):
    def make(self, **hyperparameters):
        return small("dcnv2", **hyperparameters)
