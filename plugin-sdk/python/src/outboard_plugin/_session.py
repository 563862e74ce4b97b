"""From frames to handlers and back. All of it runs on the event loop's thread."""

from __future__ import annotations

import asyncio
import logging
import os
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from . import errors
from ._convert import ConvertError, from_json
from ._events import Events
from ._frames import DEFAULT_MAX_FRAME, Frame, Framer, Item, TooLong
from ._messages import ABSENT, Notification, Reject, Request, Response, decode, dump
from ._method import Method, is_async, is_reserved
from ._outlet import Outlet
from ._pool import Pool
from ._salvage import Id
from .call import Call, _current
from .errors import InvalidParams, PluginError

if TYPE_CHECKING:
    from .plugin import Plugin

PROTOCOL = 1

#: How much later than the host, in seconds, the plugin notices a deadline. The host has answered the caller by then and
#: has said `$/cancel`; that it was late, and by how much, is for the host to tell.
_GRACE = 0.1

#: Calls that wait for a slot. The host knows how many run at once and keeps the rest, so more is a host that does not.
_WAITING = 1024

#: Seconds for calls in progress once stdin has ended, and for the shutdown hooks after them.
_LAST_ANSWERS = 1.0
_LAST_HOOKS = 0.5

logger = logging.getLogger("outboard_plugin")


class _Phase(NamedTuple):
    """What application calls are answered with; None lets them pass."""

    refusal: int | None
    why: str


_NEW = _Phase(errors.NOT_READY, "has not been initialized")
_OPEN = _Phase(None, "")
_DRAINING = _Phase(errors.SHUTTING_DOWN, "takes no more calls")
_STOPPING = _Phase(errors.SHUTTING_DOWN, "is shutting down")


