"""Events, to the handlers that subscribed to them: one at a time, in order."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

#: Events that wait for those before them. Beyond that the newest is dropped, and counted in the next one's `missed`.
_WAITING = 1024

logger = logging.getLogger("outboard_plugin")


class Event(NamedTuple):
    """Something that another plugin, or the host, published."""

    topic: str
    data: Any
    source: str
    #: Counts up from 1 for this run of the plugin.
    seq: int
    #: When it was published, in milliseconds since 1970.
    time_ms: int
    #: How many events were lost between the last one and this.
    missed: int


class Events:
    def __init__(
        self,
        handlers: list[tuple[str, Callable[..., Any]]],
        act: Callable[..., Awaitable[Any]],
    ) -> None:
        self._handlers = handlers
        self._act = act
        self._queue: deque[Event] = deque()
        self._missed = 0
        self._task: asyncio.Task[None] | None = None

    def take(self, params: dict[str, Any]) -> None:
        topic = params.get("topic")
        if not isinstance(topic, str) or not self._handlers:
            return
        missed = _integer(params.get("missed")) + self._missed
        if len(self._queue) >= _WAITING:
            self._missed = missed + 1
            return
        self._missed = 0
        source = params.get("source")
        self._queue.append(
            Event(
                topic,
                params.get("data"),
                source if isinstance(source, str) else "",
                _integer(params.get("seq")),
                _integer(params.get("timeMs")),
                missed,
            )
        )
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while self._queue:
            event = self._queue.popleft()
            for pattern, handler in self._handlers:
                if fnmatchcase(event.topic, pattern):
                    try:
                        await self._act(handler, event)
                    except Exception:
                        logger.exception("the handler of %s failed", event.topic)


def _integer(value: object) -> int:
    return value if type(value) is int else 0
