"""The order in which files read in turn give their records, from their counts alone.

It is that of `tf.data.Dataset.interleave` with `deterministic=True` and a block length of 1: one
record of each of the first few files in turn; a file that has ended leaves its place empty for that
round, and the next file takes the place in the round after. Which files are meant isn't known here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


def resume(counts: Sequence[int], first: int, *, in_turn: int) -> list[tuple[int, int]]:
    """What is left to be read after the first `first` records: (file, records read of it).

    The same order read over that list gives the records that follow, in the order in which they
    would have come. A file that was read to its end may still be in it: it holds its place.

    Args:
        counts: the number of records in each file.
        first: how many records to leave out.
        in_turn: how many files are read in turn.

    >>> resume([2, 2, 2], 3, in_turn=2)
    [(1, 1), (0, 2), (2, 0)]
    """
    waiting = deque(range(len(counts)))
    # The places in the order of their turns; `None` is an empty one.
    places: deque[tuple[int, int] | None] = deque()
    for _ in range(min(in_turn, len(counts))):
        places.append((waiting.popleft(), 0))
    left = first
    while left:
        place = places.popleft()
        if place is None and waiting:
            place = (waiting.popleft(), 0)
        if place is None:
            if not any(places):
                return []
            places.append(None)
            continue
        file, read = place
        if read == counts[file]:
            places.append(None)
            continue
        places.append((file, read + 1))
        left -= 1
    following = [(file, 0) for file in waiting]
    # Empty places are filled in the order of their turns.
    at_hand = [place if place or not following else following.pop(0) for place in places]
    return [place for place in at_hand if place is not None] + following
