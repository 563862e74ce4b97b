"""A handler as the SDK sees it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ._convert import ConvertError, from_json, schema
from .errors import InvalidParams

_LEGAL = re.compile(r"[A-Za-z0-9_$./:-]{1,128}")
_RESERVED = ("initialize", "initialized", "ping", "shutdown", "exit", "drain", "event")
_PREFIXES = ("config/", "host/", "$/")


@dataclass(frozen=True)
class Method:
    handler: Callable[..., Any]
    is_async: bool
    #: How many of params and call it takes.
    takes: int
    params_type: Any
    about: dict[str, Any]

    @classmethod
    def of(
        cls,
        handler: Callable[..., Any],
        *,
        idempotent: bool,
        timeout: float | None,
        description: str | None,
        params: dict[str, Any] | None,
        result: dict[str, Any] | None,
    ) -> Method:
        takes, params_type = _shape(handler)
        about: dict[str, Any] = {}
        params_schema = params if params is not None else schema(params_type)
        if params_schema is not None:
            about["params"] = params_schema
        if result is not None:
            about["result"] = result
        if idempotent:
            about["idempotent"] = True
        if timeout is not None:
            about["timeoutMs"] = int(timeout * 1000)
        words = (
            description or inspect.getdoc(handler) if inspect.isroutine(handler) else description
        )
        if words:
            about["description"] = words
        return cls(handler, is_async(handler), takes, params_type, about)

    def arguments(self, params: Any, call: Any) -> tuple[Any, ...]:
        """What the handler is called with. Raises InvalidParams."""
        if self.takes == 0:
            return ()
        try:
            value = from_json(self.params_type, params, "params")
        except ConvertError as error:
            raise InvalidParams(str(error)) from None
        return (value, call)[: self.takes]


def check_name(name: str) -> None:
    """Raises ValueError for a name that a plugin's method cannot have."""
    if not _LEGAL.fullmatch(name):
        raise ValueError(f"{name!r} cannot be a method's name: 1 to 128 of A-Z a-z 0-9 _ $ . / : -")
    if is_reserved(name):
        raise ValueError(f"{name!r} is the protocol's own")


def is_reserved(name: str) -> bool:
    """Whether a name is the protocol's own, and never an author's."""
    return name in _RESERVED or name.startswith(_PREFIXES)


def is_async(act: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(act) or inspect.iscoroutinefunction(
        getattr(act, "__call__", None)
    )


def _shape(handler: Callable[..., Any]) -> tuple[int, Any]:
    signature = inspect.signature(handler, eval_str=True)
    places = [
        p
        for p in signature.parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    many = any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values())
    if sum(p.default is p.empty for p in places) > 2:
        raise TypeError("a handler takes (), (params) or (params, call)")
    first = places[0].annotation if places else Any
    return 2 if many else min(len(places), 2), Any if first is inspect.Parameter.empty else first
