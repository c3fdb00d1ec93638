"""Which oneDNN TensorFlow uses, and which instruction set oneDNN dispatches to on this processor.

Derived from headers and flags. oneDNN itself prints it, with every operation that it runs, with
`env={"ONEDNN_VERBOSE": "1"}`.
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

LEVELS: Mapping[str, frozenset[str]] = {
    "sse41": frozenset({"sse4_1"}),
    "avx": frozenset({"avx"}),
    "avx2": frozenset({"avx2"}),
    "avx2_vnni": frozenset({"avx2", "avx_vnni"}),
    "avx2_vnni_2": frozenset({"avx2", "avx_vnni", "avx_vnni_int8", "avx_ne_convert"}),
    "avx512_core": frozenset({"avx512f", "avx512bw", "avx512vl", "avx512dq"}),
    "avx512_core_vnni": frozenset({"avx512f", "avx512vl", "avx512_vnni"}),
    "avx512_core_bf16": frozenset({"avx512_vnni", "avx512_bf16"}),
    "avx512_core_fp16": frozenset({"avx512_vnni", "avx512_bf16", "avx512_fp16"}),
    "avx512_core_amx": frozenset({"avx512_fp16", "amx_tile", "amx_int8", "amx_bf16"}),
    "avx512_core_amx_fp16": frozenset({"avx512_fp16", "amx_tile", "amx_int8", "amx_fp16"}),
}
"""oneDNN's instruction sets, lowest first, and the flags of the kernel that each needs; from "CPU
Dispatcher Control" in oneDNN's developer guide (3.7)."""

ALIASES = {
    "avx10_1_512": "avx512_core_fp16",
    "avx10_1_512_amx": "avx512_core_amx",
    "avx10_1_512_amx_fp16": "avx512_core_amx_fp16",
}


# bool tensorflow::IsMKLEnabled(): what TensorFlow itself asks before it uses oneDNN.
_SYMBOL = "_ZN10tensorflow12IsMKLEnabledEv"


def instruction_set(flags: Collection[str], environ: Mapping[str, str]) -> str | None:
    """The highest instruction set that oneDNN dispatches to; `None` if it has none for these flags.

    Args:
        flags: of the processor, as the kernel calls them.
        environ: `ONEDNN_MAX_CPU_ISA` (or the older `DNNL_MAX_CPU_ISA`) lowers it.

    >>> instruction_set({"sse4_1", "avx", "avx2"}, {})
    'avx2'
    """
    cap = (environ.get("ONEDNN_MAX_CPU_ISA") or environ.get("DNNL_MAX_CPU_ISA") or "").lower()
    cap = ALIASES.get(cap, cap)
    names = list(LEVELS)
    if cap in LEVELS:
        names = names[: names.index(cap) + 1]
    return next((name for name in reversed(names) if LEVELS[name] <= set(flags)), None)


def enabled() -> bool | None:
    """Whether TensorFlow, which is loaded here, computes with oneDNN; `None` if it isn't loaded.

    It is decided once, when TensorFlow is imported: by `TF_ENABLE_ONEDNN_OPTS`, or without it by
    the CPU (on where it has instructions for neural networks, such as AVX-512 VNNI).
    """
    return _of_loaded_tensorflow() if "tensorflow" in sys.modules else None


@functools.cache
def _of_loaded_tensorflow() -> bool:
    import tensorflow as tf
    from tensorflow.python.util import _pywrap_util_port

    if not _pywrap_util_port.IsMklEnabled():
        return False  # built without
    for library in sorted(Path(tf.__file__).parent.glob("libtensorflow_framework.so*")):
        try:
            # The library is loaded already; RTLD_NOLOAD makes sure that it isn't loaded again.
            question = ctypes.CDLL(str(library), mode=os.RTLD_NOLOAD | os.RTLD_LAZY)[_SYMBOL]
        except (OSError, AttributeError):
            continue
        question.restype = ctypes.c_bool
        return bool(question())
    # A build that doesn't tell: the setting is the best evidence.
    return os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() not in ("0", "false")


def version(tensorflow_folder: Path) -> str | None:
    """The version of the oneDNN in a TensorFlow, from the header that comes with it."""
    for path in sorted(
        tensorflow_folder.glob("include/external/*/include/oneapi/dnnl/dnnl_version.h")
    ):
        text = path.read_text(encoding="utf-8", errors="replace")
        parts = re.findall(r"#define DNNL_VERSION_(?:MAJOR|MINOR|PATCH)\s+(\d+)", text)
        if len(parts) == 3:
            return ".".join(parts)
    return None
