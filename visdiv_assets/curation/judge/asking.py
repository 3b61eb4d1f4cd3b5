"""Many questions to a judge at a time: what is known comes from the cache, and what is answered goes into it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from types import TracebackType

from visdiv_assets.corpus.image_fetch import Fetch
from visdiv_assets.curation.judge.answers import Answers
from visdiv_assets.curation.judge.endpoint import OUT_OF_BUDGET, Endpoint, Failure, JudgeError
from visdiv_assets.curation.judge.images import data_url
from visdiv_assets.curation.judge.profiles import Profile
from visdiv_assets.curation.judge.protocol import Reply, parse_reply, request_body
from visdiv_assets.curation.judge.tasks import Task
from visdiv_assets.imaging.limits import DecodeLimits

#: Questions in a row without an answer, by the endpoint's fault, after which no more are asked.
MAX_FAILURES = 30

#: Encoded images that are kept for the next questions about the same row.
_IMAGES_KEPT = 32

#: Seconds of one wait, so that Ctrl-C is noticed.
_POLL_SECONDS = 0.5


class Judge:
    """A judge with its cache. Use it as a context manager: at its end, nothing more is asked.

    Attributes:
        asked: number of questions that were asked.
        known: number of questions whose answer was in the cache.
        unanswered: number of questions that have no answer.
    """

    def __init__(
        self, endpoint: Endpoint, answers: Answers, profile: Profile, model: str, concurrency: int, limits: DecodeLimits
    ) -> None:
        """Prepare to ask.

        Args:
            endpoint: where.
            answers: the cache.
            profile: the scale and the prompts.
            model: name of the model at the endpoint.
            concurrency: maximum number of requests at a time.
            limits: of images that are decoded.
        """
        self._endpoint, self._answers, self._profile, self._model = endpoint, answers, profile, model
        self._limits = limits
        self._ahead = 2 * concurrency
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="judge")
        self._images: OrderedDict[str, Future[str | None]] = OrderedDict()
        self._failures = 0
        self.is_spent = False
        self.asked = self.known = self.unanswered = 0

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, traceback: TracebackType | None) -> None:
        # Without waiting: a request may take minutes.
        self._endpoint.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def unknown(self, tasks: Sequence[Task]) -> tuple[dict[bytes, Reply], list[Task]]:
        """Return the answers in the cache by key, and the tasks without one; of equal tasks the first."""
        known = self._answers.find(list({task.key for task in tasks}))
        unknown = {task.key: task for task in reversed(tasks) if task.key not in known}
        self.known += len(known)
        return known, list(unknown.values())[::-1]

    def ask(self, tasks: Sequence[Task], fetch: Fetch) -> Iterator[tuple[Task, Reply | Failure]]:
        """Ask, and yield each task with its answer, in the order of answers.

        Args:
            tasks: what to ask.
            fetch: returns the encoded images of image_ids.

        Raises:
            JudgeError: the judge refuses all questions, or has answered none of `MAX_FAILURES` in a row.
        """
        waiting = iter(tasks)
        pending: dict[Future[Reply | Failure], Task] = {}
        while True:
            while len(pending) < self._ahead and not self.is_spent and (task := next(waiting, None)) is not None:
                if (images := self._encoded(task, fetch)) is None:
                    self.unanswered += 1
                    yield task, Failure("image no longer available")
                    continue
                self.asked += 1
                pending[self._pool.submit(self._ask_one, task, images)] = task
            if not pending:
                break
            for future in wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED).done:
                yield self._taken(pending.pop(future), future.result())
        for task in waiting:
            self.unanswered += 1
            yield task, OUT_OF_BUDGET

    def _taken(self, task: Task, result: Reply | Failure) -> tuple[Task, Reply | Failure]:
        if isinstance(result, Reply):
            self._failures = 0
            self._answers.add(task.key, result)
            return task, result
        self.unanswered += 1
        if result.spent:
            self.is_spent = True
        elif result.counts:
            self._failures += 1
        if self._failures >= MAX_FAILURES:
            raise JudgeError(
                f"the judge has answered none of {self._failures} questions in a row, the last because of: "
                f"{result.reason}. Its answers so far are kept: check the server, then run the same command again"
            )
        return task, result

    def _ask_one(self, task: Task, images: Sequence[Future[str | None]]) -> Reply | Failure:
        urls = [image.result() for image in images]
        found = [url for url in urls if url is not None]
        if len(found) < len(urls):
            return Failure("image not readable", counts=False)
        code = task.key.hex()[:16]
        body = request_body(self._model, self._profile, task.criterion, task.texts, found, code)
        return self._endpoint.ask(body, partial(parse_reply, profile=self._profile, criterion=task.criterion))

    def _encoded(self, task: Task, fetch: Fetch) -> list[Future[str | None]] | None:
        """Return the images of a task, which other threads encode; None if one is no longer available."""
        missing = [image for image in task.images if image not in self._images]
        for image, data in zip(missing, fetch(missing) if missing else [], strict=True):
            if data is None:
                return None
            # Before the task in the pool's line, so that a thread that waits for it never waits for itself.
            self._images[image] = self._pool.submit(data_url, data, self._limits)
        found = [self._images[image] for image in task.images]
        while len(self._images) > _IMAGES_KEPT:
            self._images.popitem(last=False)
        return found
