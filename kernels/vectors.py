"""Vectors of float64: many runs, or many bars, in one instruction.

A Vector holds one float64 in each of its lanes and a Mask one truth. Both live in the registers of the processor, and the
operators that Python knows work on them lane by lane: + - * / and the comparisons, and & | on masks. A number beside a
vector stands in every lane. What a comparison would decide with `if`, `where(mask, a, b)` chooses lane by lane. All of
these take plain numbers and truths as well, so a function written with them compiles for one run (lane width 1) as for
sixteen, and each lane gets the very bits that it would get alone: every operation here is one operation of IEEE 754.

Why by hand: the same loops over arrays, left to the compiler, ran at half the speed, since it keeps what a loop carries
in memory. A vector wider than the machine's registers is cut into several of these by the compiler. Widths are powers of
two; others fall off a cliff (25 times slower).
"""

from __future__ import annotations

import operator
import platform
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import models, register_model
from numba.core.imputils import lower_builtin, lower_cast
from numba.core.typeconv import Conversion
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic

from .compile import device

LANES = 32
"""Runs at a time, a power of two: four registers of AVX-512 a variable, so that one's operations fill the others' waits, and
what is done once for all lanes costs each of them little."""

_X86 = platform.machine().lower() in ("x86_64", "amd64")
PIECE = 8  # lanes of a register, whose comparison is a byte

_DOUBLE, _BIT, _INT32, _INT64 = ir.DoubleType(), ir.IntType(1), ir.IntType(32), ir.IntType(64)


class Vector(types.Type):
    """numba's type of `lanes` float64."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"float64 x {lanes}")

    def can_convert_from(self, typingctx: Any, other: types.Type) -> Conversion | None:
        return Conversion.safe if isinstance(other, (types.Float, types.Integer)) else None


class Mask(types.Type):
    """numba's type of `lanes` truths."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"bool x {lanes}")

    def can_convert_from(self, typingctx: Any, other: types.Type) -> Conversion | None:
        return Conversion.safe if isinstance(other, types.Boolean) else None


