"""Finding the id of a message that cannot be read whole.

A request that is too long or too deep must be answered, and not left to its deadline. What is known of such a
line is its beginning and its end.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple, Union

HEAD = 4096
TAIL = 256

MAX_INTEGER = 2**53 - 1
MAX_TEXT_ID = 256

Id = Union[int, str]

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
_LAST_ID = re.compile(
    rb'[,{]\s*"id"\s*:\s*(-?[0-9]+|"[^"\\]*")\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*\Z'
)


class Salvaged(NamedTuple):
    id: Id | None
    request: bool


def is_id(value: object) -> bool:
    """An integer that every language can hold, or a short text."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass")) <= MAX_TEXT_ID
    return type(value) is int and -MAX_INTEGER <= value <= MAX_INTEGER


def salvage(head: bytes, tail: bytes) -> Salvaged:
    """Looks for an `id` of the outer object in the head, else for one as the last member in the tail.

    The second is sound: what stands before the last brace belongs to the outer object.
    """
    text = head.decode("utf-8", "replace")
    at = _skip(text, 0)
    if not text.startswith("{", at):
        return Salvaged(None, False)
    found: Id | None = None
    request = False
    at += 1
    try:
        while True:
            at = _skip(text, at)
            if text[at] == "}":
                return Salvaged(found, request)
            name, at = _DECODER.raw_decode(text, at)
            at = _skip(text, at)
            if text[at] != ":":
                break
            if name == "method":
                request = True
            value, at = _DECODER.raw_decode(text, _skip(text, at + 1))
            at = _skip(text, at)
            # Also shows that a number was not cut off by the end of the head.
            if text[at] not in ",}":
                break
            if name == "id" and found is None and is_id(value):
                found = value
            at += text[at] == ","
    except (ValueError, IndexError, RecursionError):
        pass  # The head ends here, or what can be understood of it.
    return Salvaged(_id_in_tail(tail) if found is None else found, request)


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return at if space is None else space.end()


def _id_in_tail(tail: bytes) -> Id | None:
    last = _LAST_ID.search(tail)
    if last is None:
        return None
    try:
        value = json.loads(last.group(1))
    except ValueError:
        return None
    return value if is_id(value) else None
