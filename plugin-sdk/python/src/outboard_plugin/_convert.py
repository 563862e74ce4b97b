"""JSON values to the types of an author's annotations, and those types as JSON Schema.

Known are the plain types, `Any`, `Optional` and unions, `list`, `tuple[T, ...]`, `dict[str, T]`, `Literal`,
enumerations, `TypedDict`s and dataclasses, nested as one likes. Anything else is passed on as it came.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


class ConvertError(ValueError):
    """A value is not of the type: says where, what was wanted and what is there."""


def from_json(kind: Any, value: Any, where: str = "value") -> Any:
    """`value` as a `kind`."""
    if kind is Any or kind is object:
        return value
    if kind is None or kind is type(None):
        return _want(value is None, value, where, "null", None)
    if kind is bool:
        return _want(isinstance(value, bool), value, where, "a boolean", value)
    if kind is int:
        return _want(type(value) is int, value, where, "an integer", value)
    if kind is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return _want(number, value, where, "a number", float(value) if number else 0)
    if kind is str:
        return _want(isinstance(value, str), value, where, "a string", value)
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _one_of(args, value, where)
    if origin is Literal:
        wanted = "one of " + ", ".join(map(repr, args))
        return _want(
            any(value == a and type(value) is type(a) for a in args), value, where, wanted, value
        )
    if kind in (list, tuple) or origin in (list, tuple):
        _want(isinstance(value, list), value, where, "an array", value)
        inner = args[0] if args else Any
        items = [from_json(inner, item, f"{where}[{i}]") for i, item in enumerate(value)]
        return tuple(items) if (origin or kind) is tuple else items
    if kind is dict or origin is dict:
        _want(isinstance(value, dict), value, where, "an object", value)
        inner = args[1] if args else Any
        return {key: from_json(inner, item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(kind, type) and issubclass(kind, Enum):
        wanted = "one of " + ", ".join(repr(member.value) for member in kind)
        _want(any(value == member.value for member in kind), value, where, wanted, value)
        return kind(value)
    if dataclasses.is_dataclass(kind) or typing.is_typeddict(kind):
        return _record(kind, value, where)
    return value


def _record(kind: Any, value: Any, where: str) -> Any:
    _want(isinstance(value, dict), value, where, "an object", value)
    hints = get_type_hints(kind)
    required = _required(kind)
    for name in required:
        if name not in value:
            raise ConvertError(f"{where}.{name} is missing")
    for name in value:
        if name not in hints:
            raise ConvertError(f"{where}.{name} is unknown; there are: {', '.join(hints)}")
    members = {
        name: from_json(hints[name], item, f"{where}.{name}") for name, item in value.items()
    }
    return members if typing.is_typeddict(kind) else kind(**members)


def _required(kind: Any) -> list[str]:
    if typing.is_typeddict(kind):
        return sorted(kind.__required_keys__)
    return [
        field.name
        for field in dataclasses.fields(kind)
        if field.init
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]


def _one_of(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    problems = []
    for kind in kinds:
        try:
            return from_json(kind, value, where)
        except ConvertError as error:
            problems.append(str(error))
    # With null aside there is mostly one type left, and its problem is the one to tell.
    others = [p for kind, p in zip(kinds, problems) if kind is not type(None)]
    raise ConvertError(others[0] if len(others) == 1 else "; or ".join(problems))


def _want(is_so: bool, value: Any, where: str, wanted: str, result: Any) -> Any:
    if not is_so:
        raise ConvertError(f"{where}: {wanted} was expected, found {_name(value)}")
    return result


def _name(value: Any) -> str:
    if value is None:
        return "null"
    for kinds, name in ((bool, "a boolean"), ((int, float), "a number"), (str, "a string")):
        if isinstance(value, kinds):
            return name
    return "an array" if isinstance(value, list) else "an object"


def schema(kind: Any) -> dict[str, Any] | None:
    """JSON Schema of `kind`, or None where there is nothing to say about it."""
    simple = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
    if kind is None or kind in simple:
        return {"type": simple[kind if kind is not None else type(None)]}
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        options = [schema(arg) for arg in args]
        return None if None in options else {"anyOf": options}
    if origin is Literal:
        return {"enum": list(args)}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"enum": [member.value for member in kind]}
    if kind in (list, tuple) or origin in (list, tuple):
        return _with({"type": "array"}, "items", schema(args[0]) if args else None)
    if kind is dict or origin is dict:
        return _with({"type": "object"}, "additionalProperties", schema(args[1]) if args else None)
    if dataclasses.is_dataclass(kind) or typing.is_typeddict(kind):
        properties = {name: schema(hint) or {} for name, hint in get_type_hints(kind).items()}
        return {
            "type": "object",
            "properties": properties,
            "required": _required(kind),
            "additionalProperties": False,
        }
    return None


def _with(base: dict[str, Any], name: str, inner: dict[str, Any] | None) -> dict[str, Any]:
    return base if inner is None else {**base, name: inner}
