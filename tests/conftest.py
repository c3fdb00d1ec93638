"""What the tests of every room share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# TensorFlow reads these once, at import, in this process and in every child a test starts.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

SAMPLES = Path(
    os.environ.get("MODELZOO_RUNNER_SAMPLES") or Path(__file__).parents[2] / "shared" / "data"
)


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real graphs and labelled images, which is not part of the project."""
    if not SAMPLES.is_dir():
        pytest.skip(f"no real graphs and images here: {SAMPLES} is not a folder")
    return SAMPLES
