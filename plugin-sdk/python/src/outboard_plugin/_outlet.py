"""The way out: whole frames, from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ._frames import DEFAULT_MAX_FRAME
from ._messages import DEFAULT_MAX_DEPTH, depth_within, dump
from ._salvage import Id
from .errors import TOO_LARGE, PluginError


class Outlet:
    """Writes one frame at a time. When the host is gone nothing is sent and nothing fails: the end is near."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._dead = False
        self.max_frame = DEFAULT_MAX_FRAME
        self.max_depth = DEFAULT_MAX_DEPTH

    def result(self, id: Id, result: str) -> None:
        """`result` is JSON text."""
        self._send(f'{{"jsonrpc":"2.0","id":{dump(id)},"result":{result}}}')

    def error(self, id: Id, error: PluginError) -> None:
        body: dict[str, Any] = {"code": error.code, "message": error.message}
        if error.data is not None:
            body["data"] = error.data
        try:
            text = dump(body)
            self.check(text)
        except (TypeError, ValueError, PluginError):
            text = dump({"code": error.code, "message": error.message[:4096]})
        self._send(f'{{"jsonrpc":"2.0","id":{dump(id)},"error":{text}}}')

    def request(self, id: Id, method: str, params: Any) -> None:
        """Raises PluginError when it is larger than the host takes, TypeError or ValueError when it is no JSON."""
        text = dump(params)
        self.check(text)
        self._send(f'{{"jsonrpc":"2.0","id":{dump(id)},"method":{dump(method)},"params":{text}}}')

    def notify(self, method: str, params: Any) -> None:
        """Raises as `request` does."""
        text = dump(params)
        self.check(text)
        self._send(f'{{"jsonrpc":"2.0","method":{dump(method)},"params":{text}}}')

    def check(self, text: str) -> None:
        """Whether a payload fits in a frame that the host takes."""
        envelope = 512
        if len(text) + envelope > self.max_frame:
            raise PluginError(f"{len(text)} bytes are more than the host takes", code=TOO_LARGE)
        if not depth_within(text, self.max_depth - 1):
            raise PluginError("it nests deeper than the host takes", code=TOO_LARGE)

    def _send(self, frame: str) -> None:
        data = frame.encode() + b"\n"
        with self._lock:
            if self._dead:
                return
            try:
                self._write(data)
            except OSError:
                # Half a frame may be out, so nothing may follow it.
                self._dead = True
