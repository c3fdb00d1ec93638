"""Reading parameters that may come as text, as a pipeline or an old command line passes them."""

from __future__ import annotations

import re

from modelzoo_runner.errors import RequestError


def one_of(name: str, value: object, allowed: tuple[str, ...]) -> str:
    """The allowed value that `value` is, whatever its case.

    Raises:
        RequestError: naming the parameter, its value and the allowed ones.

    >>> one_of("verbose", True, ("true", "false"))
    'true'
    """
    folded = str(value).strip().lower()
    if folded not in allowed:
        raise RequestError(f"{name}={value!r}: should be {' or '.join(allowed)}")
    return folded


def whole(name: str, value: object, *, least: int) -> int:
    """The whole number that `value` is or says.

    Raises:
        RequestError: naming the parameter, its value and the least one allowed.

    >>> whole("steps", "100", least=1)
    100
    """
    number = _number(value)
    if number is None or number < least:
        raise RequestError(f"{name}={value!r}: should be a whole number of at least {least}")
    return number


def whole_or_unset(name: str, value: object, *, least: int, unset: str) -> int | None:
    """The same, and `None` for what means "not given": nothing, empty text or -1.

    >>> whole_or_unset("batch_size", "-1", least=1, unset="the model's own")
    """
    if value is None or (isinstance(value, str) and not value.strip()) or _number(value) == -1:
        return None
    number = _number(value)
    if number is None or number < least:
        raise RequestError(
            f"{name}={value!r}: should be a whole number of at least {least}, or -1 for {unset}"
        )
    return number


def image_name(value: object) -> str | None:
    """The name of a container image that `value` is; `None` for nothing and for empty text.

    Raises:
        RequestError: it can't be one.

    >>> image_name("registry.example.org:5000/team/modelzoo-runner@sha256:0123")
    'registry.example.org:5000/team/modelzoo-runner@sha256:0123'
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not re.fullmatch(r"[\w][\w./:@-]*", value, re.ASCII):
        raise RequestError(
            f"docker_image={value!r}: should be the name of an image, such as "
            "registry.example.org/modelzoo-runner:1"
        )
    return value


def _number(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value.strip()):
        return int(value)
    return value if type(value) is int else None
