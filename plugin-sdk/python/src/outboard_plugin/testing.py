"""A host in memory, for unit tests: no process, no supervisor, real frames.

    def test_echo() -> None:
        with FakeHost(plugin) as host:
            assert host.call("echo", {"a": 1}) == {"a": 1}

The plugin runs as it does under a supervisor, on a thread of its own. The host checks what the plugin writes: a frame
that is no message, a second answer, or progress that nobody asked for fails the test when the `with` block ends.
"""

from __future__ import annotations

import asyncio
import json
import queue
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from ._events import Event
from ._frames import Frame, Framer
from ._messages import ABSENT, Notification, Request, Response, decode
from ._salvage import Id
from ._serve import serve
from .errors import METHOD_NOT_FOUND, PluginError
from .plugin import Plugin

__all__ = ["Event", "FakeHost", "Pending"]


class Pending:
    """A call that was sent."""

    def __init__(self, host: FakeHost, id: int, token: str) -> None:
        self.id = id
        #: What the call told of its progress, in order.
        self.progress: list[dict[str, Any]] = []
        self._host = host
        self._token = token
        self._answer: Response | None = None

    @property
    def done(self) -> bool:
        return self._answer is not None

    def cancel(self, reason: str = "caller") -> None:
        self._host.notify("$/cancel", {"id": self.id, "reason": reason})

    def result(self, timeout: float | None = None) -> Any:
        """Waits for the answer. Raises PluginError if it is an error."""
        self._host.wait(lambda: self.done, f"call {self.id} to be answered", timeout)
        assert self._answer is not None
        if self._answer.error is not None:
            error = self._answer.error
            raise PluginError(error["message"], code=error["code"], data=error.get("data"))
        return self._answer.result


