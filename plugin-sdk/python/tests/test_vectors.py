"""The vectors that every SDK passes.

`content-length` framing is left out: plugins speak one JSON object a line, and never read the other.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from outboard_plugin._frames import DEFAULT_MAX_FRAME, Frame, Framer, Item, Junk, Tail, TooLong
from outboard_plugin._messages import (
    ABSENT,
    Notification,
    OrphanError,
    Reject,
    Request,
    Response,
    decode,
)

VECTORS = Path(__file__).parents[2] / "protocol" / "vectors"


def cases(name: str) -> list[Any]:
    return [pytest.param(c, id=c["name"]) for c in json.loads((VECTORS / name).read_text())]


def chunk(spec: dict[str, Any]) -> bytes:
    if "repeat" in spec:
        return str(spec["repeat"]["text"]).encode() * int(spec["repeat"]["times"])
    return base64.b64decode(spec["base64"]) if "base64" in spec else str(spec["text"]).encode()


def shown(item: Item) -> dict[str, Any]:
    if isinstance(item, Frame):
        return {"frame": item.text}
    if isinstance(item, Junk):
        return {"junk": {"kind": item.kind, "bytes": item.bytes}}
    if isinstance(item, Tail):
        return {"tail": {"bytes": item.bytes}}
    assert isinstance(item, TooLong)
    return {"tooLong": {"bytes": item.bytes, **({} if item.id is None else {"id": item.id})}}


def test_there_are_vectors() -> None:
    newline = [
        c for c in json.loads((VECTORS / "framing.json").read_text()) if c["framing"] == "newline"
    ]
    assert len(newline) >= 30 and len(cases("messages.json")) >= 44


@pytest.mark.parametrize("cut", ["as given", "whole", "byte by byte"])
@pytest.mark.parametrize(
    "case", [c for c in cases("framing.json") if c.values[0]["framing"] == "newline"]
)
def test_framing(case: dict[str, Any], cut: str) -> None:
    chunks = [chunk(spec) for spec in case["chunks"]]
    if cut != "as given":
        chunks = [b"".join(chunks)]
    if cut == "byte by byte":
        chunks = [bytes([byte]) for byte in chunks[0]]
    framer = Framer(case.get("limits", {}).get("maxFrameBytes", DEFAULT_MAX_FRAME))
    items = [item for chunk in chunks for item in framer.feed(chunk)]
    if case["eof"]:
        items += framer.finish()
    assert [shown(item) for item in items] == case["expect"]


@pytest.mark.parametrize(
    "case", [c for c in cases("messages.json") if c.values[0]["level"] == "must"]
)
def test_messages(case: dict[str, Any]) -> None:
    message = decode(b"".join(map(chunk, case["input"])).decode().strip(" \t"))
    expect = case["expect"]
    if "request" in expect:
        assert isinstance(message, Request)
        assert {"id": message.id, "method": message.method, **given(message.params)} == expect[
            "request"
        ]
    elif "notification" in expect:
        assert isinstance(message, Notification)
        assert {"method": message.method, **given(message.params)} == expect["notification"]
    elif "response" in expect:
        assert isinstance(message, Response)
        want = dict(expect["response"])
        if want.get("result") == "@depth127":
            want["result"] = json.loads("[" * 127 + "]" * 127)
        got = {"result": message.result} if message.error is None else {"error": message.error}
        assert {"id": message.id, **got} == want
    elif "orphanError" in expect:
        assert isinstance(message, OrphanError)
        assert message.error == expect["orphanError"]
    else:
        assert isinstance(message, Reject)
        id = {} if message.id is None else {"id": message.id}
        assert {"reason": message.reason, **id} == expect["reject"]


def given(params: Any) -> dict[str, Any]:
    return {} if params is ABSENT else {"params": params}
