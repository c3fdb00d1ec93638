"""Spoil valid input by chance: bytes, text, JSON."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

# fmt: off
EXTREMES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 0.5, -0.0, 2**31, 2**63 - 1, 2**63, 2**70, -(2**70), 10**400,
    1e300, -1e300, 1e-320, float("nan"), float("inf"), "", " ", "0", "-1", "1e400", "nan",
    "é\u202e", "\x1b[2J\x07", "\x00", "../x", "/dev/zero", "/etc/passwd", "a" * 10_000, "\ud800",
    "fp32", "x:0",
    [], {}, [[]], [None], [0] * 5, [1e300] * 4, {"": {}}, {"a": [1]}, [[[[[[[[]]]]]]]],
)
WORDS = (
    "\x00", "\x1b[2J", "\r", "\n", "\t", "\ufeff", "\u202e", "9" * 5000, "-1", "1e999", "nan",
    "[", "{", "[" * 3000, "{" * 3000, '"', "'", "\\", "`", "$(", "${A:-${B}}", "$A", "=", "==", "#",
    "--", "-", ",", ":", "]", "}", "\ud800", "é", "%s", "..", "/", "~", "*", "(" * 500,
    "A" * 70_000, "null", "0x", "1_000",
)
# fmt: on


def spoiled_bytes(rng: random.Random, data: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(found) + 1)
        to = min(len(found), at + rng.choice((1, 2, 4, 8, 64, 1024)))
        match rng.randrange(8):
            case 0 | 1 if at < len(found):
                found[at] ^= 1 << rng.randrange(8)
            case 2:
                found[at:to] = rng.randbytes(to - at)
            case 3:
                del found[at:to]
            case 4:
                found[at:at] = found[at:to] * rng.choice((1, 2, 100))
            case 5:
                found[at:to] = rng.choice((b"\xff", b"\x00", b"\x80", b"\x7f")) * (to - at)
            case 6:
                del found[at:]
            case _:
                found[at:at] = rng.randbytes(rng.randrange(20))
    return bytes(found)


def spoiled_text(rng: random.Random, text: str) -> str:
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(text) + 1)
        to = min(len(text), at + rng.choice((0, 1, 3, 10, 100)))
        middle = rng.choice((rng.choice(WORDS), text[at:to] * 2, "", chr(rng.randrange(0x250))))
        text = text[:at] + middle + text[to:]
    return text


def spoiled_value(rng: random.Random, value: Any) -> Any:
    """The value with something in it changed, left out, or put elsewhere."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(value))
        if not places:
            return rng.choice(EXTREMES)
        holder, key = rng.choice(places)
        match rng.randrange(8):
            case 0:
                del holder[key]
            case 1:
                other, there = rng.choice(places)
                if isinstance(other, dict) or there < len(other):
                    holder[key] = copy.deepcopy(other[there])
            case 2 if isinstance(holder, dict):
                holder[rng.choice(("", "x", "id", "name", "kind", "\x1b", key + "s"))] = holder[key]
            case 3 if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
            case 4 if isinstance(holder[key], (int, float)):
                holder[key] *= rng.choice((-1, 0, 2, 1e9, 10**30))
            case _:
                holder[key] = copy.deepcopy(rng.choice(EXTREMES))
    return value


def _places(value: Any) -> Any:
    keys: Any = value.keys() if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key])


def spoiled_json(rng: random.Random, value: Any) -> bytes:
    """A JSON file of it: spoiled as a value, as text, or both."""
    if rng.random() < 0.85:
        value = spoiled_value(rng, value)
    text = json.dumps(value, ensure_ascii=rng.random() < 0.9)
    if rng.random() < 0.2:
        text = spoiled_text(rng, text)
    return text.encode("utf-8", "surrogatepass")


def written(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
    return path
