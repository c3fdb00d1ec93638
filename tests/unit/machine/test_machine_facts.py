import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from machine_trees import MACHINES, write

from modelzoo_runner.machine import facts
from modelzoo_runner.machine.facts import collect


def test_the_facts_of_this_machine_are_json():
    found = collect()
    assert json.loads(json.dumps(found)) == found
    assert found["cpus"] >= len(os.sched_getaffinity(0))
    assert found["memory_bytes"] > found["memory_available_bytes"] > 0
    assert len(found["load_average"]) == 3
    assert found["software"]["python"] == platform.python_version()
    assert found["process"]["allocator"] == "system"
    assert sum(found["process"]["threads"].values()) >= 1


def test_nobody_is_named():
    """Not the computer, not its system's id, not the user's folders."""
    text = json.dumps(collect())
    assert f'"{platform.node()}"' not in text
    assert str(Path.home() / "x")[:-1] not in text
    assert len(collect()["id"]) == 16
    assert collect()["id"] == collect()["id"]


def test_the_id_is_of_the_machine_and_not_its_systems_own(tmp_path):
    (tmp_path / "etc").mkdir()
    ids = set()
    for own in ("a" * 32, "b" * 32):
        (tmp_path / "etc/machine-id").write_text(own + "\n")
        ids.add(facts._id(tmp_path))
    assert len(ids) == 2
    assert not ids & {"a" * 16, "b" * 16}


def test_variables_that_move_a_measurement_and_no_others(monkeypatch):
    monkeypatch.setenv("KMP_BLOCKTIME", "1")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    monkeypatch.setenv("TF_VAR_password", "secret")  # Terraform's
    monkeypatch.setenv("LD_LIBRARY_PATH", "/home/somebody")
    env = collect()["process"]["env"]
    assert env["KMP_BLOCKTIME"] == "1"
    assert env["TF_ENABLE_ONEDNN_OPTS"] == "1"
    assert "TF_VAR_password" not in env
    assert "LD_LIBRARY_PATH" not in env


def test_a_recorded_machine(tmp_path):
    found = collect(write(MACHINES["part_of_a_socket"], tmp_path))
    assert found["sockets"] == 2
    assert found["physical_cores"] == 56
    assert found["cpus"] == 112
    assert found["memory_nodes"][1] == {"id": 1, "cpus": "28-55,84-111", "bytes": 64 * 2**30}
    assert found["process"]["control_group_cpus"] == "4-7,60-63"
    assert found["process"]["quota_cpus"] is None
    assert found["memory_bytes"] is None
    assert found["load_average"] == []
    assert found["huge_pages"] is None


def test_huge_pages_are_the_word_in_brackets(tmp_path):
    assert facts._chosen("always [madvise] never") == "madvise"
    assert facts._chosen("") is None


def test_without_tensorflow_and_numpy_installed():
    """A Python that sees nothing but this library and the standard library."""
    root = facts.__file__.rpartition("/modelzoo_runner/")[0]
    program = (
        f"import sys; sys.path = [each for each in sys.path if 'site-packages' not in each];"
        f"sys.path.append({root!r});"
        "sys.meta_path = [each for each in sys.meta_path if 'editable' not in str(each).lower()];"
        "import json; from modelzoo_runner.machine.facts import collect;"
        "print(json.dumps(collect()['software']))"
    )
    child = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )
    software = json.loads(child.stdout)
    assert software["tensorflow"] is None
    assert software["onednn"] is None
    assert software["numpy"] is None


def test_tensorflow_is_told_without_loading_it():
    program = (
        "import sys, json; from modelzoo_runner.machine.facts import collect;"
        "print(json.dumps([collect()['software'], 'tensorflow' in sys.modules,"
        "'numpy' in sys.modules]))"
    )
    child = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    software, tensorflow, numpy = json.loads(child.stdout)
    assert not tensorflow
    assert not numpy
    if software["tensorflow"] is not None:
        assert software["tensorflow"]["version"].startswith("2.")
        assert software["onednn"]["enabled"] is None
