"""What `train` says is checked while the file is read, or at the latest before the agents are paid."""

import pytest
from recloop.errors import ConfigError
from recloop.recsys.models import MODELS, FitContext, model
from recloop.recsys.models.contract import two_tastes
from recloop.recsys.models.train_config import TrainConfig
from recloop.settings import checked


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seeds": [-1]}, "seeds: seed -1 is negative"),
        ({"seeds": [2**80]}, "is too large"),
        ({"seeds": [0, 0]}, "seeds: 0 twice"),
        ({"seeds": [True]}, "seeds.0 is a number, not true or false"),
        ({"models": []}, "models: write a list of models"),
        ({"models": [5]}, "5 is not a model"),
        ({"models": ["os:getcwd"]}, "cannot be used: it is not a class"),
        ({"models": [":BPR"]}, "cannot be imported"),
        ({"models": [{"bpr": {"epochs": True}}]}, "epochs is a number, not true or false"),
        ({"models": [{"guided": {"settings": {"epochs": True}}}]}, "epochs is a number, not true or false"),
        ({"models": [{"bpr": {"learning_rate": float("inf")}}]}, "learning_rate: Input should be a finite number"),
        ({"models": [{"guided": {"margin": float("nan")}}]}, "margin: Input should be a finite number"),
        ({"device": "potato"}, "device: 'potato' is no device"),
        ({"threads": 100_000}, "threads: Input should be less than or equal to 1024"),
        ({"threads": 0}, "threads: Input should be greater than 0"),
        ({"epochs": True}, "epochs is a number, not true or false"),
    ],
)
def test_a_training_that_cannot_be_is_refused_in_one_line_when_the_file_is_read(values, message):
    with pytest.raises(ConfigError, match=message) as refused:
        checked(TrainConfig, values, "study.yaml: train")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["bpr", "popularity"])
def test_a_device_that_is_not_there_is_refused_before_anything_is_trained(name):
    with pytest.raises(ConfigError, match=r"train\.device: xpu:7 is not"):
        TrainConfig(models=[name], device="xpu:7").check()


@pytest.mark.parametrize("context", [FitContext(device="potato"), FitContext(threads=10**6), FitContext(seed=-1)])
def test_a_network_refuses_a_context_that_no_machine_has(context):
    with pytest.raises(ConfigError, match=r"device|threads|seed"):
        model("bpr", epochs=1).fit(two_tastes().train, None, context)


def test_a_catalogue_too_large_for_a_model_and_a_column_that_is_missing_are_refused_before_the_fit():
    train = two_tastes().train
    for entry, message in (
        ({"ease": {"max_items": 5}}, "ease: 24 items"),
        ({"fm": {"fields": ["colour"]}}, "no column 'colour'"),
        ({"i2i": {"model": "ease", "settings": {"max_items": 5}}}, "ease: 24 items"),
        ({"guided": {"scores": "nowhere.parquet"}}, "nowhere.parquet do not exist"),
    ):
        with pytest.raises(ConfigError, match=message):
            TrainConfig(models=[entry]).check(train)


WRAPPED = {
    "bpr": {},
    "guided": {"model": "bpr"},
    "i2i": {"model": "bpr"},
}


@pytest.mark.parametrize("name", WRAPPED)
def test_the_limit_of_epochs_holds_for_the_model_inside_a_wrapper(name):
    small = {"embedding_size": 4, "patience": 50}
    given = small if name == "bpr" else WRAPPED[name] | {"settings": small}
    fitted = model(name, **TrainConfig(epochs=3).hyperparameters(name, given))
    fitted.fit(two_tastes().train)
    assert len(fitted.log.epochs) == 3


def test_a_number_of_epochs_among_the_hyperparameters_comes_before_the_limit_of_all():
    limits = TrainConfig(epochs=3)
    assert limits.hyperparameters("bpr", {"epochs": 7}) == {"epochs": 7}
    inner = {"model": "bpr", "settings": {"epochs": 7}}
    assert limits.hyperparameters("i2i", inner) == inner
    assert limits.hyperparameters("ials", {}) == {}


def test_a_model_is_fitted_once_a_seed_where_the_seed_matters():
    random = {name for name in MODELS if len(TrainConfig(seeds=[0, 1]).seeds_for(model(name).config)) == 2}
    assert set(MODELS) - random == {"popularity", "itemknn", "swing", "ease", "i2i"}  # i2i of swing
    assert model("i2i", model="ials").config.random
    assert model("i2i", model="bpr").config.in_epochs


def test_a_refit_inside_a_wrapper_counts_as_learning_the_validation_side():
    assert model("guided", settings={"refit": True}).config.learns_validation
    assert model("i2i", model="bpr", settings={"refit": True}).config.learns_validation
    assert not model("guided").config.learns_validation
