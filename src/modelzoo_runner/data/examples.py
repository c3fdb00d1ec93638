"""The features of a `tf.train.Example`: written, and read so that what is wrong is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from modelzoo_runner.errors import DataError

Kind = Literal["bytes", "int64", "float"]


class Features:
    """The features of one serialized `tf.train.Example`.

    `where`, or what it returns, begins the messages about it. Bytes but those of an image are text,
    and come as `str`.

    Raises:
        DataError: the bytes are not an Example; and in each method, the value isn't as described.
    """

    def __init__(self, record: bytes, where: str | Callable[[], str]) -> None:
        import tensorflow as tf
        from google.protobuf.message import DecodeError

        self._where = where
        try:
            self._features: Mapping[str, Any] = tf.train.Example.FromString(record).features.feature
        except DecodeError:
            raise self.error("not a tf.train.Example") from None

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._features))

    @property
    def where(self) -> str:
        """What the record is called."""
        return self._where if isinstance(self._where, str) else self._where()

    def encoded(self, key: str = "image/encoded") -> bytes:
        """The bytes of the image's file."""
        data: bytes = self._one(key, "bytes")
        return data

    def value(self, key: str, kind: Kind) -> Any:
        """The one value of a feature."""
        return text(self._one(key, kind))

    def optional(self, key: str, kind: Kind) -> Any | None:
        """The one value of a feature, `None` where there is none."""
        return None if self._kind(key) is None else self.value(key, kind)

    def per_object(self, name: str, kind: Kind, count: int | None = None) -> list[Any]:
        """The values of `image/object/<name>`, one for each of `count` objects, or none at all."""
        key = f"image/object/{name}"
        values = [text(each) for each in self._values(key, kind)]
        if values and count is not None and len(values) != count:
            raise self.error(f"the key {key!r} holds {len(values)} values for {count} boxes")
        return values

    def error(self, what: str) -> DataError:
        """The error that says `what` about this record."""
        return DataError(f"{self.where}: {what}.")

    def _kind(self, key: str) -> str | None:
        """Of which kind the values are; an empty list may come without."""
        found: str | None = (
            self._features[key].WhichOneof("kind") if key in self._features else None
        )
        return found

    def _values(self, key: str, kind: Kind) -> Sequence[Any]:
        found = self._kind(key)
        if found not in (None, f"{kind}_list"):
            raise self.error(f"the key {key!r} holds a {found}, should be a {kind}_list")
        values: Sequence[Any] = getattr(self._features[key], found).value if found else ()
        return values

    def _one(self, key: str, kind: Kind) -> Any:
        if key not in self._features:
            there = ", ".join(self) or "none"
            raise self.error(f"the key {key!r} is missing; keys there: {there}")
        if self._kind(key) is None:
            raise self.error(f"the key {key!r} has no value")
        values = self._values(key, kind)
        if len(values) != 1:
            raise self.error(f"the key {key!r} holds {len(values)} values, should be 1")
        return values[0]


def text(value: Any) -> Any:
    """Bytes as text; what isn't UTF-8 is shown with replacement characters rather than refused."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def serialized(features: Mapping[Kind, Mapping[str, Sequence[Any]]]) -> bytes:
    """A `tf.train.Example` with the values of each feature, by kind and key; always the same bytes.

    >>> Features(serialized({"int64": {"height": [6]}}), "made").value("height", "int64")
    6
    """
    from tensorflow.train import Example

    example = Example()
    for kind, lists in features.items():
        for key, values in lists.items():
            found = getattr(example.features.feature[key], f"{kind}_list")
            # Older evaluations skip an image whose empty lists are left out.
            found.SetInParent()
            found.value.extend(values)
    return bytes(example.SerializeToString(deterministic=True))
