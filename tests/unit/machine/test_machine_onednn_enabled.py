from __future__ import annotations

import pytest

from modelzoo_runner.machine import onednn


def test_tensorflow_itself_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    # What the variable says now doesn't matter: TensorFlow read it when it was imported.
    before = onednn._of_loaded_tensorflow.__wrapped__()
    for value in ("0", "1"):
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", value)
        assert onednn._of_loaded_tensorflow.__wrapped__() is before


def test_a_build_that_does_not_tell_is_judged_by_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(onednn, "_SYMBOL", "no_such_symbol")
    for value, expected in {"0": False, "false": False, "1": True}.items():
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", value)
        assert onednn._of_loaded_tensorflow.__wrapped__() is expected


def test_a_build_without_onednn_has_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorflow.python.util import _pywrap_util_port

    monkeypatch.setattr(_pywrap_util_port, "IsMklEnabled", lambda: False)
    assert onednn._of_loaded_tensorflow.__wrapped__() is False
