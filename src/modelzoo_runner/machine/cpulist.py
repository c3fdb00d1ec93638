"""The kernel's way of writing a set of CPUs: `0-3,8`.

NUMA nodes are written the same way. Nothing is known here about which CPUs exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from modelzoo_runner.errors import RequestError
from modelzoo_runner.values import markup

HIGHEST = 65535
"""The highest id that is taken seriously. Linux builds go up to 8192 CPUs; a typing error such as
`0-99999999999` should be an error and not all of the memory."""

_RANGE = re.compile(r"(\d+)(?:-(\d+))?", re.ASCII)


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """The ids that `text` lists, sorted, each once.

    Raises:
        RequestError: naming the part that is no number or range; an empty list is one too.

    >>> parse_cpu_list("8,0-3")
    (0, 1, 2, 3, 8)
    """
    if not text.strip():
        raise RequestError("cpus='': it is empty; write ids and ranges, as in '0-3,8'")
    found: set[int] = set()
    for part in text.strip().split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise RequestError(
                f"cpus={text!r}: {part.strip()!r} is neither an id nor a range; "
                "write ids and ranges, as in '0-3,8'"
            )
        # Digits beyond those of HIGHEST are cut: a million of them needn't be converted.
        first, last = (
            int(each.lstrip("0")[:6] or "0") for each in (match[1], match[2] or match[1])
        )
        if last > HIGHEST or first > HIGHEST:
            raise RequestError(f"cpus={text!r}: {part.strip()!r} goes beyond id {HIGHEST}")
        if last < first:
            raise RequestError(
                f"cpus={text!r}: the range {part.strip()!r} ends before it begins; "
                f"write '{last}-{first}'"
            )
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def format_cpu_list(cpus: Iterable[int]) -> str:
    """The ids as the kernel writes them; the empty text for none.

    >>> format_cpu_list([8, 0, 1, 2, 3])
    '0-3,8'
    """
    return markup.ranges(sorted(set(cpus)))
