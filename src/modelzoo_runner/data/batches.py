"""Batches: what a step is fed with, synthetic ones, and how batches are made ahead of need."""

from __future__ import annotations

import io
import itertools
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from modelzoo_runner.errors import RequestError
from modelzoo_runner.values import validate

if TYPE_CHECKING:
    import numpy as np

Transform = Callable[["np.ndarray[Any, Any]"], "np.ndarray[Any, Any]"]
"""From one image, [1, height, width, 3], to one row of what a graph takes."""

Item = TypeVar("Item")
Made = TypeVar("Made")

ALIGNMENT = 64
"""Bytes. TensorFlow takes an array whose memory begins at a multiple of this without copying it."""


@dataclass(frozen=True)
class Batch:
    """What one step gets, and what is known about it.

    `inputs` has one row for each example; the last batch of a data set may be shorter. `truth` is
    the int64 class index 0..999 of each for ImageNet, the ground truth for COCO, `None` for made
    inputs. `names` are the images' file names, as far as the data has them.
    """

    inputs: np.ndarray[Any, Any]
    truth: Any | None = None
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        """The number of examples."""
        return len(self.inputs)


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """Which examples of a data set are read, and how.

    Attributes:
        batch_size: examples in a batch.
        threads: at most so many threads decode.
        first: leave out so many examples at the beginning; they aren't read.
        limit: only so many examples.
        repeat: start again at the end, and never end.

    Raises:
        RequestError: `first` is negative, or another number isn't a positive integer.
    """

    batch_size: int = 1
    threads: int = 1
    first: int = 0
    limit: int | None = None
    repeat: bool = False

    def __post_init__(self) -> None:
        validate.count("first", self.first, 0)
        for name in ("batch_size", "threads", "limit"):
            validate.optional_count(name, getattr(self, name))


def synthetic(
    *,
    shape: tuple[int, ...],
    dtype: str,
    value_range: tuple[float, float],
    seed: int,
    distinct: int = 4,
    transform: Transform | None = None,
) -> Iterator[Batch]:
    """Made batches without end: `distinct` different ones, ready in memory, over and over.

    The values are uniform over `value_range`, both ends included for whole numbers, and depend on
    nothing but the arguments. More than one batch, so that nothing can be remembered from step to
    step; made before the first is handed out, so that no step waits for one.

    Args:
        shape: of a batch, its size first.
        dtype: of numpy, a float or an integer, such as "float32" or "uint8".
        value_range: the smallest and the largest value, those of the model's real input.
        seed: any whole number from 0.
        distinct: how many different batches; each takes its memory.
        transform: makes of each example, as a batch of one, what a batch is to hold instead.

    Raises:
        RequestError: naming the argument that can't be.

    >>> batch = next(synthetic(shape=(2, 3), dtype="uint8", value_range=(0, 255), seed=1))
    >>> batch.inputs.shape, str(batch.inputs.dtype), batch.truth
    ((2, 3), 'uint8', None)
    """
    import numpy as np

    _check(shape, np.dtype(dtype), value_range, distinct)
    generator = np.random.default_rng(seed)
    made = [_made(generator, shape, np.dtype(dtype), value_range) for _ in range(distinct)]
    if transform is not None:
        made = [Batch(_transformed(batch.inputs, transform)) for batch in made]
    # Not a generator function: a wrong argument fails here, not at the first step.
    return itertools.cycle(made)


def _check(
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    value_range: tuple[float, float],
    distinct: int,
) -> None:
    import numpy as np

    if not shape or min(shape) < 1:
        raise RequestError(f"shape={shape}: every side of a batch should be 1 or more")
    validate.count("distinct", distinct)
    if dtype.kind not in "fiu":
        raise RequestError(f"dtype={dtype.name!r}: should be a float or an integer type")
    low, high = value_range
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise RequestError(f"value_range={value_range}: should be two numbers, the smaller first")
    if dtype.kind in "iu":
        # Below this, casting would make every input the same number: 0, for [0, 1) as uint8.
        limits = np.iinfo(dtype)
        if not (limits.min <= low and high <= limits.max and np.floor(high) > np.ceil(low)):
            raise RequestError(
                f"value_range={value_range}: should hold two whole numbers or more, between "
                f"{limits.min} and {limits.max}, for dtype {dtype.name!r}"
            )


def _made(
    generator: np.random.Generator,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    value_range: tuple[float, float],
) -> Batch:
    import numpy as np

    low, high = value_range
    inputs = aligned_empty(shape, dtype)
    if dtype.kind in "iu":
        inputs[...] = generator.integers(
            int(np.ceil(low)), int(np.floor(high)), shape, dtype, endpoint=True
        )
    else:
        # Row by row: a draw is in double precision, and a whole batch of them is twice its size.
        for row in range(shape[0]):
            inputs[row] = generator.uniform(low, high, shape[1:])
    inputs.setflags(write=False)
    return Batch(inputs)


def _transformed(inputs: np.ndarray[Any, Any], transform: Transform) -> np.ndarray[Any, Any]:
    rows = [transform(inputs[row : row + 1])[0] for row in range(len(inputs))]
    made = aligned_empty((len(rows), *rows[0].shape), rows[0].dtype)
    made[...] = rows
    made.setflags(write=False)
    return made


def encoded_images(
    shape: tuple[int, ...], height: int, width: int, rng: np.random.Generator
) -> np.ndarray[Any, Any]:
    """An array of random JPEG images as bytes: smooth, as photographs are."""
    import numpy as np
    from PIL import Image

    array = np.empty(shape, object)
    for place in np.ndindex(shape):
        coarse = rng.integers(0, 256, (-(-height // 8), -(-width // 8), 3), np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        file = io.BytesIO()
        image.save(file, "JPEG", quality=90)
        array[place] = file.getvalue()
    return array


def aligned_empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    """An array, not filled, whose memory begins at a multiple of `ALIGNMENT` bytes."""
    import numpy as np

    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.empty(count + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    array: np.ndarray[Any, Any] = memory[start : start + count].view(dtype).reshape(shape)
    return array


def ahead(
    function: Callable[[Item], Made], items: Iterable[Item], *, threads: int, window: int
) -> Generator[Made]:
    """`function` of each item, in order, with up to `window` of them being worked on ahead.

    Work goes on between two calls of `next`, which is what overlaps it with inference; the window
    bounds the memory.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        waiting: deque[Future[Made]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= window:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def grouped(
    items: Iterable[Item], key: Callable[[Item], Hashable], *, size: int, held: int
) -> Iterator[list[Item]]:
    """Every item exactly once, in lists of up to `size` with equal keys.

    Items wait for others with their key, never more than `held` of them: then the longest list goes
    out short. Those that wait at the end go out in the order they came.

    >>> list(grouped("abacab", str, size=2, held=4))
    [['a', 'a'], ['b', 'b'], ['c'], ['a']]
    """
    waiting: dict[Hashable, list[Item]] = {}
    count = 0
    for item in items:
        group = waiting.setdefault(key(item), [])
        group.append(item)
        count += 1
        if len(group) < size:
            if count < held:
                continue
            group = max(waiting.values(), key=len)
        del waiting[key(group[0])]
        count -= len(group)
        yield group
    yield from waiting.values()
