"""Numbers below 2e-308 are 0, where kernels run."""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .vectors import INT32

_X86 = platform.machine().lower() in ("x86_64", "amd64")
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
            return ir.Constant(INT32, 0)
        before, after = cgutils.alloca_once(builder, INT32), cgutils.alloca_once(builder, INT32)
        _word(builder, "stmxcsr", before)
        builder.store(builder.or_(builder.load(before), ir.Constant(INT32, _FLUSH)), after)
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
