"""What is inside a tf.train.Example, and what is wrong with one that can't be used, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

Features: TypeAlias = Mapping[str, Any]
"""tf.train.Feature by key."""

Kind = Literal["bytes", "int64", "float"]


def features_of(record: bytes) -> Features | None:
    """The features of a record; `None` when it isn't an Example."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        features: Features = tf.train.Example.FromString(record).features.feature
    except DecodeError:
        return None
    return features


def value_problem(features: Features, key: str, kind: Kind) -> str | None:
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


def optional_value_problem(features: Features, key: str, kind: Kind = "bytes") -> str | None:
    """The same for a key that may be absent, or have no value."""
    if key not in features or features[key].WhichOneof("kind") is None:
        return None
    return value_problem(features, key, kind)
