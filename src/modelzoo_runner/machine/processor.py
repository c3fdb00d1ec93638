"""The processor: its model, the instruction sets that matter, its clock frequency."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Literal

from modelzoo_runner.errors import BindingError
from modelzoo_runner.machine import files

FLAGS = (
    "avx2",
    "fma",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "asimddp",  # arm64: dot product of 8-bit integers
    "i8mm",
    "bf16",
    "sve",
)
"""The flags of `/proc/cpuinfo` on which the speed of inference depends."""


def describe(root: Path = Path("/")) -> dict[str, Any]:
    """The processor's model and those of its flags that matter, as JSON can carry it."""
    fields = _first_processor(root)
    found = flags(root)
    return {
        "model": fields.get("model name") or fields.get("CPU part") or "unknown",
        "flags": [each for each in FLAGS if each in found],
        "bfloat16": bfloat16(found),
    }


def flags(root: Path = Path("/")) -> frozenset[str]:
    """All the flags of the processor in `/proc/cpuinfo`."""
    fields = _first_processor(root)
    return frozenset((fields.get("flags") or fields.get("Features") or "").split())


def bfloat16(found: Collection[str]) -> Literal["native", "emulated", "unsupported"]:
    """How a processor with these flags computes in bfloat16.

    With AVX-512 alone oneDNN converts to float32 and back, which takes time instead of saving it;
    without it TensorFlow's automatic mixed precision leaves the graph as it is.
    """
    if set(COMPUTES_BFLOAT16) & set(found):
        return "native"
    return "emulated" if "avx512f" in found else "unsupported"


def saturates_int8(found: Collection[str]) -> bool:
    """Whether a processor with these flags adds two products of 8-bit integers in 16 bits, where
    large ones don't fit: x86-64 without VNNI.

    >>> saturates_int8({"sse4_1", "avx2"}), saturates_int8({"sse4_1", "avx2", "avx_vnni"})
    (True, False)
    """
    return "sse4_1" in found and not {"avx_vnni", "avx512_vnni"} & set(found)


COMPUTES_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")
"""The flags of processors that multiply in bfloat16."""


def bfloat16_warnings(found: Collection[str]) -> tuple[str, ...]:
    """Warnings about a bfloat16 run on a processor with these flags; none if it is native.

    Raises:
        BindingError: the processor can't; names the flags that it lacks.
    """
    how = bfloat16(found)
    native = " nor ".join(COMPUTES_BFLOAT16)
    if how == "unsupported":
        raise BindingError(
            f'precision="bfloat16": this processor has neither {native}, nor avx512f to emulate '
            "them with, so the graph would run in float32 without a word. Use "
            'precision="fp32" or "int8" here, or a processor with one of them'
        )
    if how == "emulated":
        return (
            f"bfloat16 is emulated: this processor has neither {native}, so oneDNN converts to "
            "float32 and back, which takes time instead of saving it",
        )
    return ()


def frequency(cpus: Iterable[int], root: Path = Path("/")) -> dict[str, Any]:
    """Governor, limits, turbo and current clock frequency (MHz) of `cpus`.

    What isn't known is left out; in virtual machines that is most of it.
    """
    cpus = tuple(cpus)
    folder = root / "sys/devices/system/cpu"
    found: dict[str, Any] = {
        "governors": sorted(_each(folder, cpus, "scaling_governor")),
        "drivers": sorted(_each(folder, cpus, "scaling_driver")),
        "lowest_mhz": min(map(_mhz, _each(folder, cpus, "cpuinfo_min_freq")), default=None),
        "highest_mhz": max(map(_mhz, _each(folder, cpus, "cpuinfo_max_freq")), default=None),
        "limit_mhz": min(map(_mhz, _each(folder, cpus, "scaling_max_freq")), default=None),
        "turbo": _turbo(folder),
        "now_mhz": current_mhz(cpus, root),
    }
    return {name: value for name, value in found.items() if value not in (None, [], {})}


def current_mhz(cpus: Iterable[int], root: Path = Path("/")) -> dict[str, float]:
    """The lowest and the highest current frequency of `cpus` in MHz; empty if not known."""
    wanted = set(cpus)
    text = files.text(root / "proc/cpuinfo")
    speeds = [
        float(match[2])
        for match in re.finditer(
            r"^processor\s*:\s*(\d+)$.*?^cpu MHz\s*:\s*([\d.]+)$", text, _LINES
        )
        if int(match[1]) in wanted
    ]
    return {"lowest": min(speeds), "highest": max(speeds)} if speeds else {}


_LINES = re.MULTILINE | re.DOTALL


def _turbo(folder: Path) -> bool | None:
    """Whether the processor may run faster than its nominal speed."""
    off = files.text(folder / "intel_pstate/no_turbo")
    on = files.text(folder / "cpufreq/boost")
    if off:
        return off == "0"
    return on == "1" if on else None


def _each(folder: Path, cpus: Iterable[int], name: str) -> set[str]:
    return {text for cpu in cpus if (text := files.text(folder / f"cpu{cpu}/cpufreq" / name))}


def _mhz(kilohertz: str) -> float:
    return int(kilohertz) / 1000


def _first_processor(root: Path) -> dict[str, str]:
    block = files.text(root / "proc/cpuinfo").partition("\n\n")[0]
    pairs = (line.partition(":") for line in block.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
