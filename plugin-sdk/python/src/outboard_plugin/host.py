"""The host, as a plugin sees it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Literal

from ._outlet import Outlet
from .call import current_call
from .errors import NOT_READY, HostGone, PluginError

State = Literal["ready", "degraded", "unhealthy", "busy"]
Level = Literal["trace", "debug", "info", "warn", "error"]

_TRACE = ("traceparent", "tracestate", "baggage")


def _nowhere(_: bytes) -> None:
    """Before the plugin runs nobody listens."""


class Host:
    """A handle on the host: calls to other plugins, events, the plugin's status. Safe to use from any thread."""

    def __init__(self) -> None:
        self._outlet = Outlet(_nowhere)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: int | None = None
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._last_id = 0
        self._gone = False
        self._status: dict[str, Any] = {}
        #: The plugin's id, instance and generation, as the opening said.
        self.plugin: dict[str, Any] = {}
        #: What this plugin may ask of the host, as the opening said.
        self.capabilities: dict[str, Any] = {}

    def status(
        self, state: State, message: str | None = None, *, expected: float | None = None
    ) -> None:
        """Says how the plugin is; probes are answered with it until the next one.

        `ready` ends the other three, and a start with `ready=False`. `expected` is how many seconds it may last.
        """
        status: dict[str, Any] = {"state": state}
        if message is not None:
            status["message"] = message
        if expected is not None:
            status["expectedMs"] = int(expected * 1000)
        self._status = {} if state == "ready" else status
        self._outlet.notify("$/status", status)

    def log(self, level: Level, message: str, **fields: Any) -> None:
        """A line for the plugin's log. The standard `logging` ends here as well, and is the usual way."""
        params: dict[str, Any] = {"level": level, "message": message}
        if fields:
            params["fields"] = fields
        self._outlet.notify("$/log", params)

    async def call(
        self, plugin: str, method: str, params: Any = None, *, timeout: float | None = None
    ) -> Any:
        """Calls another plugin and gives its result.

        The call is part of the one that is being answered: its trace goes along, its deadline bounds it, and its
        cancellation ends the wait. Raises PluginError with the callee's or the host's error.
        """
        request: dict[str, Any] = {"plugin": plugin, "method": method}
        request["params"] = {} if params is None else params
        current = current_call()
        left = None if current is None else current.remaining()
        bounds = [bound for bound in (timeout, left) if bound is not None]
        if bounds:
            request["timeoutMs"] = max(1, int(min(bounds) * 1000))
        return await self._request("host/call", self._traced(request))

    def call_sync(
        self, plugin: str, method: str, params: Any = None, *, timeout: float | None = None
    ) -> Any:
        """As `call`, for handlers that are plain functions: blocks this thread."""
        return self._blocking(self.call(plugin, method, params, timeout=timeout))

    async def publish(self, topic: str, data: Any = None) -> int:
        """Publishes an event and gives how many plugins it was handed to."""
        answer = await self._request("host/publish", self._traced({"topic": topic, "data": data}))
        delivered = answer.get("delivered", 0) if isinstance(answer, dict) else 0
        return delivered if type(delivered) is int else 0

    def publish_sync(self, topic: str, data: Any = None) -> int:
        """As `publish`, for handlers that are plain functions: blocks this thread."""
        return int(self._blocking(self.publish(topic, data)))

    def publish_nowait(self, topic: str, data: Any = None) -> None:
        """Publishes an event without asking what became of it."""
        self._outlet.notify("host/publish", self._traced({"topic": topic, "data": data}))

    async def info(self) -> dict[str, Any]:
        """The host's name and version, its uptime, and the plugins that this one may call."""
        answer = await self._request("host/info", {})
        return answer if isinstance(answer, dict) else {}

    @staticmethod
    def _traced(params: dict[str, Any]) -> dict[str, Any]:
        current = current_call()
        if current is not None:
            meta = {key: current.meta[key] for key in _TRACE if key in current.meta}
            if meta:
                params["_meta"] = meta
        return params

    async def _request(self, method: str, params: dict[str, Any]) -> Any:
        if self._loop is None:
            raise PluginError("the plugin is not running", code=NOT_READY)
        if self._gone:
            raise HostGone
        self._last_id += 1
        id = self._last_id
        answer = self._pending[id] = self._loop.create_future()
        try:
            self._outlet.request(id, method, params)
            return await answer
        finally:
            self._pending.pop(id, None)

    def _blocking(self, work: Any) -> Any:
        loop, call = self._loop, current_call()
        if loop is None or threading.get_ident() == self._thread:
            work.close()
            if loop is None:
                raise PluginError("the plugin is not running", code=NOT_READY)
            raise RuntimeError("this would block the event loop: await the method without _sync")

        async def run() -> Any:
            if call is None:
                return await work
            task = asyncio.ensure_future(work)
            call._waits.add(task)
            try:
                if call.cancelled:
                    task.cancel()
                return await task
            except asyncio.CancelledError:
                if call.cancelled:
                    raise call.cancellation() from None
                raise HostGone from None
            finally:
                call._waits.discard(task)

        return asyncio.run_coroutine_threadsafe(run(), loop).result()

    # The rest is for the session, on the loop's thread.

    def _attach(self, outlet: Outlet, loop: asyncio.AbstractEventLoop) -> None:
        self._outlet = outlet
        self._loop = loop
        self._thread = threading.get_ident()
        self._gone = False
        self._status = {}

    def _answered(self, id: object, result: Any, error: dict[str, Any] | None) -> None:
        answer = self._pending.get(id) if type(id) is int else None
        if answer is None or answer.done():
            return  # Not asked for, or given up meanwhile.
        if error is None:
            answer.set_result(result)
        else:
            answer.set_exception(
                PluginError(error["message"], code=error["code"], data=error.get("data"))
            )

    def _end(self) -> None:
        self._gone = True
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(HostGone())
