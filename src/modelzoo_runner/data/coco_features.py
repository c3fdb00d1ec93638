"""The features of a record, read so that what is missing or odd is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from modelzoo_runner.errors import DataError

Kind = Literal["bytes_list", "float_list", "int64_list"]


class Features:
    """The features of one serialized `tf.train.Example`; `where` begins the messages about it.

    Raises:
        DataError: the bytes are not an Example.
    """

    def __init__(self, record: bytes, where: str) -> None:
        from google.protobuf.message import DecodeError
        from tensorflow.train import Example

        self.where = where
        try:
            self._features = Example.FromString(record).features.feature
        except DecodeError:
            raise self.error("not a tf.train.Example, as COCO records are") from None

    def values(self, key: str, kind: Kind, *, optional: bool = False) -> Sequence[Any]:
        """The values of a feature; none of an `optional` one that is absent.

        Raises:
            DataError: the feature is absent or of another kind.
        """
        if key not in self._features:
            if optional:
                return ()
            present = ", ".join(sorted(self._features)) or "no feature at all"
            raise self.error(f"no {key!r}; it has {present}")
        feature = self._features[key]
        # An empty list may come without saying of what.
        found = feature.WhichOneof("kind") or kind
        if found != kind:
            raise self.error(f"{key!r} is a {found}, and should be a {kind}")
        values: Sequence[Any] = getattr(feature, kind).value
        return values

    def value(self, key: str, kind: Kind) -> Any:
        """The only value of a feature.

        Raises:
            DataError: as `values`, or there isn't exactly one.
        """
        values = self.values(key, kind)
        if len(values) != 1:
            raise self.error(f"{key!r} has {len(values)} values, and should have 1")
        return values[0]

    def per_object(self, name: str, kind: Kind, count: int | None = None) -> list[Any]:
        """The values of `image/object/<name>`, one for each of `count` objects; none if absent.

        Text comes as `str`.

        Raises:
            DataError: as `values`, or there are some but not `count`.
        """
        key = f"image/object/{name}"
        values = list(self.values(key, kind, optional=True))
        if values and count is not None and len(values) != count:
            raise self.error(f"{key!r} has {len(values)} values for {count} boxes")
        return [text(each) for each in values] if kind == "bytes_list" else values

    def error(self, what: str) -> DataError:
        """The error that says `what` about this record."""
        return DataError(f"{self.where}: {what}.")


def text(value: bytes) -> str:
    """UTF-8 as text; what isn't is shown as such rather than refused."""
    return value.decode("utf-8", "replace")
