import pytest

from modelzoo_runner.errors import BindingError
from modelzoo_runner.machine.processor import (
    bfloat16,
    bfloat16_warnings,
    current_mhz,
    describe,
    flags,
    frequency,
)

X86 = """\
processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8480+
cpu MHz\t\t: 2000.000
flags\t\t: fpu avx2 fma avx512f avx512_vnni avx512_bf16 amx_tile amx_int8 amx_bf16

processor\t: 1
model name\t: Intel(R) Xeon(R) Platinum 8480+
cpu MHz\t\t: 3500.500
flags\t\t: fpu avx2

processor\t: 2
cpu MHz\t\t: 800.000
"""

ARM = """\
processor\t: 0
BogoMIPS\t: 2100.00
Features\t: fp asimd asimddp i8mm bf16 sve
CPU part\t: 0xd40

processor\t: 1
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(X86)
    return tmp_path


def test_model_and_flags(root):
    assert describe(root) == {
        "model": "Intel(R) Xeon(R) Platinum 8480+",
        "flags": [
            "avx2",
            "fma",
            "avx512f",
            "avx512_vnni",
            "avx512_bf16",
            "amx_tile",
            "amx_int8",
            "amx_bf16",
        ],
        "bfloat16": "native",
    }


def test_arm_calls_them_otherwise(root):
    (root / "proc/cpuinfo").write_text(ARM)
    assert describe(root) == {
        "model": "0xd40",
        "flags": ["asimddp", "i8mm", "bf16", "sve"],
        "bfloat16": "native",
    }
    assert current_mhz([0, 1], root) == {}


def test_nothing_to_read(tmp_path):
    assert describe(tmp_path) == {"model": "unknown", "flags": [], "bfloat16": "unsupported"}
    assert frequency([0], tmp_path) == {}


@pytest.mark.parametrize(
    ("found", "how"),
    [
        (["avx2"], "unsupported"),
        (["avx2", "avx512f"], "emulated"),
        (["avx512f", "avx512_bf16"], "native"),
        (["avx512f", "amx_bf16"], "native"),
        (["bf16"], "native"),
    ],
)
def test_bfloat16(found, how):
    assert bfloat16(found) == how


def test_a_bfloat16_run_says_what_the_processor_lacks():
    assert bfloat16_warnings({"avx512f", "amx_bf16"}) == bfloat16_warnings({"bf16"}) == ()
    (said,) = bfloat16_warnings({"avx2", "avx512f"})
    lacks = "neither avx512_bf16 nor amx_bf16 nor bf16"
    assert said.startswith("bfloat16 is emulated: ") and lacks in said
    with pytest.raises(BindingError, match=f'^precision="bfloat16": .*{lacks}, nor avx512f'):
        bfloat16_warnings({"avx2", "fma"})


def test_speed_is_of_the_cpus_asked_for(root):
    assert current_mhz([0, 1], root) == {"lowest": 2000.0, "highest": 3500.5}
    assert current_mhz([2], root) == {"lowest": 800.0, "highest": 800.0}
    assert current_mhz([9], root) == {}


def test_governor_limits_and_turbo(root):
    folder = root / "sys/devices/system/cpu"
    for cpu, governor in ((0, "performance"), (1, "powersave")):
        (folder / f"cpu{cpu}/cpufreq").mkdir(parents=True)
        for name, value in (
            ("scaling_governor", governor),
            ("scaling_driver", "intel_pstate"),
            ("cpuinfo_min_freq", "800000"),
            ("cpuinfo_max_freq", "3800000"),
            ("scaling_max_freq", "2000000"),
        ):
            (folder / f"cpu{cpu}/cpufreq/{name}").write_text(f"{value}\n")
    (folder / "intel_pstate").mkdir()
    (folder / "intel_pstate/no_turbo").write_text("1\n")
    assert frequency([0, 1], root) == {
        "governors": ["performance", "powersave"],
        "drivers": ["intel_pstate"],
        "lowest_mhz": 800.0,
        "highest_mhz": 3800.0,
        "limit_mhz": 2000.0,
        "turbo": False,
        "now_mhz": {"lowest": 2000.0, "highest": 3500.5},
    }


def test_turbo_of_other_drivers(root):
    (root / "sys/devices/system/cpu/cpufreq").mkdir(parents=True)
    (root / "sys/devices/system/cpu/cpufreq/boost").write_text("1\n")
    assert frequency([], root) == {"turbo": True}


def test_the_real_processor():
    assert flags()
    assert describe()["model"] != "unknown"
