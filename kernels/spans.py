"""Lanes that are time: BARS bars in one vector."""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import models, register_model
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic

from .memory import loader, place_in
from .vectors import BIT, DOUBLE, INT32, INT64, Mask, Vector, in_every_lane

BARS = 8
"""Bars at a time, where lanes are time."""


class Span(types.Type):
    """BARS bars on end, written and used like the number of one: series[t - 1] are their values, a Vector."""

    def __init__(self) -> None:
        super().__init__(name="Span")


_SPAN = Span()
_IN_ROW: Any = types.Tuple((types.intp, _SPAN))  # type: ignore[attr-defined]  # of a table: row, bars


@register_model(Span)
class _SpanModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, of: Span) -> None:
        super().__init__(manager, of, INT64)


@intrinsic
def span(typingctx: Any, t: Any) -> Any:
    """The bars from t >= 0 on."""
    return _SPAN(types.intp), lambda context, builder, sig, args: args[0]


@infer_global(operator.add)
@infer_global(operator.sub)
class _SpanMove(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        if len(args) == 2 and isinstance(args[0], Span) and isinstance(args[1], types.Integer):
            return signature(_SPAN, _SPAN, types.intp)
        return None


@lower_builtin(operator.add, Span, types.Integer)
def _later(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.add(*args)


@lower_builtin(operator.sub, Span, types.Integer)
def _earlier(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.sub(*args)


@infer_global(operator.getitem)
class _SpanTyping(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        series, place = args
        if isinstance(series, types.Array) and isinstance(place, Span):
            return signature(Vector(BARS), series, _SPAN)
        if isinstance(series, types.Array) and any(isinstance(part, Span) for part in getattr(place, "types", ())):
            return signature(Vector(BARS), series, _IN_ROW)
        return None


@lower_builtin(operator.getitem, types.Array, Span)
def _bars_of_series(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.load(place_in(context, builder, sig.args[0], args[0], [args[1]], BARS), align=8)


@lower_builtin(operator.getitem, types.Array, _IN_ROW)
def _bars_of_row(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    row, place = cgutils.unpack_tuple(builder, args[1], 2)
    return builder.load(place_in(context, builder, sig.args[0], args[0], [row, place], BARS), align=8)


@intrinsic
def bar_bits(typingctx: Any, mask: Any) -> Any:
    """The bars of a span for which a mask holds, as the bits of an integer, bar 0 the lowest."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.zext(builder.bitcast(args[0], ir.IntType(BARS)), INT64)

    return types.int64(Mask(BARS)), lower


@intrinsic
def store_bits(typingctx: Any, words: Any, row: Any, place: Any, mask: Any) -> Any:
    """store_bits(words, row, place, mask): what `bar_bits` of a mask makes, into a row of an array of int64, (N, W), as the
    bits from BARS * place on; with one instruction, where shifts into a word took four."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        byte = ir.IntType(BARS)
        start = builder.bitcast(
            place_in(context, builder, sig.args[0], args[0], [args[1], ir.Constant(INT64, 0)], 1), byte.as_pointer()
        )
        builder.store(builder.bitcast(args[3], byte), builder.gep(start, [args[2]]), align=1)
        return context.get_dummy_value()

    return types.void(words, types.intp, types.intp, Mask(BARS)), lower


@intrinsic
def count_in_block(typingctx: Any, t: Any, level: Any) -> Any:
    """How many bars of t's block of 2^level there are up to t, itself included: a number, or one for each bar of a span."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        t, level = args
        within = builder.sub(builder.shl(ir.Constant(INT64, 1), level), ir.Constant(INT64, 1))
        one = ir.Constant(INT64, 1)
        if isinstance(sig.args[0], Span):
            numbers = ir.VectorType(INT64, BARS)
            t = builder.add(in_every_lane(builder, t, BARS), ir.Constant(numbers, list(range(BARS))))
            within, one = in_every_lane(builder, within, BARS), ir.Constant(numbers, [1] * BARS)
        count = builder.add(builder.and_(t, within), one)
        return builder.sitofp(count, context.get_data_type(sig.return_type))

    return (Vector(BARS) if isinstance(t, Span) else types.float64)(t if isinstance(t, Span) else types.intp, types.intp), lower


bars_from = loader(BARS)
"""bars_from(series, t): the values of BARS bars from t on; the series must reach so far."""


@intrinsic
def everywhere(typingctx: Any, value: Any) -> Any:
    """A vector of BARS lanes that hold the same number."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return in_every_lane(builder, args[0], BARS)

    return Vector(BARS)(types.float64), lower


@intrinsic
def first_bars(typingctx: Any, count: Any) -> Any:
    """A mask of BARS lanes that holds in the first `count`."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        numbers = ir.Constant(ir.VectorType(INT64, BARS), list(range(BARS)))
        return builder.icmp_signed("<", numbers, in_every_lane(builder, args[0], BARS))

    return Mask(BARS)(types.intp), lower


# Half a register, for what stands among many operations on numbers: while a vector of 512 bits is under way, one of the
# three ports of the processor takes none of these. Without any, an order of a long took a fifth less.

HALF = BARS // 2

half_from = loader(HALF)
"""half_from(series, t): the values of HALF bars from t on."""


@intrinsic
def half_of(typingctx: Any, bits: Any) -> Any:
    """A mask of HALF lanes, of as many lowest bits of an integer."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.bitcast(builder.trunc(args[0], ir.IntType(HALF)), ir.VectorType(BIT, HALF))

    return Mask(HALF)(types.int64), lower


@intrinsic
def half_in(typingctx: Any, a: Any) -> Any:
    """The numbers in a vector of HALF lanes."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes = [builder.extract_element(args[0], ir.Constant(INT32, lane)) for lane in range(HALF)]
        return context.make_tuple(builder, sig.return_type, lanes)

    return types.UniTuple(types.float64, HALF)(a), lower  # type: ignore[attr-defined]


@intrinsic
def powers(typingctx: Any, x: Any) -> Any:
    """1, x, x^2, ... in HALF lanes: products of x and x^2, each in the lanes whose number has its bit."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        ones, power, product = ir.Constant(ir.VectorType(DOUBLE, HALF), [1.0] * HALF), args[0], None
        for bit in range(HALF.bit_length() - 1):
            lanes = ir.Constant(ir.VectorType(BIT, HALF), [lane >> bit & 1 for lane in range(HALF)])
            factor = builder.select(lanes, in_every_lane(builder, power, HALF), ones)
            product = factor if product is None else builder.fmul(product, factor)
            power = builder.fmul(power, power)
        return product

    return Vector(HALF)(types.float64), lower
