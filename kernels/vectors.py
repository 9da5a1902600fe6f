"""Vectors of float64: many runs, or many bars, in one instruction.

A Vector holds one float64 in each of its lanes, a Single one float32 and a Mask one truth. All live in the registers of
the processor, and the operators that Python knows work on them lane by lane: + - * / and the comparisons, and & | on masks.
A number beside a vector stands in every lane. What a comparison would decide with `if`, `where(mask, a, b)` chooses lane by
lane. All of these take plain numbers and truths as well (beside a Single a number is rounded to float32), so a function
written with them compiles for one run (lane width 1) as for sixteen, and each lane gets the very bits that it would get
alone: every operation here is one operation of IEEE 754.

Why by hand: the same loops over arrays, left to the compiler, ran at half the speed, since it keeps what a loop carries
in memory. A vector wider than the machine's registers is cut into several of these by the compiler. Widths are powers of
two; others fall off a cliff (25 times slower).
"""

from __future__ import annotations

import operator
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

SINGLE_LANES = 64
"""The same of float32: as many registers."""

DOUBLE, FLOAT, BIT, INT32, INT64 = ir.DoubleType(), ir.FloatType(), ir.IntType(1), ir.IntType(32), ir.IntType(64)


class Vector(types.Type):
    """numba's type of `lanes` float64."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"float64 x {lanes}")

    def can_convert_from(self, typingctx: Any, other: types.Type) -> Conversion | None:
        return Conversion.safe if isinstance(other, (types.Float, types.Integer)) else None


class Single(types.Type):
    """numba's type of `lanes` float32."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"float32 x {lanes}")

    def can_convert_from(self, typingctx: Any, other: types.Type) -> Conversion | None:
        return Conversion.safe if isinstance(other, (types.Float, types.Integer)) else None


class Mask(types.Type):
    """numba's type of `lanes` truths."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"bool x {lanes}")

    def can_convert_from(self, typingctx: Any, other: types.Type) -> Conversion | None:
        return Conversion.safe if isinstance(other, types.Boolean) else None


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, of: Vector) -> None:
        super().__init__(manager, of, ir.VectorType(DOUBLE, of.lanes))


@register_model(Single)
class _SingleModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, of: Single) -> None:
        super().__init__(manager, of, ir.VectorType(FLOAT, of.lanes))


@register_model(Mask)
class _MaskModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, of: Mask) -> None:
        super().__init__(manager, of, ir.VectorType(BIT, of.lanes))


# Numbers into lanes


def in_every_lane(builder: Any, value: Any, lanes: int) -> Any:
    """The same value in every lane."""
    empty = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    first = builder.insert_element(empty, value, ir.Constant(INT32, 0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(INT32, lanes), [0] * lanes))


@lower_cast(types.Float, Vector)
@lower_cast(types.Integer, Vector)
def _number_to_vector(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    return in_every_lane(builder, context.cast(builder, value, fromty, types.float64), toty.lanes)


@lower_cast(types.Float, Single)
@lower_cast(types.Integer, Single)
def _number_to_single(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    return in_every_lane(builder, context.cast(builder, value, fromty, types.float32), toty.lanes)


@lower_cast(types.Boolean, Mask)
def _truth_to_mask(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    return in_every_lane(builder, builder.trunc(value, BIT) if value.type != BIT else value, toty.lanes)


# Operators


def define_operator(symbol: Any, of: Any, to: Callable[[int], Any], build: Callable[..., Any]) -> None:
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
_COMPARISONS = ((operator.lt, "<"), (operator.le, "<="), (operator.gt, ">"), (operator.ge, ">="), (operator.eq, "=="))
for _of_numbers in (Vector, Single):
    for _name, _symbols in _ARITHMETIC.items():
        for _symbol in _symbols:
            define_operator(_symbol, _of_numbers, _of_numbers, lambda builder, a, b, name=_name: getattr(builder, name)(a, b))
    for _symbol, _name in _COMPARISONS:
        define_operator(_symbol, _of_numbers, Mask, lambda builder, a, b, name=_name: builder.fcmp_ordered(name, a, b))
    define_operator(operator.ne, _of_numbers, Mask, lambda builder, a, b: builder.fcmp_unordered("!=", a, b))
define_operator(operator.and_, Mask, Mask, lambda builder, a, b: builder.and_(a, b))
define_operator(operator.or_, Mask, Mask, lambda builder, a, b: builder.or_(a, b))


@infer_global(operator.neg)
class _NegativeTyping(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(args[0], args[0]) if isinstance(args[0], (Vector, Single)) else None


@lower_builtin(operator.neg, Vector)
@lower_builtin(operator.neg, Single)
def _negative(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.fneg(args[0])


def _of(template: type, *args: Any) -> Any:
    """What an operation on these makes: a vector or a mask of their width, or a plain number or truth."""
    wide = [arg for arg in args if isinstance(arg, (Vector, Single, Mask))]
    if wide:
        of = Single if template is Vector and any(isinstance(arg, Single) for arg in wide) else template
        return of(wide[0].lanes)
    return types.float64 if template is Vector else types.boolean


@intrinsic
def where(typingctx: Any, mask: Any, a: Any, b: Any) -> Any:
    """a where the mask holds, else b."""
    to, by = _of(Vector, mask, a, b), _of(Mask, mask, a, b)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(*args)

    return to(by, to, to), lower


_BITS = {DOUBLE: "f64", FLOAT: "f32"}


def _llvm(name: str) -> Callable[..., Any]:
    """Lowers to one of LLVM's own operations, for vectors or plain numbers."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        of = args[0].type
        kind = f"v{of.count}{_BITS[of.element]}" if isinstance(of, ir.VectorType) else _BITS[of]
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
            return builder.zext(args[0], INT64)
        lanes = sig.args[0].lanes
        return builder.zext(builder.bitcast(args[0], ir.IntType(lanes)), INT64)

    return types.int64(mask if isinstance(mask, Mask) else types.boolean), lower


@device
def any_of(mask):
    """Whether it holds in any lane."""
    return bits_of(mask) != 0


# Across lanes, in a fixed order


def _halves(combine: Callable[..., Any]) -> Callable[..., Any]:
    """Combines the upper half of the lanes with the lower one until one is left."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value, lanes = args[0], sig.args[0].lanes
        while lanes > 1:
            lanes //= 2
            low, high = (
                builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(INT32, lanes), list(range(at, at + lanes))))
                for at in (0, lanes)
            )
            value = combine(builder, low, high)
        return builder.extract_element(value, ir.Constant(INT32, 0))

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
    if not isinstance(a, (Vector, Single)):
        return a(a), lambda context, builder, sig, args: args[0]
    of = types.float64 if isinstance(a, Vector) else types.float32
    return of(a), _halves(lambda builder, x, y: builder.select(builder.fcmp_ordered(">", x, y), x, y))


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
    last = builder.sub(builder.extract_value(matrix.shape, 0), ir.Constant(INT64, 1))
    genes = ir.Constant(ir.VectorType(DOUBLE, sig.return_type.lanes), ir.Undefined)
    for lane in range(sig.return_type.lanes):
        row = builder.add(rows.first, ir.Constant(INT64, lane))
        row = builder.select(builder.icmp_signed("<", row, last), row, last)
        place = cgutils.get_item_pointer(context, builder, sig.args[0].matrix, matrix, [row, args[1]], wraparound=False)
        genes = builder.insert_element(genes, builder.load(place), ir.Constant(INT32, lane))
    return genes
