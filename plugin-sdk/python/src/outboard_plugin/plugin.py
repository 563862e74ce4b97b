"""A plugin as its author describes it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from . import _stdio
from ._method import Method, check_name
from .host import Host

C = TypeVar("C")
F = TypeVar("F", bound=Callable[..., Any])

#: Seconds that are left to other threads, and to what runs at the interpreter's end, once serving is over.
_LAST = 1.5


class Plugin(Generic[C]):
    """A plugin: its methods, then `run`.

    `config` is what the manifest's `[config]` is read as before the first call: a dataclass, for instance. It is
    then in the attribute of the same name.
    """

    @overload
    def __init__(
        self: Plugin[dict[str, Any]],
        name: str,
        version: str = ...,
        *,
        concurrency: int = ...,
        ready: bool = ...,
        idempotency_keys: bool = ...,
        logging: bool = ...,
        tracebacks: bool = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        name: str,
        version: str = ...,
        *,
        config: type[C],
        concurrency: int = ...,
        ready: bool = ...,
        idempotency_keys: bool = ...,
        logging: bool = ...,
        tracebacks: bool = ...,
    ) -> None: ...
    def __init__(
        self,
        name: str,
        version: str = "0.0.0",
        *,
        config: Any = dict,
        concurrency: int = 8,
        ready: bool = True,
        idempotency_keys: bool = False,
        logging: bool = True,
        tracebacks: bool = False,
    ) -> None:
        """`concurrency` calls run at once; the host keeps what is beyond.

        With `ready=False` no call comes until `host.status("ready")`. `idempotency_keys` says that every handler looks
        at `call.idempotency_key`, and does nothing twice for the same one: the host then sends a call that has one
        again after a crash. `logging` sends the standard logging to the host. `tracebacks` puts those of handlers into
        error answers; they are in the log in any case.
        """
        if concurrency < 1:
            raise ValueError("concurrency is at least 1")
        self.name = name
        self.version = version
        self.config: C
        #: The host. Before `run` there is none, and what is said to it is lost.
        self.host = Host()
        self._config_type = config
        self._concurrency = concurrency
        self._ready = ready
        self._idempotency_keys = idempotency_keys
        self._logging = logging
        self._tracebacks = tracebacks
        self._methods: dict[str, Method] = {}
        self._any_method: Method | None = None
        self._on_ping: Callable[..., Any] | None = None
        self._events: list[tuple[str, Callable[..., Any]]] = []
        self._on_start: list[Callable[..., Any]] = []
        self._on_config: list[Callable[..., Any]] = []
        self._on_drain: list[Callable[..., Any]] = []
        self._on_shutdown: list[Callable[..., Any]] = []
        self._publishes: list[str] = []

    @overload
    def method(self, handler: F, /) -> F: ...
    @overload
    def method(
        self,
        name: str | None = ...,
        handler: None = ...,
        *,
        idempotent: bool = ...,
        timeout: float | None = ...,
        description: str | None = ...,
        params: dict[str, Any] | None = ...,
        result: dict[str, Any] | None = ...,
    ) -> Callable[[F], F]: ...
    @overload
    def method(
        self,
        name: str,
        handler: F,
        *,
        idempotent: bool = ...,
        timeout: float | None = ...,
        description: str | None = ...,
        params: dict[str, Any] | None = ...,
        result: dict[str, Any] | None = ...,
    ) -> F: ...
    def method(
        self,
        name: Any = None,
        handler: Any = None,
        *,
        idempotent: bool = False,
        timeout: float | None = None,
        description: str | None = None,
        params: dict[str, Any] | None = None,
        result: dict[str, Any] | None = None,
    ) -> Any:
        """Adds a method: `@plugin.method`, `@plugin.method("geo/locate")` or `plugin.method("echo", handler)`.

        A handler takes `(params)`, `(params, call)` or nothing. A coroutine runs on the event loop, a plain function
        on a thread. The annotation of `params` is what they are read as; what does not read as that is answered with
        -32602, without the handler. `idempotent` allows the host to send a call again after a crash; `timeout` is in
        seconds; `params` and `result` are JSON Schemas, to be shown to people.
        """
        if callable(name) and handler is None:
            return self.method(None, None)(name)

        def add(handler: Any) -> Any:
            own = handler.__name__ if name is None else name
            check_name(own)
            if own in self._methods:
                raise ValueError(f"the method {own!r} is there twice")
            self._methods[own] = Method.of(
                handler,
                idempotent=idempotent,
                timeout=timeout,
                description=description,
                params=params,
                result=result,
            )
            return handler

        return add if handler is None else add(handler)

    def any_method(self, handler: F) -> F:
        """Answers every call whose method has no handler of its own; `call.method` says which it is.

        The host is then not told which methods there are, and forwards all of them.
        """
        self._any_method = Method.of(
            handler, idempotent=False, timeout=None, description=None, params=None, result=None
        )
        return handler

    def on_ping(self, hook: F) -> F:
        """Runs for each probe once the plugin is open, and gives what it is answered with: the status to be said
        before it, with `host.status`, or members beside that one's. A hook that hangs is a plugin that hangs."""
        self._on_ping = hook
        return hook

    def on_event(self, *topics: str) -> Callable[[F], F]:
        """Subscribes to topics, or patterns of them (`net.*`); the handler takes an `Event`. One runs at a time."""

        def add(handler: F) -> F:
            self._events += [(topic, handler) for topic in topics]
            return handler

        return add

    def publishes(self, *topics: str) -> None:
        """Says which topics this plugin publishes."""
        self._publishes += topics

    def on_start(self, hook: F) -> F:
        """Runs once `config` is there, before the opening is answered. What it raises refuses the start."""
        self._on_start.append(hook)
        return hook

    def on_config(self, hook: F) -> F:
        """Runs when the manifest's `[config]` has changed; `config` is the new one. Without such a hook, or when it
        raises or returns False, the host restarts the plugin instead."""
        self._on_config.append(hook)
        return hook

    def on_drain(self, hook: F) -> F:
        """Runs when no more calls will come and those in progress have ended."""
        self._on_drain.append(hook)
        return hook

    def on_shutdown(self, hook: F) -> F:
        """Runs once before the plugin ends, be it asked to, told by SIGTERM, or left without a host."""
        self._on_shutdown.append(hook)
        return hook

    def run(self) -> None:
        """Serves until the host says `exit`, closes stdin, or SIGTERM comes; then it returns.

        A process that does not end soon after that, because of other threads, is ended with status 0.
        """
        from ._serve import serve

        _stdio.refuse_terminal(self.name)
        wire = _stdio.take()
        root = logging.getLogger()
        if self._logging and root.level == logging.WARNING:
            root.setLevel(logging.INFO)
        asyncio.run(_watched(serve(self, wire, signals=True)))


async def _watched(serving: Any) -> None:
    await serving
    timer = threading.Timer(_LAST, _leave)
    timer.daemon = True
    timer.start()


def _leave() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass  # Nobody listens any more.
    os._exit(0)
