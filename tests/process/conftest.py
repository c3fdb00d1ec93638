"""What the tests of whole processes share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured in turns is measured for long enough to be asked about, and not more."""
    from modelzoo_runner.execution import in_turns

    monkeypatch.setattr(in_turns, "ROUND_SECONDS", 0.2)