class Words(types.Type):
    """numba's type of `lanes` integers of 64 bits."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"int64 x {lanes}")

    def can_convert_from(self, typingctx: Any, other: types.Type) -> Conversion | None:
        return Conversion.safe if isinstance(other, types.Integer) else None


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, of: Vector) -> None:
        super().__init__(manager, of, ir.VectorType(_DOUBLE, of.lanes))


@register_model(Mask)
class _MaskModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, of: Mask) -> None:
        super().__init__(manager, of, ir.VectorType(_BIT, of.lanes))


@register_model(Words)
class _WordsModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, of: Words) -> None:
        super().__init__(manager, of, ir.VectorType(_INT64, of.lanes))


# Numbers into lanes


def _spread(builder: Any, value: Any, lanes: int) -> Any:
    """The same value in every lane."""
    empty = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    first = builder.insert_element(empty, value, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(_INT32, lanes), [0] * lanes))


@lower_cast(types.Float, Vector)
@lower_cast(types.Integer, Vector)
def _number_to_vector(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    return _spread(builder, context.cast(builder, value, fromty, types.float64), toty.lanes)


@lower_cast(types.Boolean, Mask)
def _truth_to_mask(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    return _spread(builder, builder.trunc(value, _BIT) if value.type != _BIT else value, toty.lanes)


@lower_cast(types.Integer, Words)
def _number_to_words(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    return _spread(builder, context.cast(builder, value, fromty, types.int64), toty.lanes)


# Operators


def _define(symbol: Any, of: Any, to: Callable[[int], Any], build: Callable[..., Any]) -> None:
    """Teaches numba one operator of two values of type `of`, or of one and a number."""

    @infer_global(symbol)
    class _Typing(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            lanes = {arg.lanes for arg in args if isinstance(arg, of)}
            if len(args) == 2 and len(lanes) == 1:
                width = lanes.pop()
                return signature(to(width), of(width), of(width))
            return None

    @lower_builtin(symbol, of, of)
    def _lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return build(builder, *args)


_ARITHMETIC = {
    "fadd": (operator.add, operator.iadd),
    "fsub": (operator.sub,),
    "fmul": (operator.mul,),
    "fdiv": (operator.truediv,),
}
for _name, _symbols in _ARITHMETIC.items():
    for _symbol in _symbols:
        _define(_symbol, Vector, Vector, lambda builder, a, b, name=_name: getattr(builder, name)(a, b))
for _symbol, _name in ((operator.lt, "<"), (operator.le, "<="), (operator.gt, ">"), (operator.ge, ">="), (operator.eq, "==")):
    _define(_symbol, Vector, Mask, lambda builder, a, b, name=_name: builder.fcmp_ordered(name, a, b))
_define(operator.ne, Vector, Mask, lambda builder, a, b: builder.fcmp_unordered("!=", a, b))
_define(operator.and_, Mask, Mask, lambda builder, a, b: builder.and_(a, b))
_define(operator.or_, Mask, Mask, lambda builder, a, b: builder.or_(a, b))
for _symbol, _name in (
    (operator.and_, "and_"),
    (operator.or_, "or_"),
    (operator.xor, "xor"),
    (operator.add, "add"),
    (operator.lshift, "shl"),
    (operator.rshift, "ashr"),
):
    _define(_symbol, Words, Words, lambda builder, a, b, name=_name: getattr(builder, name)(a, b))


@infer_global(operator.invert)
class _OppositeTyping(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(args[0], args[0]) if isinstance(args[0], Words) else None


@lower_builtin(operator.invert, Words)
def _opposite(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.not_(args[0])


@infer_global(operator.neg)
class _NegativeTyping(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(args[0], args[0]) if isinstance(args[0], Vector) else None


@lower_builtin(operator.neg, Vector)
def _negative(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.fneg(args[0])


def _of(template: type, *args: Any) -> Any:
    """What an operation on these makes: a vector or a mask of their width, or a plain number or truth."""
    wide = [arg.lanes for arg in args if isinstance(arg, (Vector, Mask))]
    if wide:
        return template(wide[0])
    return types.float64 if template is Vector else types.boolean


@intrinsic
def where(typingctx: Any, mask: Any, a: Any, b: Any) -> Any:
    """a where the mask holds, else b."""
    to, by = _of(Vector, mask, a, b), _of(Mask, mask, a, b)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(*args)

    return to(by, to, to), lower


def _llvm(name: str) -> Callable[..., Any]:
    """Lowers to one of LLVM's own operations, for vectors or plain numbers."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        of = args[0].type
        kind = f"v{of.count}f64" if isinstance(of, ir.VectorType) else "f64"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(of, [of] * len(args)), f"llvm.{name}.{kind}")
        return builder.call(function, args)

    return lower


@intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once. Said here and nowhere left to the compiler, so that every width rounds alike."""
    to = _of(Vector, a, b, c)
    return to(to, to, to), _llvm("fma")


@device
def quotient(a, n):
    """a / n, to the last bit, of a divisor that stays the same for many a: its reciprocal is taken out of their loop.

    One product, and the one correction by its remainder that Markstein proves enough (Computation of Elementary Functions
    on the IBM RISC System/6000, 1990): a division of eight lanes takes as long as sixteen of these operations. a is finite
    and neither near the largest nor the smallest numbers.
    """
    share = 1.0 / n
    near = a * share
    return fma(fma(-near, n, a), share, near)


@intrinsic
def magnitude(typingctx: Any, a: Any) -> Any:
    """|a|."""
    to = _of(Vector, a)
    return to(to), _llvm("fabs")


@intrinsic
def square_root(typingctx: Any, a: Any) -> Any:
    """The root of a; NaN below 0."""
    to = _of(Vector, a)
    return to(to), _llvm("sqrt")


def _pick(comparison: str) -> Callable[..., Any]:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        a, b = args
        return builder.select(builder.fcmp_ordered(comparison, a, b), a, b)

    return lower


@intrinsic
def smaller(typingctx: Any, a: Any, b: Any) -> Any:
    """a if a < b, else b: also b where one is NaN. In this form it is one instruction."""
    to = _of(Vector, a, b)
    return to(to, to), _pick("<")


@intrinsic
def greater(typingctx: Any, a: Any, b: Any) -> Any:
    """a if a > b, else b: also b where one is NaN."""
    to = _of(Vector, a, b)
    return to(to, to), _pick(">")


@intrinsic
def opposite(typingctx: Any, mask: Any) -> Any:
    """Where the mask does not hold: what `not` is to one truth."""
    to = _of(Mask, mask)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.not_(args[0])

    return to(to), lower


@intrinsic
def flipped(typingctx: Any, mask: Any, other: Any) -> Any:
    """The mask, but its opposite where the other one holds."""
    to = _of(Mask, mask, other)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.xor(*args)

    return to(to, to), lower


@intrinsic
def bits_of(typingctx: Any, mask: Any) -> Any:
    """The lanes that hold, as the bits of an integer, lane 0 the lowest."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if not isinstance(sig.args[0], Mask):
            return builder.zext(args[0], _INT64)
        lanes = sig.args[0].lanes
        return builder.zext(builder.bitcast(args[0], ir.IntType(lanes)), _INT64)

    return types.int64(mask if isinstance(mask, Mask) else types.boolean), lower


