"""The Ray actor that computes islands: a shell of a few lines around a `Worker`."""

from __future__ import annotations

import functools
import os
import socket
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray

from islands import numerics, provenance
from islands.evolution.island import Answer, IslandState, advance_epoch
from islands.evolution.migration import Immigrants
from islands.evolution.world import World, make_world
from islands.market.tape import Tape
from islands.runtime.worker import Worker
from islands.spec import CampaignSpec


@dataclass(frozen=True)
class Hello:
    """Who a worker is, what code it runs, how its arithmetic behaves, and the code of each family, "" for a built-in."""

    pid: int
    host: str
    code: str
    folder: str
    numeric: str
    families: dict[str, str]


class IslandActor:
    """A worker. Nothing is loaded in the constructor: an actor whose constructor raises can't say why."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    def prepare(self, spec: str, path: tuple[str, ...], names: tuple[str, ...], *blocks: np.ndarray) -> Hello:
        """Takes the campaign's spec (JSON), the driver's module path and the tapes, and warms the kernels up.

        blocks: one for each name. They are arguments of their own, since Ray resolves references only there.
        """
        extend_path(path)
        tapes = {name: Tape(block) for name, block in zip(names, blocks, strict=True)}
        world = make_world(CampaignSpec.model_validate_json(spec), tapes)
        self._worker = Worker(functools.partial(advance_epoch, world))
        return hello(world)

    def advance(self, island: int, epoch: int, state: IslandState | None, immigrants: list[Immigrants]) -> tuple[Answer, float]:
        """See Worker.advance."""
        assert self._worker is not None, "prepare comes first"
        return self._worker.advance(island, epoch, state, immigrants)


# No restarts by Ray: a restarted actor would be empty, and retried calls would come in another order. A lost worker is
# replaced by a new one, under a new name.
RemoteIslandActor: Any = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(IslandActor)


def extend_path(folders: tuple[str, ...]) -> None:
    """Has this process find the modules that the driver finds: a user's own operators and families."""
    sys.path.extend(folder for folder in folders if folder not in sys.path)


def hello(world: World | None = None) -> Hello:
    """This process's own greeting; the kernels that a world uses are compiled and probed for it."""
    families = [] if world is None else [space.family for space in world.spaces]
    return Hello(
        pid=os.getpid(),
        host=socket.gethostname(),
        code=provenance.code_digest(),
        folder=str(provenance.package_folder()),
        numeric=numerics.fingerprint() if world is None else world.numeric,
        families={kind.name: kind.code for kind in families},
    )
