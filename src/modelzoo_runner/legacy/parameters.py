"""The ten parameters of the original pipeline."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The original's ten parameters as given, in its order; `run` says what each means.

    Each may be text, as a pipeline passes it. The defaults are the original's, except that the
    batch size is the model's own (the original's 128 for its default model) and that no container
    is used.
    """

    data_location: str | Path | None = ""
    model_name: str | Path = "resnet50"
    precision: str = "int8"
    mode: str = "inference"
    batch_size: str | int | None = "-1"
    socket_id: str | int | None = "0"
    verbose: str | bool = "true"
    benchmark_or_accuracy: str = "benchmark"
    extra_model_args: str | Mapping[str, Any] = ""
    docker_image: str | None = ""


DEFAULTS: Mapping[str, Any] = {
    field.name: field.default for field in dataclasses.fields(Parameters)
}
"""Their names and defaults."""
