"""What kernels keep in memory: vectors in arrays of float64, and whole tuples of vectors and numbers, whatever their type.

Where an array is indexed by hand it is contiguous, and the place is not checked.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import models, register_model
from numba.extending import intrinsic

from .compile import device
from .vectors import DOUBLE, INT32, INT64, Vector


@intrinsic
def index(typingctx: Any, t: Any) -> Any:
    """t >= 0, said so that the compiler sees it: without, it looks at each index whether it counts from the end. Unsigned, and
    so for nothing but square brackets: numba makes a float of its sum with a signed number."""
    return types.uintp(types.intp), lambda context, builder, sig, args: args[0]


@device
def forward(t):
    """The same of a number that stays signed, for what goes on computing with it."""
    return t & 0x7FFF_FFFF_FFFF_FFFF


def place_in(context: Any, builder: Any, kind: Any, array: Any, places: Any, lanes: int) -> Any:
    """Where `lanes` consecutive values of a contiguous array begin."""
    view = context.make_array(kind)(context, builder, array)
    places = [context.cast(builder, place, types.intp, types.intp) for place in places]
    pointer = cgutils.get_item_pointer(context, builder, kind, view, places, wraparound=False)
    return builder.bitcast(pointer, ir.VectorType(DOUBLE, lanes).as_pointer())


def loader(lanes: int) -> Any:
    @intrinsic
    def load(typingctx: Any, array: Any, t: Any) -> Any:
        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.load(place_in(context, builder, sig.args[0], args[0], [args[1]], lanes), align=8)

        return Vector(lanes)(array, types.intp), lower

    return load


pair_from = loader(2)
"""pair_from(series, at): the two values from `at` on."""


@intrinsic
def pair_in(typingctx: Any, a: Any) -> Any:
    """The numbers in a vector of two."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes = [builder.extract_element(args[0], ir.Constant(INT32, lane)) for lane in range(2)]
        return context.make_tuple(builder, sig.return_type, lanes)

    return types.UniTuple(types.float64, 2)(a), lower  # type: ignore[attr-defined]


@intrinsic
def store(typingctx: Any, array: Any, row: Any, vector: Any) -> Any:
    """store(array, row, vector): into the contiguous row of an array of two dimensions, or that of one from `row` on."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        places = [args[1]] if sig.args[0].ndim == 1 else [args[1], ir.Constant(INT64, 0)]
        place = place_in(context, builder, sig.args[0], args[0], places, 1)
        builder.store(args[2], builder.bitcast(place, args[2].type.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), lower


@intrinsic
def size_of(typingctx: Any, value: Any) -> Any:
    """Bytes that a value takes in memory, whatever tuple of vectors and numbers it is."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return ir.Constant(INT64, context.get_abi_sizeof(context.get_data_type(sig.args[0])))

    return types.int64(value), lower


@intrinsic
def keep(typingctx: Any, array: Any, place: Any, value: Any) -> Any:
    """Writes such a value into an array of float64, from array[place] on."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = place_in(context, builder, sig.args[0], args[0], [args[1]], 1)
        builder.store(args[2], builder.bitcast(pointer, args[2].type.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), lower


@intrinsic
def kept(typingctx: Any, array: Any, place: Any, like: Any) -> Any:
    """Reads what `keep` wrote there, a value of the type of `like`."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = place_in(context, builder, sig.args[0], args[0], [args[1]], 1)
        return builder.load(builder.bitcast(pointer, args[2].type.as_pointer()), align=8)

    return like(array, types.intp, like), lower


# Packed: a value that is read where it is needed


class Packed(types.Type):
    """numba's type of the place where `keep` wrote a value of some type: `opened` gives it back."""

    def __init__(self, contents: Any) -> None:
        self.contents = contents
        super().__init__(name=f"packed {contents}")


@register_model(Packed)
class _PackedModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, of: Packed) -> None:
        super().__init__(manager, of, INT64)


def packed_as(contents: Any) -> Any:
    """The function packed(array): the value of this type that `keep` wrote at the array's beginning, not yet read."""

    @intrinsic
    def packed(typingctx: Any, array: Any) -> Any:
        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            pointer = place_in(context, builder, sig.args[0], args[0], [ir.Constant(INT64, 0)], 1)
            return builder.ptrtoint(pointer, INT64)

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
            place = builder.gep(whole, [ir.Constant(INT32, 0), ir.Constant(INT32, i)], inbounds=True)
            return builder.ptrtoint(place, INT64)

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
        place = builder.gep(pointer, [ir.Constant(INT32, 0), ir.Constant(INT32, i)], inbounds=True)
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
