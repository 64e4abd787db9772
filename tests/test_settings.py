"""Settings: an unknown key is refused with the nearest name, a broken file by its line, a path is set as it reads."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field
from recloop.errors import ConfigError
from recloop.recsys.data import DataConfig, load
from recloop.settings import checked, read_yaml, with_settings
from recloop.simulators.refining.config import read_config
from recloop.simulators.studies.study import read_study


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    epochs: int = Field(3, ge=1)
    learning_rate: float = 0.1


class Other(BaseModel):
    model_config = ConfigDict(extra="forbid")
    depth: int = 1


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    train: Inner = Inner()
    layers: list[Inner] = []
    either: Inner | Other | None = None
    named: dict[str, Inner] = {}


def refused(values: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        checked(Outer, values, "study.yaml")
    return str(caught.value)


# --- unknown keys -----------------------------------------------------------------------------------------------------


def test_what_is_right_becomes_the_object() -> None:
    made = checked(Outer, {"name": "a", "train": {"epochs": 5}}, "study.yaml")
    assert (made.name, made.train.epochs, made.train.learning_rate) == ("a", 5, 0.1)


def test_an_unknown_key_is_refused_with_the_nearest_name() -> None:
    assert refused({"name": "a", "trian": {}}) == "study.yaml: unknown key 'trian'; did you mean 'train'?"


def test_an_unknown_key_far_from_all_others_gets_the_list() -> None:
    told = refused({"name": "a", "zzzz": 1})
    assert "known keys: either, layers, name, named, train" in told


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"train": {"epocs": 1}}, "train.epocs"),
        ({"layers": [{}, {"epocs": 1}]}, "layers.1.epocs"),
        ({"named": {"x": {"epocs": 1}}}, "named.x.epocs"),
    ],
    ids=["nested", "in a list", "in a mapping"],
)
def test_a_nested_key_is_named_with_its_place(values: dict[str, Any], place: str) -> None:
    assert refused({"name": "a", **values}) == f"study.yaml: unknown key '{place}'; did you mean 'epochs'?"


def test_a_key_of_one_of_two_classes_is_looked_for_in_both() -> None:
    assert "did you mean 'depth'?" in refused({"name": "a", "either": {"depht": 1}})


def test_every_fault_has_a_line_with_its_place() -> None:
    lines = refused({"train": {"epochs": 0, "learning_rate": "fast"}}).splitlines()
    assert len(lines) == 3
    assert all(line.startswith("study.yaml: ") for line in lines)
    assert any("name: Field required" in line for line in lines)
    assert any("train.epochs" in line and "greater than or equal to 1" in line for line in lines)
    assert any("train.learning_rate" in line for line in lines)


# --- --set ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("assignment", "changed"),
    [
        ("train.epochs=7", {"train": {"epochs": 7, "seeds": [0, 1]}, "steps": [{"setwise": {"rounds": 2}}]}),
        ("train.seeds=[4, 5]", {"train": {"epochs": 3, "seeds": [4, 5]}, "steps": [{"setwise": {"rounds": 2}}]}),
        ("train.seeds.1=9", {"train": {"epochs": 3, "seeds": [0, 9]}, "steps": [{"setwise": {"rounds": 2}}]}),
        ("steps.0.setwise.rounds=1", {"train": {"epochs": 3, "seeds": [0, 1]}, "steps": [{"setwise": {"rounds": 1}}]}),
        ("steps.0=other", {"train": {"epochs": 3, "seeds": [0, 1]}, "steps": ["other"]}),
        (
            "llm.base_url=http://h/v1?a=b",
            {
                "train": {"epochs": 3, "seeds": [0, 1]},
                "steps": [{"setwise": {"rounds": 2}}],
                "llm": {"base_url": "http://h/v1?a=b"},
            },
        ),
    ],
)
def test_a_path_sets_what_it_names(assignment: str, changed: dict[str, Any]) -> None:
    values = {"train": {"epochs": 3, "seeds": [0, 1]}, "steps": [{"setwise": {"rounds": 2}}]}
    before = repr(values)
    assert with_settings(values, [assignment]) == changed
    assert repr(values) == before


def test_the_right_side_is_yaml() -> None:
    made = with_settings({}, ["a=null", "b=true", "c=1.5", "d=text", "e={x: [1]}", "f="])
    assert made == {"a": None, "b": True, "c": 1.5, "d": "text", "e": {"x": [1]}, "f": None}


def test_later_assignments_win() -> None:
    assert with_settings({}, ["a.b=1", "a.b=2"]) == {"a": {"b": 2}}


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("train.epochs", "expected key=value"),
        ("=3", "expected key=value"),
        ("steps.5.rounds=1", "steps.5 is not in the settings"),
        ("steps.5=1", "steps.5 is not in the settings"),
        ("steps.first=1", "steps.first is not in the settings"),
        ("name.x=1", "name.x is not in the settings"),
        ("name.x.y=1", "name.x is not in the settings"),
        ("name=[1", "not a YAML value"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(assignment: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_settings({"name": "a", "steps": [{}]}, [assignment])
    assert told in str(caught.value)
    assert assignment in str(caught.value)


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_file_that_is_not_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("name: a\ntrain:\n  epochs: [1, 2\nllm: {}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"study\.yaml, line 4, column \d+: not YAML"):
        read_yaml(file)


@pytest.mark.parametrize(("text", "kind"), [("- a\n", "list"), ("just text\n", "str"), ("", "NoneType")])
def test_a_file_that_holds_no_keys_is_refused(tmp_path: Path, text: str, kind: str) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=f"holds {kind}, expected keys and values"):
        read_yaml(file)


def test_a_file_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: no such file"):
        read_yaml(tmp_path / "gone.yaml")
    file = tmp_path / "binary.yaml"
    file.write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(ConfigError, match=r"binary\.yaml: cannot be read as UTF-8"):
        read_yaml(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path)


# --- study files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: a\ndata: {sorce: bazaar}\n", "'data.sorce'; did you mean 'source'?"),
        ("name: a\ndata: {}\nstesp: []\n", "'stesp'; did you mean 'steps'?"),
        ("name: a\ndata: {}\nsteps: [setwize]\n", "no agent 'setwize'; the nearest is 'setwise'"),
        ("name: a\ndata: {}\nsteps: [{setwise: {ronds: 1}}]\n", "'ronds'; did you mean 'rounds'?"),
        ("name: a\ndata: {}\nsteps: [{setwise: {fold: {pair: 1}}}]\n", "'fold.pair'; did you mean 'pairs'?"),
        ("name: a\ndata: {}\nsteps: [{setwise: {stride: 3}}]\n", "stride must divide both"),
        ("name: a\ndata: {}\nsteps: setwise\n", "write a list of steps"),
    ],
)
def test_a_study_file_is_refused_by_file_key_and_nearest_name(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_study(file)
    assert told in str(caught.value)
    assert "mine.yaml" in str(caught.value)


def test_an_assignment_reaches_the_study(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: a\ndata: {}\nsteps: [{setwise: {rounds: 2}}]\n", encoding="utf-8")
    study = read_study(file, ["train.epochs=3", "steps.0.setwise.rounds=1", "out=elsewhere"])
    assert study.train.epochs == 3
    assert study.steps[0]["setwise"]["rounds"] == 1
    assert study.folder == Path("elsewhere/a")


# --- duplicate keys, keys of the user's own, numbers ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\ndata: {}\nname: b\n", "key 'name' stands twice, on lines 1 and 3"),
        ("name: a\nbudget: {calls: 5, calls: 500000}\n", "key 'calls' stands twice, on line 2"),
        ("steps:\n- setwise:\n    rounds: 1\n    rounds: 2\n", "key 'rounds' stands twice, on lines 3 and 4"),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_its_lines(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_yaml(file)


def test_a_key_that_stands_twice_in_an_assignment_is_refused() -> None:
    with pytest.raises(ConfigError, match="key 'a' stands twice"):
        with_settings({}, ["train={a: 1, a: 2}"])


def test_anchors_may_stand_under_keys_of_the_users_own(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(
        "x-model: &model {provider: offline, concurrency: 3}\nname: a\ndata: {}\nllm: {<<: *model, concurrency: 4}\n",
        encoding="utf-8",
    )
    assert read_study(file).llm.concurrency == 4
    with pytest.raises(ConfigError, match=r"unknown key 'data.x-own'"):
        read_study(file, ["data.x-own=1"])


def test_a_boolean_is_no_number_in_any_section_of_a_study(tmp_path: Path) -> None:
    for section, key in (("train", "epochs"), ("llm", "concurrency"), ("evaluate", "draws"), ("run", "shards")):
        values = {"name": "a", "data": {}, section: {key: True}}
        with pytest.raises(ConfigError, match=f"study: {section}.{key} is a number, not true or false"):
            read_study(values)


# --- studies as dicts, wordings ---------------------------------------------------------------------------------------


def test_a_study_is_read_from_a_dict_and_settings_are_made_on_it() -> None:
    study = read_study({"name": "a", "data": {"source": "bazaar"}, "x-note": "mine"}, ["train.epochs=3"])
    assert (study.name, study.train.epochs) == ("a", 3)
    with pytest.raises(ConfigError, match="study: unknown key 'trian'; did you mean 'train'"):
        read_study({"name": "a", "data": {}, "trian": {}})


def test_a_folder_of_wordings_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="prompts: nowhere is not a folder"):
        read_study({"name": "a", "data": {}, "prompts": "nowhere"})
    with pytest.raises(ConfigError, match="prompts: nowhere is not a folder"):
        read_config({"prompts": "nowhere"}, None, [])


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("setwise/asess.md", "no step reads a prompt 'setwise/asess'; did you mean 'setwise/assess'"),
        ("setwise/other.md", "no step reads a prompt 'setwise/other'"),
        ("pieces/itm.md", "no step reads a prompt 'pieces/itm'"),
        ("setwise/assess.txt", "holds no Markdown file"),
    ],
)
def test_a_wording_that_no_step_would_read_is_refused_with_the_nearest_name(
    tmp_path: Path, file: str, message: str
) -> None:
    path = tmp_path / "wordings" / file
    path.parent.mkdir(parents=True)
    path.write_text("notes\n## System\na\n## User\nb\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_study({"name": "a", "data": {}, "prompts": str(tmp_path / "wordings")})
    with pytest.raises(ConfigError, match=message):
        read_config({"prompts": str(tmp_path / "wordings")}, None, [])


def test_wordings_of_shipped_prompts_own_pieces_and_notes_are_accepted(tmp_path: Path) -> None:
    for name, text in {
        "setwise/assess": "## System\n{% include 'pieces/mine.md' %}\n## User\nb\n",
        "pieces/mine": "a piece",
        "README": "what these are",
        "my_agent/judge": "## System\na\n## User\nb\n",
    }.items():
        path = tmp_path / f"{name}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert read_study({"name": "a", "data": {}, "prompts": str(tmp_path)}).prompts == tmp_path


@pytest.mark.parametrize("source", ["os:system", "os:name", "os:getcwd", "builtins:str"])
def test_a_plug_in_that_is_no_source_of_data_is_refused(source: str) -> None:
    with pytest.raises(ConfigError, match=f"data.source: '{source}' is no source"):
        load(DataConfig(source=source))


def test_a_renamed_setting_is_read_by_its_old_name_with_a_warning() -> None:
    from recloop.agents.generator import Generate
    from recloop.simulators.studies.fidelity_config import Contamination

    with pytest.warns(FutureWarning, match="shown is called slate_size now"):
        assert Generate.model_validate({"shown": 8}) == Generate(slate_size=8)
    with pytest.warns(FutureWarning, match="shown is called history_titles now"):
        assert Contamination.model_validate({"shown": 3}) == Contamination(history_titles=3)
