"""What handlers fail with, and what calls to others fail with."""

from __future__ import annotations

from typing import Any

INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL = -32603
DEADLINE = -31002
OVERLOADED = -31004
TOO_LARGE = -31005
SHUTTING_DOWN = -31008
NOT_READY = -31009
UNSUPPORTED_PROTOCOL = -31010
CANCELLED = -32800
APPLICATION = 1


class PluginError(Exception):
    """An error answer: a code, a sentence, and data if there is any.

    Raise one in a handler to choose what the caller gets; a call to another plugin raises one when it is
    answered with an error. `code` is any integer outside -32768…-32000 and -31099…-31000, which belong to
    JSON-RPC and to the host.
    """

    def __init__(self, message: str, *, code: int = APPLICATION, data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.data = data

    @property
    def retryable(self) -> bool:
        """Whether the host says that the same call may be tried again."""
        return isinstance(self.data, dict) and self.data.get("retryable") is True

    @property
    def error_class(self) -> str | None:
        """The host's word for what went wrong, such as `backoff` or `in_flight`."""
        return self.data.get("class") if isinstance(self.data, dict) else None

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"


class InvalidParams(PluginError):
    """The params are JSON and still wrong: -32602."""

    def __init__(self, message: str, *, data: Any = None) -> None:
        super().__init__(message, code=INVALID_PARAMS, data=data)


class Cancelled(PluginError):
    """The caller has gone, or the deadline has passed: what a handler on a thread raises when it notices."""

    def __init__(self, message: str = "cancelled", *, code: int = CANCELLED) -> None:
        super().__init__(message, code=code)


class HostGone(PluginError):
    """The host ended while a request to it was open."""

    def __init__(self) -> None:
        super().__init__("the host has gone", code=SHUTTING_DOWN)
