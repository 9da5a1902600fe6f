"""How kernels are compiled, and where the machine code is kept.

numba's own disk cache watches only the file of the compiled function: after an edit of a function that it calls in
another file, the cached caller still returns the old result. So the cache lies in a folder whose name holds the digest
of all kernel sources and of the versions of numba and llvmlite: any edit makes a new folder. That also frees the key
from what numba takes of closures (it pickles them, and the bytes differ between processes), so a kernel made by a
factory, one for each family, is found again by its name. The name of a kernel made of a user's own functions therefore
holds the digest of all that these reach.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile, _CacheLocator

# error_model: a division by zero gives inf or NaN as in numpy, and no branch. No fastmath: it would drop NaN checks and
# let the compiler reorder or fuse sums, and then two machines would disagree about the last bits.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True}
# What only kernels call needs no way in from Python: making one took half of the time to compile.
_INSIDE: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


@functools.cache
def source_digest() -> str:
    """SHA-256 over every kernel source and the versions of the compiler: the identity of the machine code."""
    digest = hashlib.sha256(f"numba {numba.__version__} llvmlite {llvmlite.__version__}".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@functools.cache
def cache_folder() -> Path:
    """The folder of the compiled kernels: under ISLANDS_CACHE_DIR, XDG_CACHE_HOME or ~/.cache, else a temporary one."""
    name = f"kernels-{sys.implementation.cache_tag}-{source_digest()[:20]}"  # compiled against one Python's C API
    roots = [os.environ.get("ISLANDS_CACHE_DIR")]
    xdg = os.environ.get("XDG_CACHE_HOME")
    roots.append(os.path.join(xdg, "strategy-islands") if xdg else None)
    roots.append(os.path.join(os.path.expanduser("~"), ".cache", "strategy-islands"))
    for root in filter(None, roots):
        folder = Path(root) / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            continue
        return folder
    return Path(tempfile.mkdtemp(prefix=f"strategy-islands-{name}-"))


def is_remembered(finding: str) -> bool:
    """Whether `remember` was told so, by any process, while the kernels and the compiler were these."""
    return (cache_folder() / finding).exists()


def remember(finding: str) -> None:
    """Keeps what was found out about compiled code beside it; a disk that can't costs finding it out again."""
    with contextlib.suppress(OSError):
        (cache_folder() / finding).touch()


class _Folder(_CacheLocator):  # type: ignore[misc]
    def get_cache_path(self) -> str:
        return str(cache_folder())

    def get_source_stamp(self) -> str:
        return source_digest()

    def get_disambiguator(self) -> str:
        return ""


class _Implementation(CompileResultCacheImpl):  # type: ignore[misc]
    def __init__(self, name: str) -> None:
        self._locator = _Folder()
        self._filename_base = name


class _KernelCache(FunctionCache):  # type: ignore[misc]
    """numba's function cache with our folder, our file name and a key that says only what our folder does not."""

    def __init__(self, py_func: Callable[..., Any], name: str) -> None:
        self._name = name
        self._py_func = py_func
        self._impl = _Implementation(name)
        self._cache_path = str(cache_folder())
        self._cache_file = IndexDataCacheFile(self._cache_path, name, source_digest())
        self.enable()

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return sig, codegen.magic_tuple()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a torn or foreign cache file costs a compilation, never a campaign
            with contextlib.suppress(OSError):
                self.flush()  # saving reads the index as well: begin a new one
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError:  # a full disk as well
            self.disable()


def device(function: Callable[..., Any]) -> Any:
    """A function for kernels to call: compiled into each of its callers. It must not allocate.

    Without numba's reference counting (_nrt): counting the arrays of `inputs` at every bar made sma_trend six times
    slower, 25 instead of 164 million bars a second. Always inlined: an array is passed as its seven parts, and the calls
    from order to fill to fee cost more than what they did (91 instead of 41 ns an order).
    """
    return numba.njit(**_OPTIONS, _nrt=False, forceinline=True, **_INSIDE)(function)


def routine(name: str) -> Callable[[Callable[..., Any]], Any]:
    """As `device`, but a function of its own in machine code, for what is large and called seldom: it has the registers to
    itself. `name` must tell it from every other one, as a kernel's must.

    The names that numba gives count up within a process. Machine code from the disk, where another process counted
    otherwise, would then call the routine of another family under the same number; so the symbol holds this name.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        function.__qualname__ = f"{function.__qualname__}-{name}"
        return numba.njit(**_OPTIONS, _nrt=False, forceinline=False, **_INSIDE)(function)

    return decorate


def checked_device(function: Callable[..., Any]) -> Any:
    """The same with every index tested: one outside its array is an IndexError. A negative one counts from the end."""
    return numba.njit(**_OPTIONS, _nrt=False, boundscheck=True)(function)


def checked_kernel(function: Callable[..., Any]) -> Any:
    """A loop for Python to call that tests its indices, for trials: on no disk."""
    return numba.njit(**_OPTIONS, boundscheck=True)(function)


def kernel(name: str) -> Callable[[Callable[..., Any]], Any]:
    """A compiled loop that Python calls, cached on disk under `name`, which no other kernel may have."""

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(**_OPTIONS)(function)
        dispatcher._cache = _KernelCache(function, name)
        return dispatcher

    return decorate


def entry(name: str) -> Callable[[Callable[..., Any]], Any]:
    """A function for kernels to call by its address (`address_of`), cached as a kernel is. It must not allocate."""

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(**_OPTIONS, _nrt=False)(function)
        dispatcher._cache = _KernelCache(function, name)
        return dispatcher

    return decorate


def address_of(dispatcher: Any, signature: Any) -> int:
    """Where the machine code of an `entry` for this signature begins, compiled where it was not. Calls by it follow
    numba's own convention; the code stays where it is as long as the process."""
    dispatcher.compile(signature)
    compiled = dispatcher.overloads[signature.args]
    _KEPT.append(dispatcher)
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))


_KEPT: list[Any] = []  # what was given away by its address

_LINE = 8  # float64 of a line


def frozen(values: Any, dtype: type = np.float64) -> np.ndarray:
    """A contiguous read-only view of `values` as float64 (or another type), copied only where needed.

    numba takes a read-only array for another type than a writeable one and would compile a kernel twice; arrays out of
    Ray's object store are read-only, so every input of a kernel passes through here.
    """
    array: np.ndarray = np.ascontiguousarray(values, dtype=dtype)
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array


def aligned(count: int) -> np.ndarray:
    """So many float64, not yet set, from the beginning of a line of the caches on: where a vector of eight lies across two
    lines, reading it takes as long as reading two (3 % of the time of a long/flat population)."""
    room = np.empty(count + _LINE)
    start = -room.ctypes.data % (8 * _LINE) // 8
    return room[start : start + count]
