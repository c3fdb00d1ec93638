"""Load a Keras model's file, and export it as a SavedModel."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from modelzoo_runner.errors import GraphError

if TYPE_CHECKING:
    import numpy as np

    Array: TypeAlias = np.ndarray[Any, Any]

_EXPORT = (
    'load it in Python with its own classes, call model.export("folder"), and give that folder'
)


def load(path: Path, *, allow_unsafe_ops: bool) -> Any:
    """The model in a `.keras` or `.h5` file.

    Raises:
        GraphError: it can't be loaded, holds weights only, or holds Python code.
    """
    if not allow_unsafe_ops and "Lambda" in _class_names(_config(path)):
        raise GraphError(
            f"{path}: has layers with Python code in the file (Lambda), which loading it would "
            "run. If you trust where it comes from, pass allow_unsafe_ops=True"
        )
    try:
        import keras

        used = keras.config.backend()
        if used == "tensorflow":
            return keras.models.load_model(path, compile=False, safe_mode=not allow_unsafe_ops)
    except Exception as error:  # noqa: BLE001 - a model's own classes can raise anything
        raise GraphError(
            f"{path}: Keras can't load it: {_short(error)}. If it has classes of its own or is of "
            f"another Keras version, {_EXPORT}"
        ) from None
    raise GraphError(f"{path}: Keras computes with {used} here: set KERAS_BACKEND=tensorflow")


def export(model: Any, path: Path, folder: Path) -> None:
    """Write the model as a SavedModel.

    Raises:
        GraphError: Keras can't; most often the shape of its input isn't known.
    """
    try:
        model.export(str(folder))
    except Exception as error:  # noqa: BLE001 - what the model's own code raises
        raise GraphError(
            f"{path}: Keras can't export it for inference: {_short(error)}. Call it once on an "
            f"example so that its shapes are known, or {_EXPORT}"
        ) from None


def call(model: Any, batch: Mapping[str, Array]) -> list[Array] | None:
    """The model's own outputs, in Keras; nothing where which input is which isn't known."""
    import keras
    import numpy as np

    if len(batch) != 1:
        return None
    try:
        outputs = keras.tree.flatten(model(next(iter(batch.values())), training=False))
    except Exception:  # noqa: BLE001 - a signature may take what the model's own call doesn't
        return None
    # The signature's names are sorted as text: output_10 comes before output_2.
    return [np.asarray(each) for each in outputs] if len(outputs) <= 10 else None


def _config(path: Path) -> Any:
    """The description of the model that is in the file.

    Raises:
        GraphError: there is none.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return json.loads(archive.read("config.json"))
        import h5py

        with h5py.File(path, "r") as file:
            text = file.attrs.get("model_config")
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, RecursionError) as error:
        raise GraphError(f"{path}: a Keras file that can't be read: {_short(error)}") from None
    if text is None:
        raise GraphError(
            f"{path}: has weights and no model, as save_weights() writes them: build the model in "
            'Python, load them into it, and save it with model.save("model.keras")'
        )
    return json.loads(text)


def _class_names(config: Any) -> Iterator[str]:
    """The names of all classes in a model's description."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield str(value.get("class_name"))
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _short(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
