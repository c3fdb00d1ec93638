"""Models that aren't frozen graphs and can be frozen: recognize them, and which files they are.

TensorFlow isn't needed, and nothing is loaded; `freeze` does that.
"""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from modelzoo_runner.errors import GraphError
from modelzoo_runner.values.files import known_sha256

Kind: TypeAlias = Literal["SavedModel", "Keras model", "checkpoint"]

_SAVED_MODEL = ("saved_model.pb", "saved_model.pbtxt")
_ZIP, _HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class ModelFiles:
    """A model that can be frozen, and the files that decide what it computes.

    `path` is the folder of a SavedModel, the file of a Keras model, or the prefix of a checkpoint.
    """

    kind: Kind
    path: Path
    files: tuple[Path, ...]

    def digest(self) -> str:
        """A hash of the files' names and contents.

        Raises:
            GraphError: a file can't be read.
        """
        total = hashlib.sha256()
        for path in self.files:
            try:
                content = known_sha256(path)
            except OSError as error:
                raise GraphError(f"{path}: can't be read: {error.strerror}") from None
            total.update(f"{path.name} {content}\n".encode())
        return total.hexdigest()


def recognize(path: Path) -> ModelFiles | None:
    """The model at a path, if it is one that can be frozen; other files are none.

    Raises:
        GraphError: it is a model, or a part of one, and can't be frozen.
    """
    if path.is_dir():
        return _folder(path)
    if path.name in _SAVED_MODEL and path.is_file():
        return _folder(path.parent)
    if path.suffix in (".keras", ".h5", ".hdf5") and path.is_file():
        return _keras(path)
    prefix = path.with_suffix("") if path.suffix in (".meta", ".index") else path
    if ".data-0" in path.name:
        prefix = path.with_name(path.name.partition(".data-0")[0])
    if prefix.is_file():
        return None
    files = _checkpoint_files(prefix)
    return _checkpoint(prefix, files) if files else None


def _folder(path: Path) -> ModelFiles | None:
    for name in _SAVED_MODEL:
        if (path / name).is_file():
            variables = sorted(each for each in (path / "variables").glob("*") if each.is_file())
            return ModelFiles("SavedModel", path, (path / name, *variables))
    inner = sorted(found.parent for found in path.glob("*/saved_model.pb"))
    if inner:
        shown = ", ".join(str(each) for each in inner[:5])
        raise GraphError(f"{path}: not a SavedModel, but there are some in it: give one of {shown}")
    prefixes = sorted({each.with_suffix("") for each in path.glob("*.index")})
    if len(prefixes) == 1:
        return _checkpoint(prefixes[0], _checkpoint_files(prefixes[0]))
    if prefixes:
        shown = ", ".join(str(each) for each in prefixes[:5])
        raise GraphError(f"{path}: {len(prefixes)} checkpoints are in it: give one of {shown}")
    return None


def _keras(path: Path) -> ModelFiles:
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise GraphError(f"{path}: can't be read: {error.strerror}") from None
    if start == _HDF5:
        return ModelFiles("Keras model", path, (path,))
    if path.suffix == ".keras" and start.startswith(_ZIP) and zipfile.is_zipfile(path):
        return ModelFiles("Keras model", path, (path,))
    expected = "a zip archive" if path.suffix == ".keras" else "an HDF5 file"
    raise GraphError(
        f"{path}: not a Keras model: it should be {expected} and starts with {start!r}. Get the "
        "file again, or save the model again with model.save()"
    )


def _checkpoint_files(prefix: Path) -> tuple[Path, ...]:
    pattern = prefix.name.replace("[", "[[]")
    parts = (f"{pattern}.meta", f"{pattern}.index", f"{pattern}.data-*")
    return tuple(sorted(each for part in parts for each in prefix.parent.glob(part)))


def _checkpoint(prefix: Path, files: tuple[Path, ...]) -> ModelFiles:
    missing = [part for part in (".meta", ".index", ".data-") if not _has(prefix, part, files)]
    if missing == [".meta"]:
        raise GraphError(
            f"{prefix}: a checkpoint without its graph ({prefix.name}.meta), as TensorFlow 2 and "
            "Keras save weights: build the model in Python, load them into it, save it with "
            'model.export("folder") or tf.saved_model.save, and give that folder'
        )
    if missing:
        raise GraphError(
            f"{prefix}: a checkpoint of which files are missing: "
            f"{', '.join(f'{prefix.name}{part}' for part in missing)}. Get them too"
        )
    return ModelFiles("checkpoint", prefix, files)


def _has(prefix: Path, part: str, files: tuple[Path, ...]) -> bool:
    return any(each.name.startswith(prefix.name + part) for each in files)
