"""A running supervisor's two sockets, as a client: its management API, and calls to its plugins."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from .errors import PluginError

#: The longest line of an answer, and the longest answer: above what the supervisor ever sends.
_LARGEST = 80 << 20

_REQUEST = (
    "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "Content-Length: {}\r\nConnection: close\r\n\r\n"
)


class NoSupervisor(PluginError):
    """Nobody serves that state directory."""

    def __init__(self, state_dir: Path, why: str) -> None:
        what = f"no supervisor serves {state_dir} ({why})"
        data = {"class": "no_supervisor", "retryable": False}
        super().__init__(f"{what}; start one: outboard run DIR", code=-31001, data=data)


def default_state_dir() -> Path:
    """Where `outboard run` keeps its state when it is not told."""
    if told := os.environ.get("OUTBOARD_STATE_DIR"):
        return Path(told)
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "outboard" / "default"


@asynccontextmanager
async def _connected(
    state_dir: Path, name: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    try:
        # A socket's path has room for 107 bytes: a long folder is named by its descriptor.
        folder = os.open(state_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise NoSupervisor(state_dir, error.strerror or str(error)) from None
    try:
        path = f"/proc/self/fd/{folder}/{name}"
        reader, writer = await asyncio.open_unix_connection(path, limit=_LARGEST)
    except OSError as error:
        raise NoSupervisor(state_dir, error.strerror or str(error)) from None
    finally:
        os.close(folder)
    try:
        yield reader, writer
    finally:
        writer.close()


def _outcome(answer: Any) -> Any:
    """The result of an answer. Raises PluginError with its error."""
    if isinstance(answer, dict) and isinstance(error := answer.get("error"), dict):
        raise PluginError(
            str(error.get("message")), code=int(error.get("code", 1)), data=error.get("data")
        )
    return answer["result"]


async def manage(state_dir: Path, method: str, params: dict[str, Any]) -> Any:
    """One request of the management API: a connection of its own, as `outboard` makes it."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    async with _connected(state_dir, "control.sock") as (reader, writer):
        try:
            writer.write(_REQUEST.format(len(body)).encode() + body)
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            length = _length(head.decode("latin-1"))
            answer = await (reader.read(-1) if length is None else reader.readexactly(length))
        except (OSError, asyncio.IncompleteReadError) as error:
            raise NoSupervisor(state_dir, f"it went away: {error}") from None
    try:
        return _outcome(json.loads(answer))
    except (ValueError, KeyError, TypeError):
        status = head.split(b"\r\n", 1)[0].decode("latin-1")
        raise PluginError(f"the supervisor answered {method} with {status}") from None


def _length(head: str) -> int | None:
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-length":
            return int(value)
    return None


async def call(
    state_dir: Path, plugin: str, method: str, params: Any, timeout: float | None
) -> Any:
    """One call to a plugin, on a connection of its own: when this is cancelled, so is the call."""
    async with _connected(state_dir, "attach.sock") as (reader, writer):

        async def ask(id: int, method: str, params: Any) -> Any:
            request = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
            writer.write(json.dumps(request).encode() + b"\n")
            await writer.drain()
            while line := await reader.readline():
                answer = json.loads(line)
                if answer.get("id") == id and "method" not in answer:
                    return _outcome(answer)
            raise NoSupervisor(state_dir, "it hung up")

        async def asked() -> Any:
            await ask(0, "outboard/attach", {"plugin": plugin})
            return await ask(1, method, {} if params is None else params)

        try:
            return await asyncio.wait_for(asked(), timeout)
        except asyncio.TimeoutError:
            what = f"{plugin} has not answered {method} within {timeout} s"
            data = {"class": "in_flight", "plugin": plugin, "retryable": False}
            raise PluginError(what, code=-31002, data=data) from None
        except OSError as error:
            raise NoSupervisor(state_dir, f"it went away: {error}") from None
