"""The features of a `tf.train.Example`, read so that what is missing or wrong is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from modelzoo_runner.errors import DataError

FeatureMap: TypeAlias = Mapping[str, Any]
"""tf.train.Feature by key."""

Kind = Literal["bytes", "int64", "float"]


def features_of(record: bytes) -> FeatureMap | None:
    """The features of a record; `None` when it isn't an Example."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        features: FeatureMap = tf.train.Example.FromString(record).features.feature
    except DecodeError:
        return None
    return features


def value_problem(features: FeatureMap, key: str, kind: Kind) -> str | None:
    """Why `key` isn't one value of that kind, as the end of a sentence; `None` when it is."""
    if key not in features:
        return f"the key {key!r} is missing; keys there: {', '.join(sorted(features)) or 'none'}"
    found = features[key].WhichOneof("kind")
    if found is None:
        return f"the key {key!r} has no value"
    if found != f"{kind}_list":
        return f"the key {key!r} holds a {found}, should be a {kind}_list"
    count = len(getattr(features[key], found).value)
    return None if count == 1 else f"the key {key!r} holds {count} values, should be 1"


def optional_value_problem(features: FeatureMap, key: str, kind: Kind = "bytes") -> str | None:
    """The same for a key that may be absent, or have no value."""
    if key not in features or features[key].WhichOneof("kind") is None:
        return None
    return value_problem(features, key, kind)


class Features:
    """The features of one serialized `tf.train.Example`; `where` begins the messages about it.

    Bytes but those of `image/encoded` are text, and come as `str`.

    Raises:
        DataError: the bytes are not an Example; and in each method, the value isn't as described.
    """

    def __init__(self, record: bytes, where: str) -> None:
        self.where = where
        features = features_of(record)
        if features is None:
            raise self.error("not a tf.train.Example, as COCO records are")
        self._features = features

    def encoded(self, key: str = "image/encoded") -> bytes:
        """The bytes of the image's file."""
        self._raise(value_problem(self._features, key, "bytes"))
        data: bytes = self._features[key].bytes_list.value[0]
        return data

    def value(self, key: str, kind: Kind) -> Any:
        """The one value of a feature."""
        self._raise(value_problem(self._features, key, kind))
        return self._values(key, kind)[0]

    def optional(self, key: str, kind: Kind) -> Any | None:
        """The one value of a feature, `None` where there is none."""
        self._raise(optional_value_problem(self._features, key, kind))
        return next(iter(self._values(key, kind)), None)

    def per_object(self, name: str, kind: Kind, count: int | None = None) -> list[Any]:
        """The values of `image/object/<name>`, one for each of `count` objects, or none at all."""
        key = f"image/object/{name}"
        if key not in self._features:
            return []
        # An empty list may come without its type.
        found = self._features[key].WhichOneof("kind")
        if found not in (None, f"{kind}_list"):
            raise self.error(f"the key {key!r} holds a {found}, should be a {kind}_list")
        values = self._values(key, kind)
        if values and count is not None and len(values) != count:
            raise self.error(f"the key {key!r} holds {len(values)} values for {count} boxes")
        return values

    def error(self, what: str) -> DataError:
        """The error that says `what` about this record."""
        return DataError(f"{self.where}: {what}.")

    def _values(self, key: str, kind: Kind) -> list[Any]:
        if key not in self._features:
            return []
        values = list(getattr(self._features[key], f"{kind}_list").value)
        # What isn't UTF-8 is shown with replacement characters rather than refused.
        return [each.decode("utf-8", "replace") for each in values] if kind == "bytes" else values

    def _raise(self, problem: str | None) -> None:
        if problem is not None:
            raise self.error(problem)
