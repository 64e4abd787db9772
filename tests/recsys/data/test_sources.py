"""`DataConfig`: what a study file may say of its data, and what comes of it."""

from pathlib import Path

import pandas as pd
import pytest
from pydantic import ValidationError
from recloop.errors import ConfigError, DataError
from recloop.recsys.data import SOURCES, DataConfig, Dataset, load, load_split, read_movielens, write


def test_the_line_of_the_design_page_loads(shared_data: Path) -> None:
    config = DataConfig.model_validate(
        {
            "source": "movielens",
            "path": str(shared_data / "ml-latest-small" / "ml-latest-small.zip"),
            "min_rating": 4,
            "core": 5,
            "split": "leave_last_out",
        }
    )
    sides = load_split(config)
    assert sides.train.value.min() >= 4
    assert len(sides.test) == len(sides.valid) == sides.train.n_users
    whole = load(config)
    assert whole.user_counts.min() >= 5
    assert whole.item_counts.min() >= 5
    assert len(sides.train) + len(sides.valid) + len(sides.test) == len(whole)


def test_the_default_is_the_built_in_world() -> None:
    data = load(DataConfig(n_users=40, n_items=120, seed=3))
    assert data.n_users == 40
    assert data.fingerprint == load(DataConfig(n_users=40, n_items=120, seed=3)).fingerprint


def test_every_file_source_reads_through_the_config(shared_data: Path, tmp_path: Path) -> None:
    ml = read_movielens(shared_data / "ml-100k")
    written = write(ml, tmp_path / "ml", "csv")
    assert load(DataConfig(source="written", path=written)).fingerprint == ml.fingerprint
    as_table = DataConfig(
        source="table", path=written / "interactions.csv", items=written / "items.csv", users=written / "users.csv"
    )
    assert len(load(as_table)) == 100000
    cds = shared_data / "cds-100"
    assert len(load(DataConfig(source="atomic", path=cds / "dense", items=cds / "CDs.item"))) == 800
    toys = shared_data / "amazon-toys-noise" / "noise-0.1" / "test.csv"
    windows = load(DataConfig(source="windows", path=toys, duplicates="keep"))
    assert (windows.n_users, len(windows)) == (4794, 42484)
    assert set(SOURCES) == {"bazaar", "movielens", "amazon", "atomic", "table", "windows", "written"}


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"source": "movilens"}, "no source 'movilens'; did you mean 'movielens'"),
        ({"split": "leave_last"}, "no split 'leave_last'; did you mean 'leave_last_out'"),
        ({"split": {"given": {}, "global_time": {}}}, "one name with its settings"),
        ({"min_ratin": 4}, "Extra inputs are not permitted"),
        ({"core": {"users": 5}}, "Extra inputs are not permitted"),
        ({"core": 0}, "greater than 0"),
        ({"source": "movielens", "columns": {"user_id": "u"}}, "'movielens' does not read `columns`"),
        ({"source": "bazaar", "path": "x"}, "'bazaar' does not read `path`"),
    ],
)
def test_what_a_study_cannot_mean_is_refused(bad: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DataConfig.model_validate(bad)


def test_a_configuration_written_out_in_full_is_the_same_one() -> None:
    config = DataConfig.model_validate({"source": "table", "path": "log.csv", "core": {"user": 3}, "time": "ms"})
    assert DataConfig.model_validate(config.model_dump()) == config
    assert DataConfig.model_validate_json(config.model_dump_json()) == config


def test_a_split_takes_its_settings_and_refuses_unknown_ones() -> None:
    sides = load_split(DataConfig.model_validate({"split": {"per_user_ratio": {"valid": 0, "test": 0.3}}}))
    assert len(sides.valid) == 0
    with pytest.raises(ConfigError, match=r"data.split.per_user_ratio: .*'tset'"):
        load_split(DataConfig.model_validate({"split": {"per_user_ratio": {"tset": 0.3}}}))


def test_a_missing_path_and_an_emptying_filter_name_themselves(shared_data: Path) -> None:
    with pytest.raises(ConfigError, match=r"data.path is missing; source 'movielens'"):
        load(DataConfig(source="movielens"))
    with pytest.raises(DataError, match=r"empty after at_least\(6\): the highest value is 5; it had 100000 rows"):
        load(DataConfig(source="movielens", path=shared_data / "ml-100k", min_rating=6))


def test_ones_own_function_is_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_of_test_sources.py").write_text(
        "import pandas as pd\nfrom recloop.recsys.data import Dataset\n\n"
        "def mine(config):\n"
        "    return Dataset.of('mine', pd.DataFrame({'user_id': [1, 1], 'item_id': [2, 2]}))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert len(load(DataConfig(source="mine_of_test_sources:mine"))) == 1
    assert len(load(DataConfig(source="mine_of_test_sources:mine", duplicates="keep"))) == 2
    with pytest.raises(ConfigError, match="cannot be imported"):
        load(DataConfig(source="mine_of_test_sources:other"))


def test_a_repeated_pair_is_dropped_before_the_rating_is_asked(tmp_path: Path) -> None:
    rows = pd.DataFrame({"user_id": 1, "item_id": [5, 5, 6], "value": [5.0, 1.0, 4.0], "timestamp": [1, 2, 3]})
    rows.to_csv(tmp_path / "a.csv", index=False)
    data: Dataset = load(DataConfig(source="table", path=tmp_path / "a.csv", min_rating=4))
    assert data.items["item_id"].tolist() == ["6"]
