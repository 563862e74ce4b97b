"""Bytes to lines: the framing of the protocol, without any I/O.

What comes out never depends on how the bytes were cut into reads, and no more is kept of a line than the
limit and a little.
"""

from __future__ import annotations

from typing import NamedTuple, Union

from ._salvage import HEAD, TAIL, Id, salvage

DEFAULT_MAX_FRAME = 16 << 20

_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t"


class Frame(NamedTuple):
    """A line that begins with `{`. Whether it is a message is the decoder's business."""

    text: str


class Junk(NamedTuple):
    """A line that is no frame: `text`, `batch` or `utf8`."""

    kind: str
    bytes: int


class TooLong(NamedTuple):
    """A line beyond the limit. `request` says that it had a method, so that its id is the peer's own."""

    bytes: int
    id: Id | None
    request: bool


class Tail(NamedTuple):
    """What was left at the end of input, without a line feed. It is never acted upon."""

    bytes: int


Item = Union[Frame, Junk, TooLong, Tail]


class Framer:
    """Cuts a stream at its line feeds, and at nothing else."""

    def __init__(self, max_frame: int = DEFAULT_MAX_FRAME) -> None:
        self.max_frame = max_frame
        self._first = True
        self._line = bytearray()
        # Set while a line too long to keep goes by.
        self._skipped: int | None = None
        self._head = b""
        self._tail = b""

    def feed(self, data: bytes) -> list[Item]:
        """Takes what was read, and gives what is complete."""
        items: list[Item] = []
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._keep(data[start:end])
            if (item := self._end_line()) is not None:
                items.append(item)
            start = end + 1
        if start < len(data):
            self._keep(data[start:])
        return items

    def finish(self) -> list[Item]:
        """At the end of input."""
        left = len(self._line) if self._skipped is None else self._skipped
        return [Tail(left)] if left else []

    def _keep(self, part: bytes) -> None:
        if self._skipped is not None:
            self._skipped += len(part)
            self._tail = (self._tail + part[-TAIL - 1 :])[-TAIL - 1 :]
            return
        self._line += part
        # A carriage return and a byte order mark do not count, and may still be told from the rest.
        if len(self._line) > self.max_frame + 1 + len(_BOM):
            self._skipped = len(self._line)
            self._head = bytes(self._line[: HEAD + len(_BOM)])
            self._tail = bytes(self._line[-TAIL - 1 :])
            self._line = bytearray()

    def _end_line(self) -> Item | None:
        first, self._first = self._first, False
        if self._skipped is not None:
            size, head, tail = self._skipped, self._head, self._tail
            self._skipped, self._head, self._tail = None, b"", b""
            if first and head.startswith(_BOM):
                size, head = size - len(_BOM), head[len(_BOM) :]
            if tail.endswith(b"\r"):
                size, tail = size - 1, tail[:-1]
            return self._too_long(size, head, tail)
        line = bytes(self._line)
        self._line = bytearray()
        if first and line.startswith(_BOM):
            line = line[len(_BOM) :]
        if line.endswith(b"\r"):
            line = line[:-1]
        if len(line) > self.max_frame:
            return self._too_long(len(line), line, line)
        return _judge(line)

    @staticmethod
    def _too_long(size: int, head: bytes, tail: bytes) -> TooLong:
        found = salvage(head[:HEAD], tail[-TAIL:])
        return TooLong(size, found.id, found.request)


def _judge(line: bytes) -> Item | None:
    trimmed = line.strip(_BLANK)
    if not trimmed:
        return None
    try:
        text = trimmed.decode("utf-8")
    except UnicodeDecodeError:
        return Junk("utf8", len(line))
    if text[0] == "{":
        return Frame(text)
    return Junk("batch" if text[:2] in ("[{", "[]") else "text", len(line))
