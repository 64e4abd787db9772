"""What every test may use: the folder of real data, and worlds with one right answer."""

from pathlib import Path

import pytest

HERE = Path(__file__).resolve()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data that lies beside the checkout (`../shared/data`)."""
    folder = HERE.parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.fail(f"real data not found at {folder}: the tests need the folder shared/ beside the checkout")
    return folder
