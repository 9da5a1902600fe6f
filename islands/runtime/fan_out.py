"""Many independent pieces of work, in this process or on Ray, with their results in the order of the pieces."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, Literal, TypeVar

import numpy as np

from islands import provenance
from islands.errors import CodeMixture

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_order(
    function: Callable[..., Result],
    jobs: Sequence[Job],
    blocks: Sequence[np.ndarray],
    runtime: Literal["ray", "inline"],
    workers: int | None = None,
    address: str | None = None,
) -> Generator[Result, None, None]:
    """function(job, *blocks) of each job, which must be pure, in the order of the jobs however they finish.

    Closing the iterator abandons what is not yet computed. blocks: put once a node. On Ray a piece whose worker or node
    dies is computed again; one that raises raises here.

    Raises:
        RuntimeFailed: Ray could not be used, or has given up this machine.
        CodeMixture: a worker runs another copy of this package.
    """
    if runtime == "inline":
        yield from (function(job, *blocks) for job in jobs)
        return
    yield from _on_ray(function, jobs, blocks, workers, address)


def _on_ray(
    function: Callable[..., Result],
    jobs: Sequence[Job],
    blocks: Sequence[np.ndarray],
    workers: int | None,
    address: str | None,
) -> Generator[Result, None, None]:
    import ray
    from ray.exceptions import RayTaskError

    from islands.runtime.session import ASK_S, ray_session, this_node, usable_workers

    with ray_session(address, workers or 1, sum(block.nbytes for block in blocks)):
        task: Any = ray.remote(num_cpus=1, max_retries=-1)(_computed)
        shared = [ray.put(block) for block in blocks]
        most = usable_workers(workers, len(jobs)) + 1  # one more than compute, so that nobody waits for the next
        waiting, under_way = deque(jobs), deque[Any]()
        try:
            while waiting or under_way:
                while waiting and len(under_way) < most:
                    job = waiting.popleft()
                    under_way.append(task.remote(function, job, provenance.code_digest(), tuple(sys.path), *shared))
                while not ray.wait(list(under_way)[:1], timeout=ASK_S)[0]:
                    this_node()
                yield ray.get(under_way.popleft())
        except RayTaskError as error:
            raise error.cause from None
        finally:
            for call in under_way:
                ray.cancel(call, force=True)


def _computed(function: Callable[..., Result], job: Any, code: str, path: tuple[str, ...], *blocks: np.ndarray) -> Result:
    """One piece, on a worker."""
    sys.path.extend(folder for folder in path if folder not in sys.path)
    if provenance.code_digest() != code:
        raise CodeMixture(
            f"a worker runs the package in {provenance.package_folder()}, which differs from this process's; "
            "install one version everywhere"
        )
    return function(job, *blocks)
