"""Lines to messages and back, without any I/O."""

from __future__ import annotations

import dataclasses
import json
from array import array
from enum import Enum
from itertools import accumulate
from typing import Any, NamedTuple, NoReturn, Union

from ._salvage import HEAD, TAIL, Id, is_id, salvage

DEFAULT_MAX_DEPTH = 128

_MAX_METHOD = 256

#: Stands for "no such member", which is not the same as null.
ABSENT: Any = object()


class Request(NamedTuple):
    id: Id
    method: str
    params: Any = ABSENT


class Notification(NamedTuple):
    method: str
    params: Any = ABSENT


class Response(NamedTuple):
    id: Id
    result: Any
    error: dict[str, Any] | None


class OrphanError(NamedTuple):
    """An error with a null id: the peer could not read something, and nobody can say what."""

    error: dict[str, Any]


class Reject(NamedTuple):
    """Why a frame is no message, and whose request it was, where that can be told."""

    reason: str
    id: Id | None = None
    request: bool = False


Message = Union[Request, Notification, Response, OrphanError, Reject]


def decode(text: str, max_depth: int = DEFAULT_MAX_DEPTH) -> Message:
    """Reads one frame. `max_depth` counts the outer object as 1."""
    if not depth_within(text, max_depth):
        line = text.encode("utf-8")
        found = salvage(line[:HEAD], line[-TAIL:])
        return Reject("depth", found.id, found.request)
    try:
        envelope = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return Reject("json")
    return _judge(envelope)


def _judge(envelope: dict[str, Any]) -> Message:
    raw_id = envelope.get("id", ABSENT)
    id = raw_id if is_id(raw_id) else None
    request = "method" in envelope

    def reject(reason: str) -> Reject:
        return Reject(reason, id, request)

    if envelope.get("jsonrpc") != "2.0":
        return reject("jsonrpc")
    result, error = envelope.get("result", ABSENT), envelope.get("error")
    if request:
        method = envelope["method"]
        if not isinstance(method, str) or not 1 <= len(_bytes(method)) <= _MAX_METHOD:
            return reject("method")
        if result is not ABSENT or "error" in envelope:
            return reject("shape")
        if id is None and raw_id is not ABSENT:
            return reject("id")
        params = envelope.get("params")
        if params is None:
            params = ABSENT
        elif not isinstance(params, (dict, list)):
            return reject("params")
        return Notification(method, params) if id is None else Request(id, method, params)
    if id is None and not (raw_id is None and error is not None):
        return reject("id")
    if error is None:
        return reject("shape") if id is None or result is ABSENT else Response(id, result, None)
    if result is not ABSENT and result is not None:
        return reject("shape")
    if not isinstance(error, dict) or type(error.get("code")) is not int:
        return reject("error")
    if not isinstance(error.get("message"), str):
        return reject("error")
    return OrphanError(error) if id is None else Response(id, None, error)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_STEPS = bytes(1 if c in b"{[" else 255 for c in range(256))
_NO_BRACKETS = bytes(c for c in range(256) if c not in b"{}[]")


def depth_within(text: str, max_depth: int) -> bool:
    """Whether brackets nest at most so deep. Looked at before any parser runs, whose stack is finite."""
    if text.count("{") + text.count("[") <= max_depth:
        return True
    # Without escapes every second piece between quotes is outside of strings.
    plain = text.replace("\\\\", "").replace('\\"', "")
    brackets = "".join(plain.split('"')[::2]).encode().translate(_STEPS, _NO_BRACKETS)
    return max(accumulate(array("b", brackets)), default=0) <= max_depth


def dump(value: Any) -> str:
    """JSON text on one line, ASCII only. Dataclasses are objects, enumerations their values.

    Raises TypeError or ValueError for what is no JSON: NaN and infinite numbers too.
    """
    return json.dumps(value, separators=(",", ":"), allow_nan=False, default=_plain)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"a {type(value).__name__} is no JSON")
