import pytest

from modelzoo_runner.machine.onednn import LEVELS, instruction_set, version

AVX512 = LEVELS["avx512_core"] | LEVELS["avx2"] | LEVELS["avx"] | LEVELS["sse41"]


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


def test_the_header_tells_the_version(tmp_path):
    folder = tmp_path / "include/external/onednn/include/oneapi/dnnl"
    folder.mkdir(parents=True)
    assert version(tmp_path) is None
    (folder / "dnnl_version.h").write_text(
        "/// Major version\n#define DNNL_VERSION_MAJOR 3\n#define DNNL_VERSION_MINOR 7\n"
        '#define DNNL_VERSION_PATCH 3\n#define DNNL_VERSION_HASH "N/A"\n'
    )
    assert version(tmp_path) == "3.7.3"
