"""Run models on a stream of images in bounded memory.

A pool of threads decodes images and prepares them for the models. A CPU model runs in the same threads, one core each.
A GPU model is started in the calling thread and computes one batch while the next is copied to it.

JPEGs are decoded at full size, although libjpeg can decode to half the size in three quarters of the time. With the
int8 model, changing one of 1,000 values by one gray level changes the vector to a cosine of 0.997 at worst, and drafts,
even at 4.7 times the model's input size, to 0.996. So every step before the model must keep every bit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from visdiv_assets.embedding.interface import Embedder, unit_length_and_norms
from visdiv_assets.threads import map_in

#: Items in flight for each thread, before they are batched for the models.
AHEAD = 2
#: Maximum bytes of the items in flight.
MAX_ITEM_BYTES = 128 << 20

Item = TypeVar("Item")
Result = TypeVar("Result")


class Prepared(NamedTuple, Generic[Result]):
    """What a thread made of an item.

    Attributes:
        result: the caller's.
        inputs: preprocessed pixels uint8 [height, width, 3], by the names of the models that should see the item.
    """

    result: Result
    inputs: Mapping[str, np.ndarray]


class Embedded(NamedTuple):
    """The vectors of a batch of images.

    Attributes:
        model: name of the model.
        vectors: [n, dimension], unit length.
        norms: float32 [n], lengths before scaling; None if the model returns unit vectors.
    """

    model: str
    vectors: np.ndarray
    norms: np.ndarray | None


def run_models(
    items: Iterable[Item],
    prepare: Callable[[Item], Prepared[Result]],
    models: Mapping[str, Embedder],
    *,
    threads: int,
    bytes_of: Callable[[Item], int] = lambda item: 0,
    dtype: type[np.floating[Any]] = np.float16,
) -> Generator[Result | Embedded, None, None]:
    """Prepare items in threads, and run models on what was prepared.

    A batch of a model holds the next items that it should see, so batches do not depend on the number of threads.

    Args:
        items: drawn in the calling thread, in order.
        prepare: called in threads.
        models: models by name.
        threads: threads that prepare, and run models on the CPU.
        bytes_of: the size of an item; at most `MAX_ITEM_BYTES` are in flight, or one item.
        dtype: type of the vectors; float16 is what the lake stores.

    Yields:
        the result of each item, in order, and the vectors of the next batch of each model, in order.
    """
    with ExitStack() as stack:
        for embedder in models.values():
            stack.enter_context(embedder.working())
        executor = stack.enter_context(ThreadPoolExecutor(threads, thread_name_prefix="visdiv"))
        feeds = {name: _Feed(name, embedder, executor, threads, dtype) for name, embedder in models.items()}
        for feed in feeds.values():
            stack.callback(feed.cancel)
        prepared = map_in(executor, prepare, items, most=threads * AHEAD, bytes_of=bytes_of, most_bytes=MAX_ITEM_BYTES)
        for result, inputs in prepared:
            yield result
            for name, pixels in inputs.items():
                yield from feeds[name].add(pixels)
        for feed in feeds.values():
            yield from feed.finish()


class _Feed:
    """Collects the inputs of one model in batches, and runs it on them."""

    def __init__(
        self,
        name: str,
        embedder: Embedder,
        executor: ThreadPoolExecutor,
        threads: int,
        dtype: type[np.floating[Any]],
    ) -> None:
        self._name, self._embedder, self._executor, self._dtype = name, embedder, executor, dtype
        self._waiting: list[np.ndarray] = []
        # On the CPU: batches that threads compute. On a GPU: batches that threads copy to memory that it can read.
        self._batches: deque[Future[np.ndarray]] = deque()
        self._most_batches = threads if embedder.runs_in_threads else 1
        self._running: deque[Callable[[], np.ndarray]] = deque()

    def add(self, pixels: np.ndarray) -> Iterator[Embedded]:
        """Add an input, and yield the batches that are finished."""
        self._waiting.append(pixels)
        if len(self._waiting) == self._embedder.batch_size:
            self._submit()
            while len(self._batches) > self._most_batches:
                yield from self._advance(self._embedder.in_flight)

    def finish(self) -> Iterator[Embedded]:
        """Run the model on what is waiting, and yield all batches that are left."""
        if self._waiting:
            self._submit()
        while self._batches:
            yield from self._advance(self._embedder.in_flight)
        while self._running:
            yield self._embedded(self._running.popleft()())

    def cancel(self) -> None:
        """Give up the batches that have not begun."""
        for batch in self._batches:
            batch.cancel()

    def _submit(self) -> None:
        batch, self._waiting = self._waiting, []
        self._batches.append(self._executor.submit(self._compute, batch))

    def _compute(self, batch: list[np.ndarray]) -> np.ndarray:
        pixels = self._embedder.stack(batch)
        return self._embedder.run(pixels) if self._embedder.runs_in_threads else pixels

    def _advance(self, in_flight: int) -> Iterator[Embedded]:
        found = self._batches.popleft().result()
        if self._embedder.runs_in_threads:
            yield self._embedded(found)
            return
        self._running.append(self._embedder.start(found))
        while len(self._running) > in_flight:
            yield self._embedded(self._running.popleft()())

    def _embedded(self, features: np.ndarray) -> Embedded:
        vectors, norms = unit_length_and_norms(features) if self._embedder.keeps_norms else (features, None)
        return Embedded(self._name, vectors.astype(self._dtype), norms)
