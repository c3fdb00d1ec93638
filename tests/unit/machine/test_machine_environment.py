import ctypes
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelzoo_runner.backends.tensorflow.backend import variables_read
from modelzoo_runner.machine import environment, onednn
from modelzoo_runner.machine.environment import mapped_files, variables

NAMES = ["MODELZOO_TEST_A", "MODELZOO_TEST_B", "MODELZOO_TEST_C"]
values = st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=5)


@given(
    before=st.dictionaries(st.sampled_from(NAMES), values),
    env=st.dictionaries(st.sampled_from(NAMES), values),
)
def test_set_and_restored_exactly(before, env):
    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            patch.delenv(name, raising=False)
        for name, value in before.items():
            patch.setenv(name, value)
        whole = dict(os.environ)
        with variables(env):
            assert os.environ | env == os.environ
        assert dict(os.environ) == whole
        with pytest.raises(KeyboardInterrupt), variables(env):
            raise KeyboardInterrupt
        assert dict(os.environ) == whole


def test_libraries_see_the_values_too():
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_char_p
    with variables({"MODELZOO_TEST_A": "1"}):
        assert getenv(b"MODELZOO_TEST_A") == b"1"
    assert getenv(b"MODELZOO_TEST_A") is None


def test_what_else_changes_meanwhile_stays(monkeypatch):
    monkeypatch.delenv("MODELZOO_TEST_B", raising=False)
    with variables({"MODELZOO_TEST_A": "1"}):
        os.environ["MODELZOO_TEST_B"] = "2"
    assert os.environ.pop("MODELZOO_TEST_B") == "2"


@pytest.mark.parametrize(
    ("loaded", "openmp", "names"),
    [
        (False, None, ("LD_PRELOAD",)),
        (True, None, ("LD_PRELOAD", "ONEDNN_MAX_CPU_ISA", "TF_ENABLE_ONEDNN_OPTS")),
        (False, "/x/libiomp5.so", ("LD_PRELOAD", "OMP_NUM_THREADS")),
    ],
)
def test_what_is_too_late_depends_on_what_is_loaded(monkeypatch, loaded, openmp, names):
    monkeypatch.setattr(environment, "openmp_runtime", lambda: openmp)
    monkeypatch.setattr(onednn, "enabled", lambda: False if loaded else None)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    if loaded:
        monkeypatch.setitem(sys.modules, "tensorflow", sys)
    env = {
        "TF_ENABLE_ONEDNN_OPTS": "1",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OMP_NUM_THREADS": "4",
        "LD_PRELOAD": "libjemalloc.so",
        "MY_OWN": "1",
    }
    assert variables_read(env, {}) == names
    assert variables_read(env, env) == (("TF_ENABLE_ONEDNN_OPTS",) if loaded else ())


def test_what_tensorflow_decided_by_itself_counts(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", sys)
    monkeypatch.setattr(onednn, "enabled", lambda: True)
    assert variables_read({"TF_ENABLE_ONEDNN_OPTS": "1"}, {}) == ()
    assert variables_read({"TF_ENABLE_ONEDNN_OPTS": "0"}, {}) == ("TF_ENABLE_ONEDNN_OPTS",)


def test_this_process_maps_its_own_files():
    files = mapped_files()
    assert any(
        os.path.realpath(path).startswith(os.path.realpath(sys.prefix)) for path in files
    ) or (any("python" in path for path in files))
    assert any("/libc" in path for path in files)
    assert len(files) == len(set(files))


def test_an_openmp_runtime_is_recognised_by_the_files_name(monkeypatch):
    files = ("/x/libgomp.so.1", "/omp/libc.so.6", "/y/libiomp5.so")
    monkeypatch.setattr(environment, "mapped_files", lambda: files)
    assert environment.openmp_runtime() == "/y/libiomp5.so"
    monkeypatch.setattr(environment, "mapped_files", lambda: files[:2])
    assert environment.openmp_runtime() is None
