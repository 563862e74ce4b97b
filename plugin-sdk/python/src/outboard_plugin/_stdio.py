"""The process's own stdin and stdout, taken away from everybody else."""

from __future__ import annotations

import os
import sys
from typing import Protocol

_READ = 64 << 10


class Wire(Protocol):
    """Where frames come from and go to. Both calls block; bytes that were read are never empty but at the end."""

    def read(self) -> bytes: ...

    def write(self, data: bytes) -> None: ...


class _Descriptors:
    def __init__(self, source: int, target: int) -> None:
        self._source = source
        self._target = target

    def read(self) -> bytes:
        return os.read(self._source, _READ)

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._target, rest) :]


_taken: Wire | None = None


def take() -> Wire:
    """Private descriptors for frames. From now on number 0 is at its end, and number 1 is stderr.

    That holds for `print`, C libraries and child processes alike. The second time it gives the same.
    """
    global _taken
    if _taken is None:
        _taken = _take_socket(os.environ.pop("OUTBOARD_RPC_FD", "")) or _take_pipes()
        # What this process starts is no plugin, even where it imports this package.
        os.environ.pop("OUTBOARD_PROTOCOL", None)
    return _taken


def take_if_supervised() -> None:
    """At import, under a supervisor: so that nothing which runs later can print between the frames."""
    if "OUTBOARD_PROTOCOL" in os.environ:
        take()


def _take_socket(number: str) -> Wire | None:
    if not number.isdecimal():
        return None
    descriptor = int(number)
    os.set_inheritable(descriptor, False)
    return _Descriptors(descriptor, descriptor)


def _take_pipes() -> Wire:
    source, target = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    for descriptor in (source, target):
        os.set_blocking(descriptor, True)
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        # Not flushed: what waits there was printed, and belongs to the log as well.
        reconfigure(line_buffering=True)
    return _Descriptors(source, target)


def refuse_terminal(name: str) -> None:
    """Ends a plugin that somebody started by hand, with a word on what it is."""
    if _taken is None and "OUTBOARD_RPC_FD" not in os.environ and os.isatty(0):
        sys.exit(
            f"{name}: this is an outboard plugin; a supervisor starts it and speaks to it on stdin.\n"
            "Name its command in a manifest, then type: outboard run FOLDER-OF-THE-MANIFEST"
        )