@device
def any_of(mask):
    """Whether it holds in any lane."""
    return bits_of(mask) != 0


@intrinsic
def lowest_bit(typingctx: Any, bits: Any) -> Any:
    """The number of the lowest bit that is set; bits is not 0."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(_INT64, [_INT64, _BIT])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.cttz.i64"), [args[0], _BIT(1)])

    return types.int64(types.int64), lower


@intrinsic
def highest_bit(typingctx: Any, bits: Any) -> Any:
    """The number of the highest bit that is set; bits is not 0."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(_INT64, [_INT64, _BIT])
        count = cgutils.get_or_insert_function(builder.module, kind, "llvm.ctlz.i64")
        return builder.xor(builder.call(count, [args[0], _BIT(1)]), ir.Constant(_INT64, 63))

    return types.int64(types.int64), lower


@intrinsic
def some(typingctx: Any, bits: Any) -> Any:
    """Whether any bit is set, of an integer or of all Words."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        none = ir.Constant(args[0].type, None if isinstance(args[0].type, ir.VectorType) else 0)
        found = builder.icmp_signed("!=", args[0], none)
        if isinstance(args[0].type, ir.VectorType):
            lanes = ir.IntType(sig.args[0].lanes)
            found = builder.icmp_signed("!=", builder.bitcast(found, lanes), lanes(0))
        return found

    return types.boolean(bits if isinstance(bits, Words) else types.int64), lower


# Across lanes, in a fixed order


def _halves(combine: Callable[..., Any]) -> Callable[..., Any]:
    """Combines the upper half of the lanes with the lower one until one is left."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value, lanes = args[0], sig.args[0].lanes
        while lanes > 1:
            lanes //= 2
            low, high = (
                builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(_INT32, lanes), list(range(at, at + lanes))))
                for at in (0, lanes)
            )
            value = combine(builder, low, high)
        return builder.extract_element(value, ir.Constant(_INT32, 0))

    return lower


@intrinsic
def sum_of_lanes(typingctx: Any, a: Any) -> Any:
    return types.float64(a), _halves(lambda builder, x, y: builder.fadd(x, y))


@intrinsic
def least_lane(typingctx: Any, a: Any) -> Any:
    return types.float64(a), _halves(lambda builder, x, y: builder.select(builder.fcmp_ordered("<", x, y), x, y))


@intrinsic
def greatest_lane(typingctx: Any, a: Any) -> Any:
    """Of a number, itself."""
    if not isinstance(a, Vector):
        return a(a), lambda context, builder, sig, args: args[0]
    return types.float64(a), _halves(lambda builder, x, y: builder.select(builder.fcmp_ordered(">", x, y), x, y))


@intrinsic
def sums_of_pairs(typingctx: Any, a: Any) -> Any:
    """The lower half of the lanes plus the upper one, a tuple of numbers."""
    half = a.lanes // 2

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        low, high = (
            builder.shuffle_vector(args[0], args[0], ir.Constant(ir.VectorType(_INT32, half), list(range(at, at + half))))
            for at in (0, half)
        )
        total = builder.fadd(low, high)
        lanes = [builder.extract_element(total, ir.Constant(_INT32, lane)) for lane in range(half)]
        return context.make_tuple(builder, sig.return_type, lanes)

    return types.UniTuple(types.float64, half)(a), lower  # type: ignore[attr-defined]


