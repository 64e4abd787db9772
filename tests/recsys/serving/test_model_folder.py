"""A folder that exists is refused with the remedy that its verb has."""

from pathlib import Path

import pytest
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
