"""Whether this process's TensorFlow computes with oneDNN, which the int8 operations need.

It is decided once, when TensorFlow is imported: by `TF_ENABLE_ONEDNN_OPTS`, or without it by the
CPU (on where it has instructions for neural networks, such as AVX-512 VNNI; off with AVX2 only).
"""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path

# bool tensorflow::IsMKLEnabled(): what TensorFlow itself asks before it uses oneDNN.
_SYMBOL = "_ZN10tensorflow12IsMKLEnabledEv"


@functools.cache
def enabled() -> bool:
    """Whether TensorFlow, which this imports, uses oneDNN in this process."""
    import tensorflow as tf
    from tensorflow.python.util import _pywrap_util_port

    if not _pywrap_util_port.IsMklEnabled():
        return False  # built without
    for library in sorted(Path(tf.__file__).parent.glob("libtensorflow_framework.so*")):
        try:
            # The library is loaded already; RTLD_NOLOAD makes sure that it isn't loaded again.
            loaded = ctypes.CDLL(str(library), mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
            question = loaded[_SYMBOL]
        except (OSError, AttributeError):
            continue
        question.restype = ctypes.c_bool
        return bool(question())
    # A build that doesn't tell: what was asked for is the best there is.
    return os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() not in ("0", "false")
