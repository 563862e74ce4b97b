"""Threads for handlers that are plain functions.

Not `concurrent.futures`: its threads are waited for when the interpreter ends, and a handler that blocks for
ever would keep a plugin alive that was told to exit.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any

_Job = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class Pool:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads = 0
        self._busy = 0

    def submit(self, work: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Starts `work` on a thread, in a copy of the current context. Call it on the loop's thread.

        The number of threads is the largest number of jobs that there were at once.
        """
        context = contextvars.copy_context()
        future: asyncio.Future[Any] = self._loop.create_future()
        self._busy += 1
        if self._busy > self._threads:
            self._threads += 1
            threading.Thread(target=self._work, name="call", daemon=True).start()
        self._jobs.put((lambda: context.run(work, *args), future))
        return future

    def close(self) -> None:
        for _ in range(self._threads):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, future = job
            result, error = None, None
            try:
                result = work()
            except BaseException as raised:  # noqa: B036  # it is raised again where it is awaited
                error = raised
            try:
                self._loop.call_soon_threadsafe(self._done, future, result, error)
            except RuntimeError:
                return  # The loop is closed: nobody waits any more.
            # Else what the last job brought lives on until the next one.
            del job, work, future, result, error

    def _done(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        self._busy -= 1
        if future.done():
            return
        if error is None:
            future.set_result(result)
        elif isinstance(error, StopIteration):
            # A future cannot hold one.
            future.set_exception(RuntimeError(f"StopIteration: {error}"))
        else:
            future.set_exception(error)
