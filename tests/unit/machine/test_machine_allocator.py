import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelzoo_runner.errors import MissingDependency, RequestError
from modelzoo_runner.machine import allocator
from modelzoo_runner.machine.allocator import MALLOCS, available, choose, find, loaded, preload


@pytest.mark.parametrize("name", MALLOCS)
def test_a_child_really_uses_it(name):
    if name not in available():
        pytest.skip(f"{name} isn't installed (Debian: {MALLOCS[name].package})")
    program = (
        "from modelzoo_runner.machine import allocator, environment;"
        "print(allocator.loaded(environment.mapped_files()))"
    )
    out = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | preload(name),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (out.stdout, out.stderr) == (f"{name}\n", "")


@pytest.fixture
def bare_system(monkeypatch, tmp_path):
    """A system with no other malloc, but a folder to put one in."""
    monkeypatch.setattr(allocator, "_candidates", lambda: iter(sorted(tmp_path.iterdir())))
    return tmp_path


def test_absent(bare_system):
    names = "libtcmalloc_minimal.so, libtcmalloc.so .*apt-get install libtcmalloc-minimal4"
    with pytest.raises(MissingDependency, match=f"^allocator='tcmalloc': .*{names}"):
        find("tcmalloc")
    assert available() == ()


def test_unknown():
    for ask in (find, preload):
        with pytest.raises(RequestError, match=r"^allocator='hoard': .*system, tcmalloc, jemalloc"):
            ask("hoard")


def test_the_best_library_wins_and_debug_ones_are_none():
    files = [
        Path("/a/libtcmalloc_minimal_debug.so.4"),
        Path("/a/libtcmalloc.so.4"),
        Path("/a/libtcmalloc_minimal.so.4.5.9"),
    ]
    assert choose(MALLOCS["tcmalloc"], files) == files[2]
    assert choose(MALLOCS["tcmalloc"], files[:2]) == files[1]
    assert choose(MALLOCS["tcmalloc"], files[:1]) is None
    assert choose(MALLOCS["jemalloc"], files) is None


def test_what_was_preloaded_stays_behind_it(bare_system):
    library = bare_system / "libjemalloc.so.2"
    library.touch()
    assert preload("jemalloc", {}) == {"LD_PRELOAD": str(library)}
    assert preload("jemalloc", {"LD_PRELOAD": f"/x/own.so {library}"}) == {
        "LD_PRELOAD": f"{library}:/x/own.so"
    }


def test_tcmallocs_report_threshold_is_the_zoos_unless_set(bare_system):
    (bare_system / "libtcmalloc.so.4").touch()
    threshold = "TCMALLOC_LARGE_ALLOC_REPORT_THRESHOLD"
    assert preload("tcmalloc", {})[threshold] == "2147483648"
    assert threshold not in preload("tcmalloc", {threshold: "1"})


def test_the_systems_own_needs_nothing():
    assert preload("system") == {}


def test_loaded():
    assert loaded(["/lib/libc.so.6", "/usr/lib/libjemalloc.so.2"]) == "jemalloc"
    assert loaded(["/lib/libc.so.6"]) == "system"
