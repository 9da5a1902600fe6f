"""What lanes of float32 need besides: numbers rounded to it, and marks of sixteen lanes, which a comparison leaves as two
bytes. Everything else about them is in vectors.py, and whatever is decided from marks is the same (words.py, turns.py).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .memory import place_in
from .vectors import BIT, FLOAT, INT32, INT64, Mask, Single, Vector
from .words import PIECE

PAIR = 2 * PIECE  # lanes of a register


def _is_tuple(of: Any) -> bool:
    return isinstance(of, types.BaseTuple)  # type: ignore[attr-defined]


def _rounded_type(of: Any) -> Any:
    if _is_tuple(of):
        return types.Tuple([_rounded_type(part) for part in of.types])  # type: ignore[attr-defined]
    if isinstance(of, Vector):
        return Single(of.lanes)
    return types.float32 if isinstance(of, types.Float) else of


def _rounded_value(builder: Any, of: Any, value: Any) -> Any:
    if _is_tuple(of):
        parts = [_rounded_value(builder, part, builder.extract_value(value, i)) for i, part in enumerate(of.types)]
        alike = len(set(_rounded_type(of).types)) == 1  # numba keeps these in an array
        return cgutils.pack_array(builder, parts) if alike else cgutils.pack_struct(builder, parts)
    if isinstance(of, Vector):
        return builder.fptrunc(value, ir.VectorType(FLOAT, of.lanes))
    return builder.fptrunc(value, FLOAT) if of == types.float64 else value


@intrinsic
def rounded(typingctx: Any, value: Any) -> Any:
    """The same with every float64 in it, alone or in a vector, rounded to float32; of tuples, part by part."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _rounded_value(builder, sig.args[0], args[0])

    return _rounded_type(value)(value), lower


def _pair_at(context: Any, builder: Any, kind: Any, array: Any, place: Any) -> Any:
    start = place_in(context, builder, kind, array, [ir.Constant(INT64, 0)], 1)
    return builder.gep(builder.bitcast(start, ir.IntType(8).as_pointer()), [place])


@intrinsic
def keep_pairs(typingctx: Any, seen: Any, place: Any, apart: Any, mask: Any) -> Any:
    """keep_pairs(seen, place, apart, mask): as words.keep_mark, two bytes at a time: those of a PAIR of lanes lie side by
    side. Cut into single bytes, each second one would cost a shift besides its store."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        array, place, apart, mask = args
        if isinstance(sig.args[3], Mask):
            nothing = ir.InlineAsm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", side_effect=True)
            for at in range(0, sig.args[3].lanes, PAIR):
                lanes = ir.Constant(ir.VectorType(INT32, PAIR), list(range(at, at + PAIR)))
                both = builder.bitcast(builder.shuffle_vector(mask, mask, lanes), ir.IntType(PAIR))
                pointer = _pair_at(context, builder, sig.args[0], array, place)
                builder.store(both, builder.bitcast(pointer, ir.IntType(PAIR).as_pointer()), align=2)
                builder.call(nothing, [])  # as in keep_mark
                place = builder.add(place, apart)
        return context.get_dummy_value()

    return types.void(seen, types.intp, types.intp, mask if isinstance(mask, Mask) else types.boolean), lower


@intrinsic
def spread_half(typingctx: Any, words: Any, to: Any, seen: Any, place: Any, half: Any, like: Any) -> Any:
    """spread_half(words, to, seen, place, half, like): as words.spread, of the first (half = 0) or second PIECE of the lanes
    whose marks of 64 bars `keep_pairs` kept from byte `place` on."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        words, to, seen, place, half, like = args
        view = context.make_array(sig.args[0])(context, builder, words)
        if isinstance(sig.args[5], Mask):
            of_pairs, of_bars = ir.VectorType(ir.IntType(16), 64), ir.VectorType(ir.IntType(8), 64)
            pointer = _pair_at(context, builder, sig.args[2], seen, place)
            pairs = builder.load(builder.bitcast(pointer, of_pairs.as_pointer()), align=1)
            by = builder.trunc(builder.mul(half, ir.Constant(INT64, PIECE)), ir.IntType(16))
            empty = ir.Constant(of_pairs, ir.Undefined)
            first = builder.insert_element(empty, by, ir.Constant(INT32, 0))
            shift = builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(INT32, 64), [0] * 64))
            bars = builder.trunc(builder.lshr(pairs, shift), of_bars)
        else:
            word = builder.sext(like if like.type == BIT else builder.trunc(like, BIT), INT64)
        for lane in reversed(range(PIECE)):  # as in words.spread: the sign of each byte, and then of the one before
            if isinstance(sig.args[5], Mask):
                word = builder.bitcast(builder.icmp_signed("<", bars, ir.Constant(of_bars, None)), INT64)
                bars = builder.add(bars, bars)
            at = builder.add(to, ir.Constant(INT64, lane))
            builder.store(word, cgutils.get_item_pointer(context, builder, sig.args[0], view, [at], wraparound=False))
        return context.get_dummy_value()

    mark = like if isinstance(like, Mask) else types.boolean
    return types.void(words, types.intp, seen, types.intp, types.intp, mark), lower