class Session:
    def __init__(self, plugin: Plugin[Any], outlet: Outlet, framer: Framer) -> None:
        self._plugin = plugin
        self._outlet = outlet
        self._framer = framer
        self._loop = asyncio.get_running_loop()
        self._pool = Pool(self._loop)
        self._slots = asyncio.Semaphore(plugin._concurrency)
        self._calls: dict[Id, Call] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._events = Events(plugin._events, self._act)
        self._tasks: set[asyncio.Task[None]] = set()
        self._phase = _NEW
        self._opened = False
        # What came behind an opening that is not answered yet.
        self._held: list[Request] = []
        self._ending = False
        self._hooks: asyncio.Task[None] | None = None
        self._junk_said = False
        #: Set when there is nothing more to do.
        self.over = asyncio.Event()

    def take(self, items: list[Item]) -> None:
        """What was read, in order."""
        for item in items:
            if self.over.is_set():
                return
            if isinstance(item, Frame):
                self._message(decode(item.text))
            elif isinstance(item, TooLong) and item.id is not None and item.request:
                why = f"{item.bytes} bytes are more than this plugin takes in a frame"
                self._outlet.error(item.id, PluginError(why, code=errors.TOO_LARGE))
            else:
                self._junk()

    def unplugged(self) -> None:
        """Stdin has ended: what was asked of the host will not be answered any more."""
        self._plugin.host._end()
        self.end()

    def end(self) -> None:
        """No more will be asked: stdin has ended, or SIGTERM came."""
        if not self._ending and not self.over.is_set():
            self._ending = True
            self._spawn(self._end())

    async def _end(self) -> None:
        self._phase = _STOPPING
        try:
            await asyncio.wait_for(self._idle.wait(), _LAST_ANSWERS)
        except asyncio.TimeoutError:
            pass
        try:
            await asyncio.wait_for(self._shutdown_hooks(), _LAST_HOOKS)
        except asyncio.TimeoutError:
            logger.warning("a shutdown hook was not done in time")
        self.over.set()

    def close(self) -> None:
        """Gives up what is left."""
        self.over.set()
        self._plugin.host._end()
        self._pool.close()
        for task in self._tasks:
            task.cancel()

    def _message(self, message: Any) -> None:
        if isinstance(message, Request):
            self._request(message)
        elif isinstance(message, Notification):
            self._notification(message)
        elif isinstance(message, Response):
            self._plugin.host._answered(message.id, message.result, message.error)
        elif isinstance(message, Reject):
            if message.id is None or not message.request:
                self._junk()
                return
            code = errors.TOO_LARGE if message.reason == "depth" else errors.INVALID_REQUEST
            why = f"not a request that this plugin can read: {message.reason}"
            self._outlet.error(message.id, PluginError(why, code=code))

    def _junk(self) -> None:
        """Junk is never answered: nobody could tell what the answer is to. It is told once."""
        if not self._junk_said:
            self._junk_said = True
            logger.warning("stdin has lines that are no messages; they are skipped")

    def _notification(self, message: Notification) -> None:
        params = message.params if isinstance(message.params, dict) else {}
        if message.method == "exit":
            self.over.set()
        elif message.method == "$/cancel":
            id, reason = params.get("id"), params.get("reason")
            call = self._calls.get(id) if isinstance(id, (int, str)) else None
            if call is not None:
                call._cancel(reason if isinstance(reason, str) else "caller")
        elif message.method == "event":
            self._events.take(params)

    def _request(self, request: Request) -> None:
        id, method, params = request
        if method == "ping":
            if self._phase is _OPEN and self._plugin._on_ping is not None:
                self._serve(id, self._ping(self._plugin._on_ping))
            else:
                self._outlet.result(id, dump(self._plugin.host._status))
        elif method == "initialize":
            if self._opened:
                self._fail(id, errors.INVALID_REQUEST, "has been initialized already")
            else:
                self._opened = True
                self._serve(
                    id, self._open(params if isinstance(params, dict) else {}), self._release
                )
        elif method == "shutdown":
            self._phase = _STOPPING
            self._serve(id, self._shut())
        elif self._phase is _NEW and self._opened:
            self._held.append(request)
        elif self._phase is _NEW:
            self._fail(id, _NEW.refusal, _NEW.why)
        elif method == "drain" and self._plugin._on_drain:
            self._phase = _DRAINING if self._phase is _OPEN else self._phase
            self._serve(id, self._drain(params))
        elif method == "config/changed" and self._plugin._on_config:
            self._serve(id, self._reconfigure(params))
        elif (handler := self._handler(method)) is not None:
            self._call(id, method, handler, params)
        else:
            self._fail(id, errors.METHOD_NOT_FOUND, f"has no method {method}")

    def _handler(self, method: str) -> Method | None:
        own = self._plugin._methods.get(method)
        return own if own is not None or is_reserved(method) else self._plugin._any_method

    def _fail(self, id: Id, code: int | None, why: str) -> None:
        error = PluginError(f"the plugin {self._plugin.name} {why}", code=code or errors.INTERNAL)
        self._outlet.error(id, error)

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _release(self) -> None:
        held, self._held = self._held, []
        for request in held:
            self._request(request)

    def _serve(self, id: Id, work: Any, then: Callable[[], None] = lambda: None) -> None:
        """Answers one of the protocol's own requests with what `work` gives."""

        async def answer() -> None:
            try:
                self._outlet.result(id, dump(await work))
            except asyncio.CancelledError as error:
                if self.over.is_set():
                    raise
                # Not this task was cancelled, but what the hook waited for.
                self._outlet.error(id, self._told(error, "a hook"))
            except Exception as error:
                self._outlet.error(id, self._told(error, "a hook"))
            then()

        self._spawn(answer())

    async def _act(self, act: Callable[..., Any], *args: Any) -> Any:
        """Runs an author's function: a coroutine here, anything else on a thread."""
        return await (act(*args) if is_async(act) else self._pool.submit(act, *args))

    # The protocol's own requests.

    async def _open(self, params: dict[str, Any]) -> dict[str, Any]:
        plugin, host = self._plugin, self._plugin.host
        try:
            if PROTOCOL not in params.get("protocolVersions", ()):
                raise PluginError(
                    f"this plugin speaks version {PROTOCOL} of the protocol",
                    code=errors.UNSUPPORTED_PROTOCOL,
                    data={"supported": [PROTOCOL]},
                )
            self._take_limits(params.get("limits") or {})
            host.plugin = params.get("plugin") or {}
            host.capabilities = params.get("capabilities") or {}
            plugin.config = self._config(params)
            for hook in plugin._on_start:
                await self._act(hook)
        except BaseException:
            self._opened = False
            raise
        self._phase = _OPEN if self._phase is _NEW else self._phase
        opening = {
            "protocolVersion": PROTOCOL,
            "name": plugin.name,
            "version": plugin.version,
            "methods": {name: method.about for name, method in plugin._methods.items()},
            "events": plugin._publishes,
            "subscribe": [topic for topic, _ in plugin._events],
            "concurrency": plugin._concurrency,
            "ready": plugin._ready,
            "supports": {
                "drain": bool(plugin._on_drain),
                "configReload": bool(plugin._on_config),
                "progress": True,
                "cancel": True,
                "idempotency": plugin._idempotency_keys,
                "meta": True,
            },
        }
        if plugin._any_method is not None:
            # A list would be taken for the whole, and the host would refuse the rest itself.
            del opening["methods"]
        return opening

    async def _ping(self, hook: Callable[..., Any]) -> dict[str, Any]:
        more = await self._act(hook)
        return {**self._plugin.host._status, **(more or {})}

    def _take_limits(self, limits: dict[str, Any]) -> None:
        for name, where, what in (
            ("maxFrameBytes", self._outlet, "max_frame"),
            ("maxDepth", self._outlet, "max_depth"),
        ):
            if type(limits.get(name)) is int:
                setattr(where, what, limits[name])
        if type(limits.get("maxHostFrameBytes")) is int:
            self._framer.max_frame = max(DEFAULT_MAX_FRAME, limits["maxHostFrameBytes"])

    def _config(self, params: Any) -> Any:
        config = params.get("config") if isinstance(params, dict) else None
        try:
            return from_json(self._plugin._config_type, {} if config is None else config, "config")
        except ConvertError as error:
            raise InvalidParams(f"the manifest's [config] is wrong: {error}") from None

    async def _reconfigure(self, params: Any) -> dict[str, Any]:
        before = self._plugin.config
        self._plugin.config = self._config(params)
        try:
            for hook in self._plugin._on_config:
                if await self._act(hook) is False:
                    self._plugin.config = before
                    return {"applied": False}
        except BaseException:
            self._plugin.config = before
            raise
        return {"applied": True}

    async def _drain(self, params: Any) -> dict[str, Any]:
        milliseconds = params.get("deadlineMs") if isinstance(params, dict) else None
        limit = milliseconds / 1000 if isinstance(milliseconds, (int, float)) else None
        try:
            await asyncio.wait_for(self._idle.wait(), limit)
        except asyncio.TimeoutError:
            raise PluginError(
                f"{len(self._calls)} calls are still in progress", code=errors.DEADLINE
            ) from None
        for hook in self._plugin._on_drain:
            await self._act(hook)
        return {}

    async def _shut(self) -> dict[str, Any]:
        await self._shutdown_hooks()
        return {}

    async def _shutdown_hooks(self) -> None:
        """Each once, and all of them, whatever one of them raises. Who comes second waits for the first."""
        if self._hooks is None:
            self._hooks = self._spawn(self._run_shutdown_hooks())
        await asyncio.shield(self._hooks)

    async def _run_shutdown_hooks(self) -> None:
        for hook in self._plugin._on_shutdown:
            try:
                await self._act(hook)
            except asyncio.CancelledError:
                if self.over.is_set():
                    raise
                logger.exception("a shutdown hook failed")
            except Exception:
                logger.exception("a shutdown hook failed")

    # Application calls.

    def _call(self, id: Id, method: str, handler: Method, params: Any) -> None:
        if self._phase.refusal is not None:
            self._fail(id, self._phase.refusal, self._phase.why)
        elif id in self._calls:
            self._fail(id, errors.INVALID_REQUEST, f"has a call {id} in progress already")
        elif len(self._calls) >= self._plugin._concurrency + _WAITING:
            self._fail(id, errors.OVERLOADED, "has too many calls waiting already")
        else:
            params = {} if params is ABSENT else params
            meta = params.pop("_meta", None) if isinstance(params, dict) else None
            call = Call(method, meta if isinstance(meta, dict) else {}, self._plugin.host)
            self._calls[id] = call
            self._idle.clear()
            call._task = self._spawn(self._answer(id, call, handler, params))

    async def _answer(self, id: Id, call: Call, method: Method, params: Any) -> None:
        timer = None
        if (left := call.remaining()) is not None:
            timer = self._loop.call_later(left + _GRACE, call._cancel, "deadline")
        _current.set(call)
        outcome: str | PluginError
        try:
            async with self._slots:
                result = await self._run(call, method, params)
            outcome = dump(result)
            self._outlet.check(outcome)
        except asyncio.CancelledError as error:
            if self.over.is_set():
                raise
            outcome = call.cancellation() if call.cancelled else self._told(error, call.method)
        except Exception as error:
            outcome = self._told(error, call.method)
        finally:
            if timer is not None:
                timer.cancel()
            call._finish()
            del self._calls[id]
            if not self._calls:
                self._idle.set()
        if isinstance(outcome, PluginError):
            self._outlet.error(id, outcome)
        else:
            self._outlet.result(id, outcome)

    async def _run(self, call: Call, method: Method, params: Any) -> Any:
        args = method.arguments(params, call)
        if method.is_async:
            return await method.handler(*args)
        # A thread cannot be cancelled: its slot is its own until it ends. It looks at `call` itself.
        call._on_thread = True
        return await self._pool.submit(method.handler, *args)

    def _told(self, error: BaseException, what: str) -> PluginError:
        """What a caller is told. What an author did not mean to raise is whole in the log, and its last line here."""
        if isinstance(error, PluginError):
            return error
        error = error.with_traceback(_authors(error.__traceback__))
        logger.error("%s failed", what, exc_info=error)
        kind = type(error).__name__
        data = {"class": "exception", "type": kind}
        if self._plugin._tracebacks:
            data["traceback"] = "".join(traceback.format_exception(error))
        words = str(error)
        return PluginError(f"{kind}: {words}" if words else kind, data=data)


def _authors(trace: TracebackType | None) -> TracebackType | None:
    """A traceback from the author's first line on; whole, where there is none."""
    here, at = os.path.dirname(__file__), trace
    while at is not None and os.path.dirname(at.tb_frame.f_code.co_filename) == here:
        at = at.tb_next
    return at or trace
