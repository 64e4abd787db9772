"""Search spaces: every model's own is about its own fields, and holds the defaults that a search begins with."""

import pytest
from recloop.errors import ConfigError
from recloop.recsys.models import MODELS, ModelConfig, model, model_class
from recloop.recsys.training.space import Among, Range, space_of
from recloop.recsys.tuning.suggestion import start

SEARCHED = [name for name in MODELS if name != "popularity"]


@pytest.mark.parametrize("name", SEARCHED)
def test_every_model_with_hyperparameters_says_where_to_search_them(name):
    assert space_of(model_class(name).Config)


@pytest.mark.parametrize("name", SEARCHED)
def test_the_defaults_lie_in_the_space_so_that_a_search_can_begin_with_them(name):
    space = space_of(model_class(name).Config)
    defaults = model_class(name).Config().model_dump()
    assert set(start(space, defaults)) == set(space)


@pytest.mark.parametrize("name", SEARCHED)
def test_both_ends_of_every_range_and_every_choice_are_accepted_by_the_model(name):
    for field, where in space_of(model_class(name).Config).items():
        for value in where.values if isinstance(where, Among) else (where.low, where.high):
            model(name, **{field: value})


def test_a_class_adds_its_space_to_its_parents():
    class Parent(ModelConfig):
        size: int = 1
        rate: float = 0.1
        space = {"size": Range(1, 9), "rate": Range(0.1, 0.2)}  # noqa: RUF012

    class Child(Parent):
        space = {"rate": Range(0.5, 0.9)}  # noqa: RUF012

    assert space_of(Child) == {"size": Range(1, 9), "rate": Range(0.5, 0.9)}


def test_a_space_over_a_field_that_is_not_there_is_refused():
    class Wrong(ModelConfig):
        space = {"siez": Range(1, 9)}  # noqa: RUF012

    with pytest.raises(ConfigError, match="no field 'siez'"):
        space_of(Wrong)


@pytest.mark.parametrize("make", [lambda: Range(2, 1), lambda: Range(0.0, 1.0, log=True), lambda: Among((1,))])
def test_a_space_that_leaves_nothing_to_search_is_refused(make):
    with pytest.raises(ValueError, match=r"low must be below high|at least two values"):
        make()
