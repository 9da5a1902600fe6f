"""Work in a process of its own, which may die or never end: an epoch under suspicion, and genomes that once failed.

Each evaluation is announced before it begins, so that whoever waits knows what the process was doing when it died.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from islands.errors import InputError
from islands.evolution.failures import Failure, failure_on, told
from islands.evolution.island import IslandState, advance_epoch
from islands.evolution.migration import Immigrants
from islands.evolution.world import Market, World, make_world
from islands.market.tape import Tape
from islands.spec import CampaignSpec

START_S = 600.0
"""How long the process may take until it is ready: a cold compilation of kernels is in it."""

LONGER = 4.0
"""Who is blamed ended another process too, and had this many times the limit there."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Setting:
    """A campaign's world, as another process makes it: its spec (JSON), the tapes of evolution, and where modules are found."""

    spec: str
    blocks: dict[str, np.ndarray]
    path: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Epoch:
    """An island's epoch, to be computed with each kernel call announced."""

    island: int
    epoch: int
    state: IslandState | None
    immigrants: list[Immigrants]


@dataclass(frozen=True)
class Genomes:
    """Genomes of one family, to be scored in one kernel call on the bars where they failed, as they were met there."""

    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class Ending:
    """How it ended.

    died: how the process ended before its work did, in words; None where the work was done. during: the batch that it was
    scoring then; empty outside of an evaluation. scored: what came of each of the `Genomes`, as (errors, objectives by name).
    """

    died: str | None
    during: tuple[Failure, ...]
    scored: tuple[tuple[tuple[str, ...], dict[str, float]], ...]


@dataclass(frozen=True)
class _Ready:
    """The kernels are compiled, which counts for the start and for no genome; their fingerprint is what it took."""

    numeric: str


@dataclass(frozen=True)
class _Begun:
    batch: tuple[Failure, ...]


@dataclass(frozen=True)
class _Ended:
    scored: tuple[tuple[tuple[str, ...], dict[str, float]], ...] = ()


def run_apart(setting: Setting, work: Epoch | Genomes, limit_s: float) -> Ending:
    """Has another process do the work, and kills it when nothing is heard of it for `limit_s` seconds after its start."""
    with _process(setting, work) as (process, frames):
        during: tuple[Failure, ...] = ()
        scored: tuple[tuple[tuple[str, ...], dict[str, float]], ...] = ()
        waiting_s = START_S
        while True:
            try:
                if not frames.poll(waiting_s):
                    return Ending(f"is still computing after {waiting_s:g} s", during, scored)
                match frames.recv():
                    case _Begun(batch):
                        during = batch
                    case _Ended(found):
                        during, scored = (), found
                    case "done":
                        return Ending(None, (), scored)
            except (EOFError, ConnectionError):
                return Ending(_cause(process.wait()), during, scored)
            waiting_s = limit_s


@contextlib.contextmanager
def _process(setting: Setting, work: Epoch | Genomes) -> Iterator[tuple[subprocess.Popen[bytes], Connection]]:
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", "from islands.runtime.apart import serve; serve()", str(writer)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(writer,),
    )
    os.close(writer)
    try:
        with Connection(reader, writable=False) as frames:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin as request:
                pickle.dump((setting, work), request)
            yield process, frames
    finally:
        process.kill()
        process.wait()


def _cause(code: int) -> str:
    return f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


# In that process


class _Watched(World):
    """A world that announces each kernel call."""

    frames: Connection

    def metrics(self, market: Market, index: int, genomes: np.ndarray) -> np.ndarray:
        self.frames.send(_Begun(tuple(failure_on(market, index, tuple(genome)) for genome in genomes.tolist())))
        figures = super().metrics(market, index, genomes)
        self.frames.send(_Ended())
        return figures


def market_of(world: World, failure: Failure) -> Market:
    """The part of an instrument on which a genome failed.

    Raises:
        InputError: the world has none such.
    """
    known = [*world.markets, *(market for habitat in world.habitats for market in habitat.markets)]
    for market in known:
        if failure.is_of(market):
            return market
    raise InputError(
        f"the campaign scores nothing on bars {failure.first} to {failure.bars} of {failure.market}; the file is of another one"
    )