# Memory


@device
def index(t):
    """t >= 0, said so that the compiler sees it: without, it looks at each index whether it counts from the end."""
    return t & 0x7FFF_FFFF_FFFF_FFFF


def _at(context: Any, builder: Any, kind: Any, array: Any, places: Any, lanes: int) -> Any:
    """Where `lanes` consecutive values of a contiguous array begin."""
    view = context.make_array(kind)(context, builder, array)
    places = [context.cast(builder, place, types.intp, types.intp) for place in places]
    pointer = cgutils.get_item_pointer(context, builder, kind, view, places, wraparound=False)
    return builder.bitcast(pointer, ir.VectorType(_DOUBLE, lanes).as_pointer())


def _loader(lanes: int) -> Any:
    @intrinsic
    def load(typingctx: Any, array: Any, t: Any) -> Any:
        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.load(_at(context, builder, sig.args[0], args[0], [args[1]], lanes), align=8)

        return Vector(lanes)(array, types.intp), lower

    return load


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
        super().__init__(manager, of, _INT64)


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
    return builder.load(_at(context, builder, sig.args[0], args[0], [args[1]], BARS), align=8)


@lower_builtin(operator.getitem, types.Array, _IN_ROW)
def _bars_of_row(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    row, place = cgutils.unpack_tuple(builder, args[1], 2)
    return builder.load(_at(context, builder, sig.args[0], args[0], [row, place], BARS), align=8)


@intrinsic
def bar_bits(typingctx: Any, mask: Any) -> Any:
    """The bars of a span for which a mask holds, as the bits of an integer, bar 0 the lowest."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.zext(builder.bitcast(args[0], ir.IntType(BARS)), _INT64)

    return types.int64(Mask(BARS)), lower


@intrinsic
def store_bits(typingctx: Any, words: Any, row: Any, place: Any, mask: Any) -> Any:
    """store_bits(words, row, place, mask): what `bar_bits` of a mask makes, into a row of an array of int64, (N, W), as the
    bits from BARS * place on; with one instruction, where shifts into a word took four."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        byte = ir.IntType(BARS)
        start = builder.bitcast(
            _at(context, builder, sig.args[0], args[0], [args[1], ir.Constant(_INT64, 0)], 1), byte.as_pointer()
        )
        builder.store(builder.bitcast(args[3], byte), builder.gep(start, [args[2]]), align=1)
        return context.get_dummy_value()

    return types.void(words, types.intp, types.intp, Mask(BARS)), lower


# Marks of lanes, bar after bar, and the same as words of bars, lane after lane


def _byte_at(context: Any, builder: Any, kind: Any, array: Any, place: Any) -> Any:
    start = _at(context, builder, kind, array, [ir.Constant(_INT64, 0)], 1)
    return builder.gep(builder.bitcast(start, ir.IntType(8).as_pointer()), [place])


@intrinsic
def keep_mark(typingctx: Any, seen: Any, place: Any, apart: Any, mask: Any) -> Any:
    """keep_mark(seen, place, apart, mask): the bytes of a mask, PIECE lanes each, into an array of int64, at byte `place` and
    each `apart` from the one before; with one instruction each, from where comparisons leave them. A truth for all lanes
    is not kept, for it is the same at all bars (`spread`)."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        array, place, apart, mask = args
        if isinstance(sig.args[3], Mask):
            nothing = ir.InlineAsm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", side_effect=True)
            for at in range(0, sig.args[3].lanes, PIECE):
                lanes = ir.Constant(ir.VectorType(_INT32, PIECE), list(range(at, at + PIECE)))
                byte = builder.bitcast(builder.shuffle_vector(mask, mask, lanes), ir.IntType(PIECE))
                builder.store(byte, _byte_at(context, builder, sig.args[0], array, place), align=1)
                builder.call(nothing, [])  # or the compiler puts the bytes of several stores together, at twice the cost
                place = builder.add(place, apart)
        return context.get_dummy_value()

    return types.void(seen, types.intp, types.intp, mask if isinstance(mask, Mask) else types.boolean), lower


@intrinsic
def spread(typingctx: Any, words: Any, to: Any, seen: Any, place: Any, like: Any) -> Any:
    """spread(words, to, seen, place, like): of PIECE lanes whose marks of 64 bars were kept from byte `place` on the word
    of each lane, into words[to], words[to + 1], ...: bar 0 is its lowest bit. like: a mark of their kind, a mask, or the
    truth that it is for all lanes and at all bars."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        words, to, seen, place, like = args
        view = context.make_array(sig.args[0])(context, builder, words)
        if isinstance(sig.args[4], Mask):
            pointer = _byte_at(context, builder, sig.args[2], seen, place)
            of_bars = ir.VectorType(ir.IntType(8), 64)
            bars = builder.load(builder.bitcast(pointer, of_bars.as_pointer()), align=1)
        else:
            word = builder.sext(like if like.type == _BIT else builder.trunc(like, _BIT), _INT64)
        for lane in reversed(range(PIECE)):  # the sign of each byte is the mark of the last lane, and then of the one before
            if isinstance(sig.args[4], Mask):
                word = builder.bitcast(builder.icmp_signed("<", bars, ir.Constant(of_bars, None)), _INT64)
                bars = builder.add(bars, bars)
            at = builder.add(to, ir.Constant(_INT64, lane))
            builder.store(word, cgutils.get_item_pointer(context, builder, sig.args[0], view, [at], wraparound=False))
        return context.get_dummy_value()

    mark = like if isinstance(like, Mask) else types.boolean
    return types.void(words, types.intp, seen, types.intp, mark), lower


@intrinsic
def words_from(typingctx: Any, array: Any, place: Any) -> Any:
    """PIECE integers of an array of int64, from `place` on."""
    of = ir.VectorType(_INT64, PIECE)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = _at(context, builder, sig.args[0], args[0], [args[1]], 1)
        return builder.load(builder.bitcast(pointer, of.as_pointer()), align=8)

    return Words(PIECE)(array, types.intp), lower


@intrinsic
def count_in_block(typingctx: Any, t: Any, level: Any) -> Any:
    """How many bars of t's block of 2^level there are up to t, itself included: a number, or one for each bar of a span."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        t, level = args
        within = builder.sub(builder.shl(ir.Constant(_INT64, 1), level), ir.Constant(_INT64, 1))
        one = ir.Constant(_INT64, 1)
        if isinstance(sig.args[0], Span):
            numbers = ir.VectorType(_INT64, BARS)
            t = builder.add(_spread(builder, t, BARS), ir.Constant(numbers, list(range(BARS))))
            within, one = _spread(builder, within, BARS), ir.Constant(numbers, [1] * BARS)
        count = builder.add(builder.and_(t, within), one)
        return builder.sitofp(count, context.get_data_type(sig.return_type))

    return (Vector(BARS) if isinstance(t, Span) else types.float64)(t if isinstance(t, Span) else types.intp, types.intp), lower


bars_from = _loader(BARS)
"""bars_from(series, t): the values of BARS bars from t on; the series must reach so far."""

pair_from = _loader(2)
"""pair_from(series, at): the two values from `at` on."""


@intrinsic
def pair_in(typingctx: Any, a: Any) -> Any:
    """The numbers in a vector of two."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes = [builder.extract_element(args[0], ir.Constant(_INT32, lane)) for lane in range(2)]
        return context.make_tuple(builder, sig.return_type, lanes)

    return types.UniTuple(types.float64, 2)(a), lower  # type: ignore[attr-defined]


@intrinsic
def store(typingctx: Any, array: Any, row: Any, vector: Any) -> Any:
    """store(array, row, vector): into the contiguous row of an array of two dimensions, or that of one from `row` on."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        places = [args[1]] if sig.args[0].ndim == 1 else [args[1], ir.Constant(_INT64, 0)]
        place = _at(context, builder, sig.args[0], args[0], places, 1)
        builder.store(args[2], builder.bitcast(place, args[2].type.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), lower


@intrinsic
def everywhere(typingctx: Any, value: Any) -> Any:
    """A vector of BARS lanes that hold the same number."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _spread(builder, args[0], BARS)

    return Vector(BARS)(types.float64), lower


@intrinsic
def first_bars(typingctx: Any, count: Any) -> Any:
    """A mask of BARS lanes that holds in the first `count`."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        numbers = ir.Constant(ir.VectorType(_INT64, BARS), list(range(BARS)))
        return builder.icmp_signed("<", numbers, _spread(builder, args[0], BARS))

    return Mask(BARS)(types.intp), lower


@intrinsic
def size_of(typingctx: Any, value: Any) -> Any:
    """Bytes that a value takes in memory, whatever tuple of vectors and numbers it is."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return ir.Constant(_INT64, context.get_abi_sizeof(context.get_data_type(sig.args[0])))

    return types.int64(value), lower


@intrinsic
def keep(typingctx: Any, array: Any, place: Any, value: Any) -> Any:
    """Writes such a value into an array of float64, from array[place] on."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = _at(context, builder, sig.args[0], args[0], [args[1]], 1)
        builder.store(args[2], builder.bitcast(pointer, args[2].type.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), lower


@intrinsic
def kept(typingctx: Any, array: Any, place: Any, like: Any) -> Any:
    """Reads what `keep` wrote there, a value of the type of `like`."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = _at(context, builder, sig.args[0], args[0], [args[1]], 1)
        return builder.load(builder.bitcast(pointer, args[2].type.as_pointer()), align=8)

    return like(array, types.intp, like), lower


class Packed(types.Type):
    """numba's type of the place where `keep` wrote a value of some type: `opened` gives it back."""

    def __init__(self, contents: Any) -> None:
        self.contents = contents
        super().__init__(name=f"packed {contents}")


@register_model(Packed)
class _PackedModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, of: Packed) -> None:
        super().__init__(manager, of, _INT64)


