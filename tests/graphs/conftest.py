"""What the tests of the graphs share."""

from __future__ import annotations

import os

# TensorFlow decides it at import, and without this by the CPU: int8 operations need it on.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
