"""Cases that tests of this folder share with processes of their own."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture(scope="session")
def cases():
    """What `cases.py` defines."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("cases.py"))))
