"""Runs a session over a wire: the reading thread, signals, the end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ._frames import Framer
from ._logging import HostHandler
from ._outlet import Outlet
from ._session import Session
from ._stdio import Wire

if TYPE_CHECKING:
    from .plugin import Plugin

#: Bytes that were read and not yet looked at. Beyond that nothing is read, the pipe fills, and the host waits.
_AHEAD = 32 << 20

#: Seconds after SIGTERM in which a plugin whose event loop is blocked may still end by itself.
_AFTER_SIGTERM = 1.8


async def serve(plugin: Plugin[Any], wire: Wire, *, signals: bool = False) -> None:
    """Serves until the host says `exit` or there is nothing more to read."""
    loop = asyncio.get_running_loop()
    outlet, framer = Outlet(wire.write), Framer()
    plugin.host._attach(outlet, loop)
    session = Session(plugin, outlet, framer)
    reader = _Reader(wire, framer, session, loop)
    with _logs(plugin), _sigterm(loop, session, signals):
        threading.Thread(target=reader.run, name="stdin", daemon=True).start()
        try:
            await session.over.wait()
        finally:
            session.close()
            reader.stop()


class _Reader:
    """Reads on a thread of its own, so that a busy loop never keeps the host from writing."""

    def __init__(
        self, wire: Wire, framer: Framer, session: Session, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._wire = wire
        self._framer = framer
        self._session = session
        self._loop = loop
        self._ahead = 0
        self._room = threading.Condition()
        self._stopped = False

    def run(self) -> None:
        try:
            while data := self._wire.read():
                items = self._framer.feed(data)
                with self._room:
                    self._ahead += len(data)
                self._loop.call_soon_threadsafe(self._take, items, len(data))
                with self._room:
                    self._room.wait_for(lambda: self._stopped or self._ahead < _AHEAD)
                    if self._stopped:
                        return
        except OSError as error:
            logging.getLogger("outboard_plugin").error("reading stdin: %s", error)
        except RuntimeError:
            return  # The loop is closed.
        try:
            self._loop.call_soon_threadsafe(self._session.unplugged)
        except RuntimeError:
            pass

    def _take(self, items: list[Any], size: int) -> None:
        try:
            self._session.take(items)
        finally:
            with self._room:
                self._ahead -= size
                self._room.notify()

    def stop(self) -> None:
        with self._room:
            self._stopped = True
            self._room.notify()


@contextmanager
def _logs(plugin: Plugin[Any]) -> Iterator[None]:
    if not plugin._logging:
        yield
        return
    handler = HostHandler(plugin.host)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


@contextmanager
def _sigterm(loop: asyncio.AbstractEventLoop, session: Session, wanted: bool) -> Iterator[None]:
    """Makes SIGTERM a shutdown. An author's own handler is left alone.

    Python runs signal handlers on the main thread between two steps of the interpreter: never, while it is blocked
    in a system call or in C. The byte that the interpreter writes at once goes to a thread that does not depend
    on it, and that ends the process when nothing else does.
    """
    if (
        not wanted
        or threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return
    source, target = os.pipe()
    os.set_blocking(target, False)

    def watch() -> None:
        while number := os.read(source, 1):
            if number[0] == signal.SIGTERM:
                timer = threading.Timer(_AFTER_SIGTERM, os._exit, (128 + signal.SIGTERM,))
                timer.daemon = True
                timer.start()
                return

    before = signal.set_wakeup_fd(target, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(session.end))
    threading.Thread(target=watch, name="sigterm", daemon=True).start()
    try:
        yield
    finally:
        # SIGTERM now ends the process as it does by default: there is nothing left to be done.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.set_wakeup_fd(before)
