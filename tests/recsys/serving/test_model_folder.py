"""A folder that exists is refused with the remedy that its verb has."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import recloop
from recloop.errors import ConfigError
from recloop.recsys.serving.folder import FACTS, check_free


def test_only_a_model_is_said_to_be_replaceable(tmp_path: Path) -> None:
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match=r"holds no model that recloop wrote; choose another name$"):
            check_free(tmp_path, overwrite)
    (tmp_path / FACTS).write_text("{}")
    with pytest.raises(ConfigError, match="replace it with `recloop train --overwrite`"):
        check_free(tmp_path, overwrite=False)
    check_free(tmp_path, overwrite=True)


def test_a_study_given_as_a_dict_is_trained_and_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [(u, i, n) for u in range(12) for n, i in enumerate(np.random.default_rng(u).permutation(9)[:5])]
    log = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    log.to_csv("log.csv", index=False)
    study = {"data": {"source": "table", "path": "log.csv"}, "train": {"models": ["popularity", "itemknn"]}, "x-a": 1}
    facts = recloop.train(study, tmp_path / "model", "popularity", ["train.seeds=[7]"])
    assert (facts["model"], facts["seed"], facts["data"]["path"]) == ("popularity", 7, str(tmp_path / "log.csv"))
    report = recloop.evaluate(tmp_path / "model", study, groups=[])
    assert report.table["n"].iloc[0] == 12
    with pytest.raises(ConfigError, match=r"^study: say which of train\.models: popularity, itemknn"):
        recloop.train(study, tmp_path / "other")
    with pytest.raises(ConfigError, match=r"^study: has no section `data`; its keys are train"):
        recloop.evaluate(tmp_path / "model", {"train": {}})
    of_frame = {"data": {"source": log}, "train": {"models": ["popularity"]}}
    recloop.train(of_frame, tmp_path / "of_frame")
    assert recloop.evaluate(tmp_path / "of_frame", of_frame, groups=[]).table["mean"].equals(report.table["mean"])
