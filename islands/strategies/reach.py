"""What a user's function reaches: pinned copies of it and of its helpers, and the digest of all of it.

numba reads a global when it compiles, and freezes it. So a function is copied, with every global, closure cell and module
attribute that its code names, when its family is defined: what is digested is what is compiled, whenever that happens. A
helper is compiled like the function itself, without its own decorator: numba's own disk cache would not see an edit in
another file, and fastmath would cost the bits. Reached modules are copied too, with the attributes that the code names.

numpy, numba, the C library's mathematics and islands.kernels stay what they are: their versions are in the digest, or in
the name of the cache folder.
"""

from __future__ import annotations

import builtins
import dis
import enum
import hashlib
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, ModuleType
from typing import Any

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher

from islands.errors import StrategyError

_COVERED = ("builtins", "cmath", "math", "numba", "numpy", "islands.kernels")
_PLAIN = (type(None), bool, int, float, complex, str, bytes, np.generic)
_HAS_DOCSTRING = 0x4000000  # of co_flags, from Python 3.13 on

Compile = Callable[[Callable[..., Any]], Any]


class Pins:
    """Makes pinned copies of functions with one compiler, and digests them in the order of the calls."""

    def __init__(self, compiler: Compile, owner: str) -> None:
        self._compile = compiler
        self._owner = owner  # what errors begin with
        self._sum = hashlib.sha256(f"pins 2, numpy {np.__version__}".encode())  # the first changes with how copies are made
        self.longest = 0  # entries of the longest array, tuple or list, along any axis
        self._known: dict[Any, tuple[int, Any, Any]] = {}  # key -> its number, the copy, the original (kept, so is its id)

    @property
    def digest(self) -> str:
        """SHA-256 of everything that the functions pinned so far reach."""
        return self._sum.hexdigest()

    def pin(self, function: object, role: str) -> Any:
        """The compiled copy of a user's function, which may be decorated by njit already.

        Raises:
            StrategyError: it reaches something that can't be pinned, or that does not exist yet.
        """
        plain = function.py_func if isinstance(function, Dispatcher) else function
        if not isinstance(plain, FunctionType):
            raise StrategyError(f"{self._owner}: {role} = {function!r}: expected a Python function")
        self._say(role)
        return self._function(plain, role)

    def _say(self, *words: object) -> None:
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode()
            self._sum.update(len(data).to_bytes(8, "little") + data)

    def _function(self, function: FunctionType, place: str) -> Any:
        known = self._known.get(id(function))
        if known is not None:
            self._say("again", known[0])
            return known[1]
        code = function.__code__
        names = {"__builtins__": builtins, "__name__": function.__module__}
        cells = tuple(CellType() for _ in code.co_freevars)
        defaults = self._value(function.__defaults__, place, "its defaults", ())
        copy = FunctionType(code, names, function.__name__, defaults, cells)
        if function.__kwdefaults__:
            given = sorted(function.__kwdefaults__.items())
            copy.__kwdefaults__ = {name: self._value(value, place, name, ()) for name, value in given}
        copy.__qualname__ = function.__qualname__
        compiled = self._compile(copy)
        self._known[id(function)] = (len(self._known), compiled, function)
        self._code(code)
        attributes = tuple(sorted(_names(code)))
        for name in sorted(_globals(code)):
            if name in function.__globals__:
                names[name] = self._value(function.__globals__[name], place, name, attributes)
            elif not hasattr(builtins, name):
                raise self._undefined(place, name)
        for name, cell, new in zip(code.co_freevars, function.__closure__ or (), cells, strict=True):
            try:
                new.cell_contents = self._value(cell.cell_contents, place, name, attributes)
            except ValueError:  # an empty cell
                raise self._undefined(place, name) from None
        return compiled

    def _undefined(self, place: str, name: str) -> StrategyError:
        return StrategyError(
            f"{self._owner}: {place} uses {name}, which is not defined where define_family is called; define the family "
            "after everything that it uses"
        )

    def _code(self, code: CodeType) -> None:
        """What runs: not where it stands, nor how lines are counted, nor its docstring."""
        flags = code.co_flags & ~_HAS_DOCSTRING
        self._say("code", code.co_code, flags, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
        self._say(code.co_exceptiontable, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        for constant in code.co_consts[_has_text(code) :]:
            if isinstance(constant, CodeType):
                self._code(constant)
            elif isinstance(constant, frozenset):
                self._say("set", sorted(map(repr, constant)))
            else:
                self._say(type(constant).__name__, repr(constant))

    def _value(self, value: Any, place: str, name: str, attributes: tuple[str, ...]) -> Any:
        """The pinned copy of what a name stands for; `attributes` are those that the code may ask of a module."""
        self._say(name)
        if isinstance(value, enum.Enum) or (isinstance(value, type) and issubclass(value, enum.Enum)):
            kind = value if isinstance(value, type) else type(value)
            self._say("enum", kind.__qualname__, [(member.name, repr(member.value)) for member in kind], repr(value))
            return value
        if isinstance(value, _PLAIN):
            self._say(type(value).__name__, value.tobytes() if isinstance(value, np.generic) else repr(value))
            return value
        if isinstance(value, (tuple, list)):
            return self._sequence(value, place, name, attributes)
        if isinstance(value, np.ndarray):
            self.longest = max(self.longest, *value.shape, 0)
            self._say("array", value.dtype.str, value.shape, value.flags.f_contiguous, value.tobytes())
            return value.copy(order="K")
        if _is_covered(value):
            said = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__qualname__", value)
            self._say("covered", getattr(value, "__module__", ""), said)
            return value
        if isinstance(value, Dispatcher):
            value = value.py_func
        if isinstance(value, FunctionType):
            return self._function(value, f"{place}'s {name}" if place != name else name)
        if isinstance(value, ModuleType):
            return self._module(value, place, attributes)
        if isinstance(value, type) and issubclass(value, tuple) and hasattr(value, "_fields"):
            self._say("fields", value.__qualname__, value._fields)
            return value
        raise StrategyError(
            f"{self._owner}: {place} uses {name}, a {type(value).__name__}, which can't be compiled into it; use numbers, "
            "text, tuples, arrays, enums and functions"
        )

    def _sequence(self, value: Any, place: str, name: str, attributes: tuple[str, ...]) -> Any:
        self.longest = max(self.longest, len(value))
        self._say(type(value).__qualname__, getattr(value, "_fields", ""), len(value))
        entries = [self._value(entry, place, f"{name}[{i}]", attributes) for i, entry in enumerate(value)]
        return type(value)(*entries) if hasattr(value, "_fields") else type(value)(entries)

    def _module(self, module: ModuleType, place: str, attributes: tuple[str, ...]) -> ModuleType:
        """What can't be pinned is left out: the code may mean another object's attribute of that name."""
        key = (id(module), attributes)
        if key in self._known:
            self._say("again", self._known[key][0])
            return self._known[key][1]  # type: ignore[no-any-return]
        copy = ModuleType(module.__name__)
        self._known[key] = (len(self._known), copy, module)
        self._say("module", module.__name__)
        for name in attributes:
            if hasattr(module, name):
                try:
                    setattr(copy, name, self._value(getattr(module, name), place, name, attributes))
                except StrategyError:
                    self._say("left out")
        return copy


def _is_covered(value: Any) -> bool:
    """Whether numpy, numba, islands.kernels or Python itself define it."""
    if isinstance(value, (np.ufunc, numba.types.Type)):
        return True
    if isinstance(value, ModuleType):
        home = value.__name__
    elif isinstance(value, (FunctionType, BuiltinFunctionType, Dispatcher, type)) or hasattr(value, "__wrapped__"):
        home = getattr(value, "__module__", None) or ""
    else:
        return False
    return any(home == name or home.startswith(f"{name}.") for name in _COVERED)


def _has_text(code: CodeType) -> bool:
    """Whether its first constant is a docstring, or the None in the place of one: what no instruction loads."""
    if not code.co_consts or not isinstance(code.co_consts[0], (str, type(None))):
        return False
    return not any(part.opcode in dis.hasconst and part.arg == 0 for part in dis.get_instructions(code))


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A function's code, and that of the functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _globals(code: CodeType) -> set[str]:
    """The globals and builtins that it names."""
    return {
        instruction.argval
        for part in _codes(code)
        for instruction in dis.get_instructions(part)
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }


def _names(code: CodeType) -> set[str]:
    """The globals and the attributes that it names."""
    return {name for part in _codes(code) for name in part.co_names}