def packed_as(contents: Any) -> Any:
    """The function packed(array): the value of this type that `keep` wrote at the array's beginning, not yet read."""

    @intrinsic
    def packed(typingctx: Any, array: Any) -> Any:
        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            pointer = _at(context, builder, sig.args[0], args[0], [ir.Constant(_INT64, 0)], 1)
            return builder.ptrtoint(pointer, _INT64)

        return Packed(contents)(array), lower

    return packed


def _place_of(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return builder.inttoptr(value, context.get_value_type(kind).as_pointer())


def part(i: int) -> Any:
    """The function part(packed): entry i of a packed tuple, packed."""

    @intrinsic
    def entry(typingctx: Any, packed: Any) -> Any:
        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            whole = _place_of(context, builder, sig.args[0].contents, args[0])
            place = builder.gep(whole, [ir.Constant(_INT32, 0), ir.Constant(_INT32, i)], inbounds=True)
            return builder.ptrtoint(place, _INT64)

        return Packed(packed.contents[i])(packed), lower

    return entry


def _leaf_by_leaf(builder: Any, pointer: Any) -> Any:
    """What stands there, loaded number by number, and said never to change: of a large tuple the compiler then drops what
    nobody reads."""
    kind = pointer.type.pointee
    if not isinstance(kind, (ir.LiteralStructType, ir.ArrayType)):
        value = builder.load(pointer)
        value.set_metadata("invariant.load", builder.module.add_metadata([]))
        return value
    value = ir.Constant(kind, ir.Undefined)
    for i in range(len(kind)):
        place = builder.gep(pointer, [ir.Constant(_INT32, 0), ir.Constant(_INT32, i)], inbounds=True)
        value = builder.insert_value(value, _leaf_by_leaf(builder, place), i)
    return value


@intrinsic
def opened(typingctx: Any, value: Any) -> Any:
    """What is packed there; a value that is not packed is itself.

    It is read where this is said, so that what is needed seldom is not carried along, nor handed from call to call.
    """
    if not isinstance(value, Packed):
        return value(value), lambda context, builder, sig, args: args[0]

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _leaf_by_leaf(builder, _place_of(context, builder, sig.args[0].contents, args[0]))

    return value.contents(value), lower


@intrinsic
def call_at(typingctx: Any, address: Any, packed: Any, i: Any, when: Any, targets: Any, begin: Any, end: Any) -> Any:
    """Calls the compiled function of (packed, i, when, targets, begin, end) that begins at this address."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kinds = sig.args[1:]
        kind = context.call_conv.get_function_type(types.none, kinds)
        context.call_conv.call_function(builder, builder.inttoptr(args[0], kind.as_pointer()), types.none, kinds, args[1:])
        return context.get_dummy_value()

    return types.none(types.int64, packed, types.int64, when, targets, types.int64, types.int64), lower


# Genomes: row by row in memory, and in a kernel one genome a lane


class Rows(types.Type):
    """`lanes` genomes from one row of a matrix on, of which rows[gene] is a Vector; past the end, the last again."""

    def __init__(self, matrix: types.Array, lanes: int) -> None:
        self.matrix, self.lanes = matrix, lanes
        super().__init__(name=f"{lanes} rows of {matrix}")


@register_model(Rows)
class _RowsModel(models.StructModel):  # type: ignore[misc]
    def __init__(self, manager: Any, of: Rows) -> None:
        super().__init__(manager, of, [("matrix", of.matrix), ("first", types.intp)])


def rows_of(lanes: int) -> Any:
    """The function rows(matrix, first) for so many lanes."""

    @intrinsic
    def rows(typingctx: Any, matrix: Any, first: Any) -> Any:
        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            struct = cgutils.create_struct_proxy(sig.return_type)(context, builder)
            struct.matrix, struct.first = args
            return struct._getvalue()

        return Rows(matrix, lanes)(matrix, types.intp), lower

    return rows


@infer_global(operator.getitem)
class _GeneTyping(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        if len(args) == 2 and isinstance(args[0], Rows):
            return signature(Vector(args[0].lanes), args[0], types.intp)
        return None


@lower_builtin(operator.getitem, Rows, types.Integer)
def _gene(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    rows = cgutils.create_struct_proxy(sig.args[0])(context, builder, value=args[0])
    matrix = context.make_array(sig.args[0].matrix)(context, builder, rows.matrix)
    last = builder.sub(builder.extract_value(matrix.shape, 0), ir.Constant(_INT64, 1))
    genes = ir.Constant(ir.VectorType(_DOUBLE, sig.return_type.lanes), ir.Undefined)
    for lane in range(sig.return_type.lanes):
        row = builder.add(rows.first, ir.Constant(_INT64, lane))
        row = builder.select(builder.icmp_signed("<", row, last), row, last)
        place = cgutils.get_item_pointer(context, builder, sig.args[0].matrix, matrix, [row, args[1]], wraparound=False)
        genes = builder.insert_element(genes, builder.load(place), ir.Constant(_INT32, lane))
    return genes


# Numbers below 2e-308 are 0

_FLUSH = 0x8040  # of the control word MXCSR: results, and operands, that are denormal count as 0


def _word(builder: Any, instruction: str, place: Any) -> None:
    byte = ir.IntType(8).as_pointer()
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(ir.VoidType(), [byte]), f"llvm.x86.sse.{instruction}"
    )
    builder.call(function, [builder.bitcast(place, byte)])


@intrinsic
def flush_denormals(typingctx: Any) -> Any:
    """From here on denormal numbers count as 0, in this thread; returns what `restore_denormals` takes.

    Where prices stand still, averages of their changes decay into denormals, at which the processor is 25 times slower.
    The kernels that decide or account do this at their entry, all of them, or their bits would differ; where the
    processor is no x86 it does nothing, and a fingerprint tells such machines apart.
    """

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if not _X86:
            return ir.Constant(_INT32, 0)
        before, after = cgutils.alloca_once(builder, _INT32), cgutils.alloca_once(builder, _INT32)
        _word(builder, "stmxcsr", before)
        builder.store(builder.or_(builder.load(before), ir.Constant(_INT32, _FLUSH)), after)
        _word(builder, "ldmxcsr", after)
        return builder.load(before)

    return types.uint32(), lower


@intrinsic
def restore_denormals(typingctx: Any, before: Any) -> Any:
    """Leaves denormals to the processor as they were; Python's own floats want them."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if _X86:
            place = cgutils.alloca_once_value(builder, args[0])
            _word(builder, "ldmxcsr", place)
        return context.get_dummy_value()

    return types.void(types.uint32), lower
