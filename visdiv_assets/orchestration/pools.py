"""Slots of Dagster's concurrency pools that a step holds for a part of its work.

Dagster itself holds the slot of an asset's pool during the whole step. A step that makes several assets needs the GPU
only while a model runs, if at all.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext

#: The pool of work that runs on a GPU.
GPU = "gpu"

#: Seconds between two questions whether a slot is free; Dagster's own waiting times, up to 15 s, lie behind them.
POLL_SECONDS = 0.2


@contextmanager
def pool_slot(context: dg.AssetExecutionContext, pool: str) -> Iterator[None]:
    """Wait for a slot of a pool, and hold it during the block.

    A run that is killed keeps its slot until `visdiv run` or Dagster's daemon finds that it has ended, as for an asset
    with a pool. A pool without a limit has slots for all.

    Args:
        context: of the step; the asset must have no pool of its own.
        pool: name of the pool.
    """
    step = str(context.op_execution_context.op_handle)
    with InstanceConcurrencyContext(context.instance, context.run) as slots:
        if not slots.claim(pool, step):
            context.log.info(f"waiting for a slot of the pool {pool!r}, which other runs hold")
            while not slots.claim(pool, step):
                time.sleep(POLL_SECONDS)
        try:
            yield
        finally:
            slots.free_step(step)
