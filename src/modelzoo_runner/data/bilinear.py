"""TensorFlow 1's bilinear resize of uint8 pixels, and what comes before and after it, in one pass.

Compiled by numba. For each row of the result two rows of pixels are interpolated across, unless
they were for the row before, and then those two down. Across, vectors are of four pixels, each with
one value more: numba by itself makes none of three channels, which takes many times as long.
"""

from __future__ import annotations

from functools import cache
from typing import Any

AT_ONCE = 4
"""So many pixels are in a vector of AVX-512; for other processors LLVM divides it."""


@cache
def resizing() -> Any:
    """The compiled function; no thread waits for another in it.

    Its arguments: pixels (uint8, flat, three to a pixel and one value more at the end), the image's
    width, the window that is resized (top, left, height, width), to which size (height, width), the
    offset of the kept part in that (down, across), what each pixel value is multiplied by, what is
    subtracted from each value of a row, what that is multiplied by, and the kept part (float32
    [height, width, 3]), which is written. Windows and parts that aren't inside are not noticed.
    """
    import numba
    import numpy as np
    from numba import types

    across, weights, single = _across(), _weights(), np.float32

    def resize(
        pixels: Any,
        width: Any,
        window: Any,
        resized: Any,
        offset: Any,
        unit: Any,
        mean: Any,
        scale: Any,
        kept: Any,
    ) -> None:
        values = 3 * kept.shape[1]
        upper, lower, down = weights(window[2], resized[0], offset[0], kept.shape[0])
        across_count = -(-kept.shape[1] // AT_ONCE) * AT_ONCE
        left, right, share = weights(window[3], resized[1], offset[1], across_count)
        columns = 3 * left, 3 * right, share
        # And what a vector has more than pixels.
        longest = 3 * across_count + AT_ONCE
        above, below = np.empty(longest, single), np.empty(longest, single)
        in_above = in_below = -1
        for y in range(kept.shape[0]):
            if in_below == upper[y]:
                above, below = below, above
                in_above, in_below = in_below, in_above
            if in_above != upper[y]:
                in_above = upper[y]
                start = ((window[0] + in_above) * width + window[1]) * 3
                across(pixels, start, columns, unit, above)
            if in_below != lower[y]:
                in_below = lower[y]
                start = ((window[0] + in_below) * width + window[1]) * 3
                across(pixels, start, columns, unit, below)
            row = kept[y].reshape(values)
            for each in range(values):
                value = above[each] + (below[each] - above[each]) * down[y]
                row[each] = (value - mean[each]) * scale

    pair, four = types.UniTuple(types.int64, 2), types.UniTuple(types.int64, 4)
    row, number = types.float32[::1], types.float32
    kept = types.float32[:, :, ::1]
    return numba.njit(
        types.void(types.uint8[::1], types.int64, four, pair, pair, number, row, number, kept),
        nogil=True,
    )(resize)


def _across() -> Any:
    """A row of pixels, from the one at `start` on, to values between those at two columns each."""
    import numba

    blend = _blend()

    def across(pixels: Any, start: Any, columns: Any, unit: Any, row: Any) -> None:
        left, right, share = columns
        for x in range(0, left.size, AT_ONCE):
            blend(pixels, start, left, right, share, unit, row, x)

    return numba.njit(nogil=True)(across)


def _weights() -> Any:
    """The positions that each of `count` ones from `first` on lies between, and how far."""
    import numba
    import numpy as np

    single = np.float32

    def weights(size: Any, resized: Any, first: Any, count: Any) -> Any:
        before, after = np.empty(count, np.int64), np.empty(count, np.int64)
        share = np.empty(count, single)
        scale = single(size) / single(resized)
        for at in range(count):
            exact = single(first + at) * scale
            whole = int(exact)
            before[at] = min(whole, size - 1)
            after[at] = min(whole + (exact > whole), size - 1)
            share[at] = exact - single(whole)
        return before, after, share

    return numba.njit(nogil=True)(weights)


def _blend() -> Any:
    """Pixels between two columns each, from column `x` of the result on, written to a row.

    Each value is `left + (right - left) * share`. Vectors have four values for a pixel; the fourth,
    of no use, is dropped when they are written, and what is written after the last is overwritten
    by the next ones.
    """
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    byte, whole, single = ir.IntType(8), ir.IntType(32), ir.FloatType()
    lanes = range(4 * AT_ONCE)
    bytes_, wholes, singles = (ir.VectorType(each, len(lanes)) for each in (byte, whole, single))
    packed = [lane for lane in lanes if lane % 4 < 3]

    def numbers(values: Any) -> Any:
        return ir.Constant(ir.VectorType(whole, len(values)), list(values))

    def blend(
        _: Any,
        pixels: Any,
        start: Any,
        left: Any,
        right: Any,
        share: Any,
        unit: Any,
        row: Any,
        x: Any,
    ) -> Any:
        signature = types.void(pixels, start, left, right, share, unit, row, x)

        def generated(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _, start, _, _, _, unit, _, x = arguments

            def array(number: int) -> Any:
                kind = signature.args[number]
                return context.make_array(kind)(context, builder, arguments[number]).data

            first, left, right, share, to = map(array, (0, 2, 3, 4, 6))

            def values_at(columns: Any) -> Any:
                """The pixels at `AT_ONCE` columns from the one numbered `x` on."""
                found = ir.Constant(ir.VectorType(whole, AT_ONCE), None)
                for each in range(AT_ONCE):
                    column = builder.load(builder.gep(columns, [builder.add(x, x.type(each))]))
                    place = builder.gep(first, [builder.add(start, column)])
                    pixel = builder.load(builder.bitcast(place, whole.as_pointer()), align=1)
                    found = builder.insert_element(found, pixel, whole(each))
                values = builder.sitofp(
                    builder.zext(builder.bitcast(found, bytes_), wholes), singles
                )
                return builder.fmul(values, spread(unit))

            def spread(value: Any) -> Any:
                one = builder.insert_element(ir.Constant(singles, None), value, whole(0))
                return builder.shuffle_vector(one, one, numbers([0] * len(lanes)))

            def shares() -> Any:
                few = ir.VectorType(single, AT_ONCE).as_pointer()
                found = builder.load(builder.bitcast(builder.gep(share, [x]), few), align=4)
                return builder.shuffle_vector(found, found, numbers([lane // 4 for lane in lanes]))

            before = values_at(left)
            step = builder.fmul(builder.fsub(values_at(right), before), shares())
            found = builder.fadd(before, step)
            found = builder.shuffle_vector(found, found, numbers([*packed, *[0] * AT_ONCE]))
            place = builder.gep(to, [builder.mul(x, x.type(3))])
            builder.store(found, builder.bitcast(place, singles.as_pointer()), align=4)
            return context.get_dummy_value()

        return signature, generated

    return intrinsic(blend)
