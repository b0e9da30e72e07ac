"""A Dask cluster in a process of its own: a scheduler, and two worker processes of one thread each.

``python -m tests.engine.dask_cluster`` says where it is; it ends at the end of its stdin.
"""

from __future__ import annotations

import sys

import dask

import batchwright.operations.pool  # noqa: F401  (the scheduler loads what is submitted; from now on without a pause)


def main() -> None:
    from distributed import LocalCluster

    dask.config.set({"distributed.scheduler.allowed-failures": 0})
    with LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        print(cluster.scheduler_address, flush=True)  # noqa: T201
        sys.stdin.read()


if __name__ == "__main__":
    main()