def serve() -> None:
    """Does what is asked for on standard input, and answers through the file descriptor of the first argument."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # whoever waits for this process may be killed
    setting, work = pickle.load(sys.stdin.buffer)
    sys.path.extend(folder for folder in setting.path if folder not in sys.path)
    tapes = {name: Tape(block) for name, block in setting.blocks.items()}
    world = make_world(CampaignSpec.model_validate_json(setting.spec), tapes)
    with Connection(int(sys.argv[1]), readable=False) as frames:
        frames.send(_Ready(world.numeric))
        _do(world, frames, work)
        frames.send("done")


def _do(world: World, frames: Connection, work: Any) -> None:
    if isinstance(work, Epoch):
        watched = _Watched(**{field.name: getattr(world, field.name) for field in fields(World)})
        _Watched.frames = frames  # of all worlds that are made of this one
        advance_epoch(watched, work.island, work.epoch, work.state, work.immigrants)
        return
    batch = work.failures
    market, genomes = market_of(world, batch[0]), world.pad(np.array([failure.genome for failure in batch]))
    frames.send(_Begun(batch))
    with told() as found:
        families = np.array([failure.family for failure in batch])
        scores = world.score([market], families, genomes)
        if world.screening is not world:  # what dies there alone has to die here
            world.screening.score([market], families, genomes)
    names = [part.name for part in world.aim.objectives]
    errors = [dict.fromkeys(one.error for one in found if repr(one.genome) == repr(failure.genome)) for failure in batch]
    objectives = [dict(zip(names, row, strict=False)) for row in scores.tolist()]
    frames.send(_Ended(tuple((tuple(said), values) for said, values in zip(errors, objectives, strict=True))))


# The suspect


@dataclass(frozen=True)
class Suspicion:
    """What came of looking for a suspect: the genomes, mostly one, with what they do; empty where nothing was found. words:
    the same for a person."""

    failures: tuple[Failure, ...]
    words: str


def find_suspect(setting: Setting, epoch: Epoch, limit_s: float) -> Suspicion:
    """Computes an epoch that kills its workers once more, apart, and bisects the batch that it dies in.

    Where what the halves lead to does not die again in LONGER, all of it is done once more with as much time: a batch that a
    slow machine held up is nobody's fault.
    """
    for patience_s in (limit_s, LONGER * limit_s):
        ending = run_apart(setting, epoch, patience_s)
        if ending.died is None:
            return Suspicion(
                (),
                "computed once more in a process of its own it came through, so no genome is to blame: something else ends "
                "the workers, such as a limit of memory or a machine that is too busy",
            )
        whole = ending.during
        if not whole:
            return Suspicion((), f"computed once more in a process of its own it {ending.died}, outside of any evaluation")
        batch = _bisected(setting, whole, patience_s)
        again = _death(setting, batch, LONGER * limit_s)
        if again is not None:
            return _blamed(batch, again, len(whole))
    died = f"{ending.died}, in a batch of {len(whole)}"
    return Suspicion(
        tuple(replace(genome, error=died) for genome in whole),
        f"the epoch {died} genomes, but scored by themselves, in a process of their own, these came through",
    )


def _bisected(setting: Setting, batch: tuple[Failure, ...], limit_s: float) -> tuple[Failure, ...]:
    """The half that ends its process, and of that the half that does, down to a genome, or to a batch of which neither half
    does: in two processes a step at most, each of which scores its half in one kernel call."""
    while len(batch) > 1:
        middle = len(batch) // 2
        guilty = (half for half in (batch[:middle], batch[middle:]) if _death(setting, half, limit_s) is not None)
        half = next(guilty, None)
        if half is None:
            break
        batch = half
    return batch


def _death(setting: Setting, batch: tuple[Failure, ...], limit_s: float) -> str | None:
    """How a batch ends a fresh process, in words; None where it can be scored."""
    ending = run_apart(setting, Genomes(batch), limit_s)
    return ending.died if ending.during else None


def _blamed(batch: tuple[Failure, ...], died: str, of: int) -> Suspicion:
    """What ended two processes: a genome, or the smallest batch that could be found, of a batch of so many."""
    if len(batch) == 1:
        return Suspicion((replace(batch[0], error=died),), f"the evaluation of one genome {died}")
    together = f"{died}, in a batch of {len(batch)} of which neither half does alone"
    return Suspicion(
        tuple(replace(genome, error=together) for genome in batch),
        f"no genome alone is to blame: of a batch of {of}, {len(batch)} genomes that are scored together {died}, and neither "
        "half of them does alone",
    )
