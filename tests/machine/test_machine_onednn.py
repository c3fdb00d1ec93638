import os
from pathlib import Path

import pytest

from modelzoo_runner.machine import onednn, processor
from modelzoo_runner.machine.onednn import LEVELS, instruction_set, parse, version

AVX512 = LEVELS["avx512_core"] | LEVELS["avx2"] | LEVELS["avx"] | LEVELS["sse41"]

VERBOSE = """\
2026-11-01 12:00:00.1: I port.cc:153] oneDNN custom operations are on.
onednn_verbose,v1,info,oneDNN v3.7.3 (commit N/A)
onednn_verbose,v1,info,cpu,runtime:threadpool,nthr:2
onednn_verbose,v1,info,cpu,isa:Intel AVX-512 with Intel DL Boost and bfloat16 support
onednn_verbose,v1,primitive,exec,cpu,convolution,x64:gemm:jit,forward_training,,,,,32.9878
"""


@pytest.mark.parametrize(
    ("flags", "cap", "level"),
    [
        ([], "", None),
        (["asimd"], "", None),
        (["sse4_1", "avx", "avx2"], "", "avx2"),
        (["sse4_1", "avx", "avx2", "avx_vnni"], "", "avx2_vnni"),
        (AVX512, "", "avx512_core"),
        (AVX512 | {"avx512_vnni"}, "", "avx512_core_vnni"),
        (AVX512 | {"avx512_vnni", "avx512_bf16", "avx_vnni"}, "", "avx512_core_bf16"),
        (AVX512 | {"avx512_vnni", "avx512_bf16", "avx_vnni"}, "AVX2", "avx2"),
        (AVX512 | {"avx512_vnni"}, "avx512_core", "avx512_core"),
        (AVX512 | {"avx512_vnni"}, "DEFAULT", "avx512_core_vnni"),
        (AVX512 | {"avx512_vnni"}, "AVX10_1_512_AMX", "avx512_core_vnni"),
        (["sse4_1"], "AVX2", "sse41"),
    ],
)
def test_the_highest_level_that_the_flags_and_the_cap_allow(flags, cap, level):
    assert instruction_set(flags, {"ONEDNN_MAX_CPU_ISA": cap}) == level
    assert instruction_set(flags, {"DNNL_MAX_CPU_ISA": cap}) == level


def test_the_head_of_the_verbose_output():
    assert parse(VERBOSE) == {
        "version": "3.7.3",
        "runtime": "threadpool",
        "isa": "Intel AVX-512 with Intel DL Boost and bfloat16 support",
    }
    assert parse("") == {}


def test_the_header_tells_the_version(tmp_path):
    folder = tmp_path / "include/external/onednn/include/oneapi/dnnl"
    folder.mkdir(parents=True)
    assert version(tmp_path) is None
    (folder / "dnnl_version.h").write_text(
        "/// Major version\n#define DNNL_VERSION_MAJOR 3\n#define DNNL_VERSION_MINOR 7\n"
        '#define DNNL_VERSION_PATCH 3\n#define DNNL_VERSION_HASH "N/A"\n'
    )
    assert version(tmp_path) == "3.7.3"


NAMES = {
    "sse41": "Intel SSE4.1",
    "avx": "Intel AVX",
    "avx2": "Intel AVX2",
    "avx2_vnni": "Intel AVX2 with Intel DL Boost",
    "avx512_core": "Intel AVX-512 with AVX512BW, AVX512VL, and AVX512DQ extensions",
    "avx512_core_vnni": "Intel AVX-512 with Intel DL Boost",
    "avx512_core_bf16": "Intel AVX-512 with Intel DL Boost and bfloat16 support",
}
"""How oneDNN 3.7 writes its levels (src/cpu/platform and cpu_isa_traits)."""


def test_onednn_itself_says_the_same():
    """The differential test: what is concluded from flags and headers, against a real run."""
    tensorflow = pytest.importorskip("importlib.util").find_spec("tensorflow")
    if tensorflow is None:
        pytest.skip("TensorFlow isn't installed, so there is no oneDNN to ask")
    said = onednn.probe()
    concluded = instruction_set(processor.flags(), os.environ)
    if concluded not in NAMES:
        pytest.skip(f"how oneDNN writes {concluded} isn't known to this test")
    assert said["isa"] == NAMES[concluded]
    assert said["version"] == version(Path(tensorflow.origin).parent)
