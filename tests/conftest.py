"""What every test may use: the folder of real data, and worlds with one right answer."""

import os
from pathlib import Path

import pytest

HERE = Path(__file__).resolve()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data: `data` in the folder that RECLOOP_SHARED names, by default `shared` beside the checkout.

    The data is not ours to ship; where it is not, the tests on it are skipped and said to be.
    """
    folder = Path(os.environ.get("RECLOOP_SHARED", HERE.parents[2] / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: put `shared` beside the checkout or name it in RECLOOP_SHARED")
    return folder
