"""Integers of 64 bits whose bits are bars, and vectors of them: what lanes have seen, genome by genome.

A comparison leaves the marks of lanes at one bar; `keep_mark` keeps them bar after bar, and `spread` makes of 64 bars a word
for each lane. turns.py decides these.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import models, register_model
from numba.core.imputils import lower_builtin, lower_cast
from numba.core.typeconv import Conversion
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic

from .memory import place_in
from .vectors import BIT, DOUBLE, INT32, INT64, Mask, Vector, define_operator, in_every_lane

PIECE = 8  # lanes of a register, whose comparison is a byte


class Words(types.Type):
    """numba's type of `lanes` integers of 64 bits."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"int64 x {lanes}")

    def can_convert_from(self, typingctx: Any, other: types.Type) -> Conversion | None:
        return Conversion.safe if isinstance(other, types.Integer) else None


@register_model(Words)
class _WordsModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, of: Words) -> None:
        super().__init__(manager, of, ir.VectorType(INT64, of.lanes))


@lower_cast(types.Integer, Words)
def _number_to_words(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    return in_every_lane(builder, context.cast(builder, value, fromty, types.int64), toty.lanes)


for _symbol, _name in (
    (operator.and_, "and_"),
    (operator.or_, "or_"),
    (operator.xor, "xor"),
    (operator.add, "add"),
    (operator.sub, "sub"),
    (operator.lshift, "shl"),
    (operator.rshift, "ashr"),
):
    define_operator(_symbol, Words, Words, lambda builder, a, b, name=_name: getattr(builder, name)(a, b))


@infer_global(operator.invert)
class _OppositeTyping(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(args[0], args[0]) if isinstance(args[0], Words) else None


@lower_builtin(operator.invert, Words)
def _opposite(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.not_(args[0])


@intrinsic
def lowest_bit(typingctx: Any, bits: Any) -> Any:
    """The number of the lowest bit that is set; bits is not 0."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(INT64, [INT64, BIT])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.cttz.i64"), [args[0], BIT(1)])

    return types.int64(types.int64), lower


@intrinsic
def highest_bit(typingctx: Any, bits: Any) -> Any:
    """The number of the highest bit that is set; bits is not 0."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(INT64, [INT64, BIT])
        count = cgutils.get_or_insert_function(builder.module, kind, "llvm.ctlz.i64")
        return builder.xor(builder.call(count, [args[0], BIT(1)]), ir.Constant(INT64, 63))

    return types.int64(types.int64), lower


@intrinsic
def bits_in(typingctx: Any, bits: Any) -> Any:
    """How many bits are set."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(INT64, [INT64])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.ctpop.i64"), args)

    return types.int64(types.int64), lower


_BYTE, _ALL = ir.IntType(8), 64


def _lowest_by_compression(builder: Any, bits: Any) -> Any:
    """The numbers 0, 1, 2, ... of the bits, as bytes, of which one instruction puts those that are set side by side."""
    of, kept = ir.VectorType(_BYTE, _ALL), ir.VectorType(BIT, _ALL)
    kind = ir.FunctionType(of, [of, kept, of])
    compress = cgutils.get_or_insert_function(builder.module, kind, f"llvm.experimental.vector.compress.v{_ALL}i8")
    numbers = builder.call(compress, [ir.Constant(of, list(range(_ALL))), builder.bitcast(bits, kept), ir.Constant(of, None)])
    first = ir.Constant(ir.VectorType(INT32, PIECE), list(range(PIECE)))
    return builder.zext(builder.shuffle_vector(numbers, numbers, first), ir.VectorType(INT64, PIECE))


def _lowest_one_by_one(builder: Any, bits: Any) -> Any:
    count = cgutils.get_or_insert_function(builder.module, ir.FunctionType(INT64, [INT64, BIT]), "llvm.cttz.i64")
    found = ir.Constant(ir.VectorType(INT64, PIECE), ir.Undefined)
    for lane in range(PIECE):
        number = builder.and_(builder.call(count, [bits, BIT(0)]), ir.Constant(INT64, _ALL - 1))
        found = builder.insert_element(found, number, ir.Constant(INT32, lane))
        bits = builder.and_(bits, builder.sub(bits, ir.Constant(INT64, 1)))
    return found


@intrinsic
def lowest_bits(typingctx: Any, bits: Any) -> Any:
    """The numbers of the PIECE lowest bits that are set, in order; where there are fewer, 0 past them."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        compresses = "+avx512vbmi2" in context.codegen()._tm_features.split(",")
        return (_lowest_by_compression if compresses else _lowest_one_by_one)(builder, args[0])

    return Words(PIECE)(types.int64), lower


@intrinsic
def numbers_of(typingctx: Any, words: Any) -> Any:
    """The same as float64."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.sitofp(args[0], ir.VectorType(DOUBLE, sig.args[0].lanes))

    return Vector(words.lanes)(words), lower


@intrinsic
def each_at(typingctx: Any, array: Any, places: Any) -> Any:
    """The values of an array of float64 at these places, lane by lane."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        values = ir.Constant(ir.VectorType(DOUBLE, sig.args[1].lanes), ir.Undefined)
        for lane in range(sig.args[1].lanes):
            place = builder.extract_element(args[1], ir.Constant(INT32, lane))
            pointer = place_in(context, builder, sig.args[0], args[0], [place], 1)
            value = builder.load(builder.bitcast(pointer, DOUBLE.as_pointer()), align=8)
            values = builder.insert_element(values, value, ir.Constant(INT32, lane))
        return values

    return Vector(places.lanes)(array, places), lower


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


# Marks of lanes, bar after bar, and the same as words of bars, lane after lane


def _byte_at(context: Any, builder: Any, kind: Any, array: Any, place: Any) -> Any:
    start = place_in(context, builder, kind, array, [ir.Constant(INT64, 0)], 1)
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
                lanes = ir.Constant(ir.VectorType(INT32, PIECE), list(range(at, at + PIECE)))
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
            word = builder.sext(like if like.type == BIT else builder.trunc(like, BIT), INT64)
        for lane in reversed(range(PIECE)):  # the sign of each byte is the mark of the last lane, and then of the one before
            if isinstance(sig.args[4], Mask):
                word = builder.bitcast(builder.icmp_signed("<", bars, ir.Constant(of_bars, None)), INT64)
                bars = builder.add(bars, bars)
            at = builder.add(to, ir.Constant(INT64, lane))
            builder.store(word, cgutils.get_item_pointer(context, builder, sig.args[0], view, [at], wraparound=False))
        return context.get_dummy_value()

    mark = like if isinstance(like, Mask) else types.boolean
    return types.void(words, types.intp, seen, types.intp, mark), lower


@intrinsic
def words_from(typingctx: Any, array: Any, place: Any) -> Any:
    """PIECE integers of an array of int64, from `place` on."""
    of = ir.VectorType(INT64, PIECE)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = place_in(context, builder, sig.args[0], args[0], [args[1]], 1)
        return builder.load(builder.bitcast(pointer, of.as_pointer()), align=8)

    return Words(PIECE)(array, types.intp), lower
