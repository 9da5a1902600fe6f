"""One Ray for all tests of this folder, with more logical CPUs than the machine has."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))  # last: the package may be installed, the benchmarks are not


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["ISLANDS_FAILPOINTS"] = str(tmp_path_factory.mktemp("failpoints"))  # for campaigns of the module failpoints
    import ray

    ray.init(
        address="local",
        num_cpus=8,
        include_dashboard=False,
        object_store_memory=128 * 2**20,
        log_to_driver=False,
        logging_level="ERROR",
        namespace="strategy-islands",
    )
    yield
    ray.shutdown()
