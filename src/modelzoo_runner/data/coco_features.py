"""The features of a COCO record, read so that what is missing or odd is named."""

from __future__ import annotations

from typing import Any

from modelzoo_runner.data.examples import Kind, features_of, optional_value_problem, value_problem
from modelzoo_runner.errors import DataError


class Features:
    """The features of one serialized `tf.train.Example`; `where` begins the messages about it.

    Bytes but those of `image/encoded` are text, and come as `str`.

    Raises:
        DataError: the bytes are not an Example.
    """

    def __init__(self, record: bytes, where: str) -> None:
        self.where = where
        features = features_of(record)
        if features is None:
            raise self.error("not a tf.train.Example, as COCO records are")
        self._features = features

    def encoded(self) -> bytes:
        """The bytes of the image's file.

        Raises:
            DataError: there are none.
        """
        self._raise(value_problem(self._features, "image/encoded", "bytes"))
        data: bytes = self._features["image/encoded"].bytes_list.value[0]
        return data

    def value(self, key: str, kind: Kind) -> Any:
        """The one value of a feature.

        Raises:
            DataError: it is absent, of another kind, or there isn't exactly one value.
        """
        self._raise(value_problem(self._features, key, kind))
        return self._values(key, kind)[0]

    def optional(self, key: str, kind: Kind) -> Any | None:
        """The one value of a feature, `None` where there is none.

        Raises:
            DataError: it is of another kind, or there is more than one value.
        """
        self._raise(optional_value_problem(self._features, key, kind))
        return next(iter(self._values(key, kind)), None)

    def per_object(self, name: str, kind: Kind, count: int | None = None) -> list[Any]:
        """The values of `image/object/<name>`, one for each of `count` objects, or none at all.

        Raises:
            DataError: it is of another kind, or there are some values but not `count`.
        """
        key = f"image/object/{name}"
        if key not in self._features:
            return []
        # An empty list may come without saying of what.
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
        # What isn't UTF-8 is shown as such rather than refused.
        return [each.decode("utf-8", "replace") for each in values] if kind == "bytes" else values

    def _raise(self, problem: str | None) -> None:
        if problem is not None:
            raise self.error(problem)
