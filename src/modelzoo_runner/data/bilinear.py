"""TensorFlow 1's bilinear resize of uint8 pixels, and what comes before and after it, in one pass.

Compiled by numba. For each row of the result two rows of pixels are interpolated across, unless
they were for the row before, and then those two down. Across, vectors are of four values, a pixel
and one more: numba by itself makes none of three channels, which takes four times as long.
"""

from __future__ import annotations

from functools import cache
from typing import Any


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
        columns = weights(window[3], resized[1], offset[1], kept.shape[1])
        # One value more, which the last four write.
        above, below = np.empty(values + 1, single), np.empty(values + 1, single)
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
        for x in range(left.size):
            blend(pixels, start + 3 * left[x], start + 3 * right[x], share[x], unit, row, 3 * x)

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
    """Four values between two pixels, written to a row: `left + (right - left) * share`."""
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    byte, whole, single = ir.IntType(8), ir.IntType(32), ir.FloatType()
    bytes_, wholes, singles = (ir.VectorType(each, 4) for each in (byte, whole, single))

    def blend(
        _: Any, pixels: Any, left: Any, right: Any, share: Any, unit: Any, row: Any, at: Any
    ) -> Any:
        signature = types.void(pixels, left, right, share, unit, row, at)

        def generated(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pixels, left, right, share, unit, row, at = arguments
            first = context.make_array(signature.args[0])(context, builder, pixels).data
            to = context.make_array(signature.args[5])(context, builder, row).data

            def four_times(value: Any) -> Any:
                one = builder.insert_element(ir.Constant(singles, None), value, whole(0))
                return builder.shuffle_vector(one, one, ir.Constant(wholes, [0] * 4))

            def four_values(position: Any) -> Any:
                place = builder.bitcast(builder.gep(first, [position]), bytes_.as_pointer())
                values = builder.zext(builder.load(place, align=1), wholes)
                return builder.fmul(builder.sitofp(values, singles), four_times(unit))

            start = four_values(left)
            step = builder.fmul(builder.fsub(four_values(right), start), four_times(share))
            place = builder.bitcast(builder.gep(to, [at]), singles.as_pointer())
            builder.store(builder.fadd(start, step), place, align=4)
            return context.get_dummy_value()

        return signature, generated

    return intrinsic(blend)