class FakeHost:
    """Opens `plugin` on entry, closes its stdin on exit.

    `timeout` is how many seconds each wait may last before the test fails; nothing is slow for it.
    """

    def __init__(
        self,
        plugin: Plugin[Any],
        *,
        config: dict[str, Any] | None = None,
        capabilities: dict[str, Any] | None = None,
        limits: dict[str, int] | None = None,
        timeout: float = 10.0,
    ) -> None:
        #: The result of `initialize`.
        self.opening: dict[str, Any] = {}
        #: The params of `$/log`, `$/status` and `host/publish`, in order.
        self.logs: list[dict[str, Any]] = []
        self.statuses: list[dict[str, Any]] = []
        self.published: list[dict[str, Any]] = []
        #: The params of `host/call`, in order.
        self.called: list[dict[str, Any]] = []
        #: What the plugin did against the protocol.
        self.violations: list[str] = []
        self._plugin = plugin
        self._config = {} if config is None else config
        self._capabilities = capabilities or {"call": ["*"], "publish": ["*"], "events": True}
        self._limits = limits or {}
        self._timeout = timeout
        self._others: dict[tuple[str, str], Callable[[Any], Any]] = {}
        self._pending: dict[Id, Pending] = {}
        self._last_id = 0
        self._seq = 0
        self._input: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._framer = Framer()
        self._news = threading.Condition(threading.RLock())
        self._closed = False
        self._ended: BaseException | bool = False
        self._thread = threading.Thread(target=self._run, name="plugin", daemon=True)

    def __enter__(self) -> FakeHost:
        self._thread.start()
        opening = {
            "protocolVersions": [1],
            "hostInfo": {"name": "fake", "version": "0"},
            "plugin": {
                "id": self._plugin.name,
                "instance": f"{self._plugin.name}-0",
                "generation": 1,
            },
            "config": self._config,
            "capabilities": self._capabilities,
            "limits": self._limits,
        }
        try:
            self.opening = self.request("initialize", opening)
        except BaseException:
            self.close()
            raise
        self.notify("initialized", {})
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        if error is None:
            assert not self.violations, self.violations

    def close(self) -> None:
        """Closes the plugin's stdin and waits for its end."""
        if not self._closed:
            self._closed = True
            self._input.put(b"")
        self._thread.join(self._timeout)
        assert not self._thread.is_alive(), "the plugin did not end when its stdin was closed"
        if isinstance(self._ended, BaseException):
            raise self._ended

    # Requests and notifications.

    def start(
        self,
        method: str,
        params: Any = None,
        *,
        deadline: float | None = None,
        meta: dict[str, Any] | None = None,
    ) -> Pending:
        """Sends a call and does not wait. `deadline` is in seconds; `meta` goes over what is in `_meta` already."""
        with self._news:
            token = f"t{self._last_id + 1}"
            own: dict[str, Any] = {"caller": "test", "progressToken": token}
            if deadline is not None:
                own["deadlineMs"] = int(deadline * 1000)
            body = params
            if params is None or isinstance(params, dict):
                body = {**(params or {}), "_meta": {**own, **(meta or {})}}
            return self._send_request(method, body, token)

    def call(
        self,
        method: str,
        params: Any = None,
        *,
        deadline: float | None = None,
        meta: dict[str, Any] | None = None,
    ) -> Any:
        """Calls a method and gives its result. Raises PluginError if it is answered with an error."""
        return self.start(method, params, deadline=deadline, meta=meta).result()

    def request(self, method: str, params: Any = None) -> Any:
        """Sends one of the protocol's own requests, and waits for its answer."""
        with self._news:
            pending = self._send_request(method, {} if params is None else params, "")
        return pending.result()

    def notify(self, method: str, params: Any = None) -> None:
        self.send(json.dumps({"jsonrpc": "2.0", "method": method, "params": params or {}}))

    def ping(self) -> Any:
        return self.request("ping")

    def emit(self, topic: str, data: Any = None, *, source: str = "test", missed: int = 0) -> None:
        """Delivers an event."""
        self._seq += 1
        params = {
            "topic": topic,
            "seq": self._seq,
            "source": source,
            "missed": missed,
            "data": data,
        }
        self.notify("event", {**params, "timeMs": int(time.time() * 1000)})

    def change_config(self, config: dict[str, Any]) -> bool:
        """Gives whether the plugin took it. Raises PluginError if it refused."""
        return self.request("config/changed", {"config": config, "revision": 2})["applied"] is True

    def drain(self, deadline: float = 5.0) -> None:
        self.request("drain", {"deadlineMs": int(deadline * 1000)})

    def shutdown(self, reason: str = "stop", deadline: float = 5.0) -> None:
        self.request("shutdown", {"reason": reason, "deadlineMs": int(deadline * 1000)})

    def provide(self, plugin: str, method: str, act: Callable[[Any], Any]) -> None:
        """Answers the plugin's own calls of another one. `act` takes the params; a PluginError is the answer too."""
        self._others[plugin, method] = act

    def send(self, line: str) -> None:
        """A line as it is."""
        self._input.put(line.encode("utf-8") + b"\n")

    def wait(
        self, until: Callable[[], bool], what: str = "it", timeout: float | None = None
    ) -> None:
        """Waits until something is so; looks each time when the plugin has said something."""
        limit = self._timeout if timeout is None else timeout
        with self._news:
            ok = self._news.wait_for(lambda: until() or self._ended, limit)
            assert until(), f"waited for {what}; " + (
                "the plugin has ended" if ok else f"nothing came in {limit} s"
            )

    # The plugin's side.

    def read(self) -> bytes:
        return self._input.get()

    def write(self, data: bytes) -> None:
        with self._news:
            for item in self._framer.feed(data):
                if isinstance(item, Frame):
                    self._take(decode(item.text))
                else:
                    self.violations.append(f"not a frame: {item}")
            self._news.notify_all()

    def _run(self) -> None:
        ended: BaseException | bool = True
        try:
            asyncio.run(serve(self._plugin, self))
        except BaseException as error:
            ended = error
        with self._news:
            self._ended = ended
            self._news.notify_all()

    def _send_request(self, method: str, params: Any, token: str) -> Pending:
        self._last_id += 1
        pending = self._pending[self._last_id] = Pending(self, self._last_id, token)
        frame = {"jsonrpc": "2.0", "id": pending.id, "method": method, "params": params}
        self.send(json.dumps(frame))
        return pending

    def _take(self, message: Any) -> None:
        if isinstance(message, Response):
            pending = self._pending.get(message.id)
            if pending is None or pending.done:
                self.violations.append(f"an answer that nobody waits for: {message}")
            else:
                pending._answer = message
        elif isinstance(message, Request):
            self._host_request(message)
        elif isinstance(message, Notification):
            self._host_notification(message)
        else:
            self.violations.append(f"not a message: {message}")

    def _host_request(self, request: Request) -> None:
        params = {} if request.params is ABSENT else request.params
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request.id}
        try:
            if request.method == "host/call":
                self.called.append(params)
                act = self._others.get((params["plugin"], params["method"]))
                if act is None:
                    what = f"{params['plugin']}.{params['method']}"
                    raise PluginError(f"nobody provides {what}", code=METHOD_NOT_FOUND)
                answer["result"] = act(params["params"])
            elif request.method == "host/publish":
                self.published.append(params)
                answer["result"] = {"delivered": 1}
            elif request.method == "host/info":
                answer["result"] = {"hostInfo": {"name": "fake", "version": "0"}, "peers": []}
            else:
                raise PluginError("the host has no such method", code=METHOD_NOT_FOUND)
        except PluginError as error:
            answer["error"] = {"code": error.code, "message": error.message, "data": error.data}
        self.send(json.dumps(answer))

    def _host_notification(self, message: Notification) -> None:
        params = {} if message.params is ABSENT else message.params
        if message.method == "$/log":
            self.logs.append(params)
        elif message.method == "$/status":
            self.statuses.append(params)
        elif message.method == "host/publish":
            self.published.append(params)
        elif message.method == "$/progress":
            token = params.get("token")
            pending = next((p for p in self._pending.values() if p._token == token), None)
            if pending is None or pending.done:
                self.violations.append(f"progress that nobody asked for: {params}")
                return
            if pending.progress and params["progress"] <= pending.progress[-1]["progress"]:
                self.violations.append(f"progress that does not rise: {params}")
            pending.progress.append(params)
        else:
            self.violations.append(f"an unknown notification: {message.method}")
