"""What a handler knows of the call that it answers."""

from __future__ import annotations

import asyncio
import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from .errors import DEADLINE, Cancelled

if TYPE_CHECKING:
    from .host import Host

_current: ContextVar[Call | None] = ContextVar("outboard_call", default=None)


def current_call() -> Call | None:
    """The call that this code answers, also on the thread of a plain handler; None outside of handlers."""
    return _current.get()


class Call:
    """One call in progress. Safe to use from any thread."""

    def __init__(self, method: str, meta: dict[str, Any], host: Host) -> None:
        #: The method that was called.
        self.method = method
        #: What the host and the caller said beside the params: trace context and the like.
        self.meta = meta
        #: The host, for calls to other plugins, events and the plugin's status.
        self.host = host
        self._reason: str | None = None
        self._event = threading.Event()
        self._task: asyncio.Task[None] | None = None
        # Host requests of a handler on a thread: to be given up with the call.
        self._waits: set[asyncio.Task[Any]] = set()
        self._on_thread = False
        self._done = False
        self._lock = threading.Lock()
        self._progress: float | None = None
        left = meta.get("deadlineMs")
        self._deadline: float | None = None
        if isinstance(left, (int, float)) and not isinstance(left, bool):
            self._deadline = time.monotonic() + left / 1000

    @property
    def caller(self) -> str | None:
        """`cli`, `api:NAME` or `plugin:ID`."""
        caller = self.meta.get("caller")
        return caller if isinstance(caller, str) else None

    @property
    def attempt(self) -> int:
        """1, or 2 when the call is repeated after a crash."""
        attempt = self.meta.get("attempt")
        return attempt if type(attempt) is int else 1

    @property
    def idempotency_key(self) -> str | None:
        """The same key means the same effect."""
        key = self.meta.get("idempotencyKey")
        return key if isinstance(key, str) else None

    def remaining(self) -> float | None:
        """Seconds until the deadline, never below 0; None when there is none."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    @property
    def cancelled(self) -> bool:
        """Whether the caller has gone or the deadline has passed. Coroutines are cancelled besides."""
        return self._event.is_set()

    def check(self) -> None:
        """For handlers on threads: raises Cancelled when the call is. Call it now and then in long work."""
        if self._reason is not None:
            raise self.cancellation()

    def wait(self, seconds: float) -> bool:
        """For handlers on threads: the way to sleep. Gives at once whether the call is cancelled."""
        return self._event.wait(seconds)

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Tells the caller how far it is, if it wants to know. `done` rises from one time to the next."""
        token = self.meta.get("progressToken")
        if token is None:
            return
        params: dict[str, Any] = {"token": token, "progress": done}
        if total is not None:
            params["total"] = total
        if message is not None:
            params["message"] = message
        with self._lock:
            if self._done or (self._progress is not None and done <= self._progress):
                return
            self._progress = done
            self.host._outlet.notify("$/progress", params)

    # The rest is for the session.

    def cancellation(self) -> Cancelled:
        if self._reason == "deadline":
            return Cancelled("the deadline has passed", code=DEADLINE)
        return Cancelled()

    def _cancel(self, reason: str) -> None:
        """On the loop's thread. A second cancellation changes nothing."""
        if self._reason is not None or self._done:
            return
        self._reason = reason
        self._event.set()
        for wait in self._waits:
            wait.cancel()
        if self._task is not None and not self._on_thread:
            self._task.cancel()

    def _finish(self) -> None:
        with self._lock:
            self._done = True
