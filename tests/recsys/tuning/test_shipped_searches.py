"""The searches and the configurations that are shipped can be read, and speak of the same data."""

from pathlib import Path

import pytest
import yaml
from recloop.recsys.tuning import read_tuning
from recloop.simulators.studies.study import read_study

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def placed(data):
    """The settings of some data, with its paths as they are on this machine."""
    given = {key: str(Path(path).resolve()) for key, path in data.split.get("given", {}).items()}
    return data.model_dump() | {
        "path": data.path.resolve(),
        "split": {**data.split, **({"given": given} if given else {})},
    }


FOUND = sorted((EXAMPLES / "tuned").glob("*.yaml"))


@pytest.mark.parametrize("file", sorted((EXAMPLES / "tune").glob("*.yaml")), ids=lambda file: file.name)
def test_a_search_that_is_shipped_can_be_read(file):
    assert read_tuning(file).name == file.stem


@pytest.mark.parametrize("file", FOUND, ids=lambda file: file.name)
def test_a_configuration_that_is_shipped_is_a_study_of_the_data_it_was_searched_on(file):
    study, search = read_study(file), read_tuning(EXAMPLES / "tune" / file.name)
    assert placed(study.data) == placed(search.data)
    assert [name for entry in study.train.models for name in entry] == [name for name, _ in search.models]


@pytest.mark.parametrize("file", FOUND, ids=lambda file: file.name)
def test_a_configuration_says_how_it_was_found(file):
    text = file.read_text()
    head = [line for line in text.splitlines() if line.startswith("#")]
    assert f"recloop tune examples/tune/{file.name}" in head[0]
    for entry in yaml.safe_load(text)["train"]["models"]:
        [name] = entry
        assert any(line.startswith(f"#   {name}: ndcg@10 0.") and "trial" in line for line in head)
