"""The protocol's schema, held against the vectors, its page, and what a supervisor and a plugin of each SDK really say.

Run by `plugin-sdk/test`. CHECK_PLUGINS and OUTBOARD are as in `test_misbehaving`.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import unittest
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator as Validator

from supervised import COMMANDS, OUTBOARD, Supervised

PROTOCOL = Path(__file__).resolve().parents[1] / "protocol"
SCHEMA: dict[str, Any] = json.loads((PROTOCOL / "schema" / "1.json").read_text())

#: What a decoder has to reject and no schema can see, as the page says.
UNSEEN = {
    "truncated": "no JSON",
    "trailing-garbage": "no JSON",
    "two-objects-one-line": "no JSON",
    "nan-literal": "no JSON",
    "depth-over-cap": "nesting",
    "depth-far-over-cap": "nesting",
    "duplicate-id": "most parsers keep one of them",
}

#: Methods that a session has to have had.
EXPECTED = {
    "host": "initialize initialized ping event $/cancel config/changed drain shutdown exit echo",
    "plugin": "$/log $/status $/progress host/call host/info host/publish",
}


#: What has members of somebody else's.
OPEN = {"Payload", "PingResult"}


def closed(schema: Any) -> Any:
    """The same, with members that it does not name refused: what our own sides say, it has to name."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: part if name in OPEN else closed(part) for name, part in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        inner.setdefault("additionalProperties", False)
    return inner


CLOSED = closed(SCHEMA["$defs"])


def part(name: str) -> Validator:
    """One of the definitions."""
    return Validator({"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]})


def exactly(schema: dict[str, Any]) -> Validator:
    """As the definitions that it refers to, closed."""
    return Validator({**schema, "$defs": CLOSED})


def problems(validator: Validator, value: Any) -> list[str]:
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(value)]


class Vectors(unittest.TestCase):
    def test_it_is_a_schema(self) -> None:
        Validator.check_schema(SCHEMA)
        text = json.dumps(SCHEMA)
        for name in re.findall(r'"#/\$defs/(\w+)"', text):
            self.assertIn(name, SCHEMA["$defs"])
        for name in SCHEMA["$defs"].keys() - {"HostMessage", "PluginMessage", "Message"}:
            # What only people and generators want is reached from nowhere else.
            if name != "HostErrorData" and not name.endswith(("Result", "Request", "Notification")):
                self.assertIn(f'"#/$defs/{name}"', text, "a definition that nothing uses")

    def test_messages_fit_where_they_decode(self) -> None:
        message = part("Message")
        for case in json.loads((PROTOCOL / "vectors" / "messages.json").read_text()):
            name, is_message = case["name"], "reject" not in case["expect"]
            with self.subTest(name):
                if name in UNSEEN:
                    self.assertFalse(is_message)
                    continue
                frame = json.loads(b"".join(map(chunk, case["input"])))
                self.assertEqual(problems(message, frame) == [], is_message, name)

    def test_it_has_what_the_page_has(self) -> None:
        page = (PROTOCOL / "README.md").read_text()
        codes = {code["const"] for code in SCHEMA["$defs"]["ErrorCode"]["oneOf"]}
        told = {-int(code) for code in re.findall(r"^\| −(\d{5}) \|", page, re.MULTILINE)}
        self.assertEqual(told, {code for code in codes if code > -32000 or code == -32800})
        for method in SCHEMA["x-methods"]:
            self.assertIn(f"{method}", page)
        for name in UNSEEN:
            self.assertIn(f"`{name}`", page)
        for line in re.findall(r'^\{"jsonrpc".*\}$', page, re.MULTILINE):
            self.assertEqual(problems(Validator(SCHEMA), json.loads(line)), [], line)


def chunk(part: dict[str, Any]) -> bytes:
    if "repeat" in part:
        return (part["repeat"]["text"] * part["repeat"]["times"]).encode()
    return part["text"].encode() if "text" in part else base64.b64decode(part["base64"])


class Traffic(Supervised):
    """All that passes between the supervisor and a plugin of each SDK, in a session with everything in it."""

    manifest = '[permissions]\ncall = ["*.echo"]\npublish = ["checked.*"]\n[config]\nn = 1\n'
    recorded = True

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [OUTBOARD, *words], env=self.env, capture_output=True, text=True, check=False
        )

    def test_what_is_said_fits(self) -> None:
        for language in COMMANDS:
            other = "python" if language != "python" else "go"
            # An event goes to everybody else.
            talked = self.call("call", language, "talks", json.dumps({"to": other}))
            self.assertEqual((talked.stdout, talked.returncode), (f"{len(COMMANDS) - 1}\n", 0), talked)
            watched = '{"to": 2, "_meta": {"progressToken": "t"}}'
            counted = self.call("call", language, "count", watched)
            self.assertEqual(counted.stdout, "2\n")
            self.assertEqual(self.call("call", language, "fails", "{}").returncode, 1)
            late = self.call("call", language, "slow", "{}", "--deadline", "50ms")
            self.assertEqual(late.returncode, 5)
            self.assertEqual(self.call("notify", language, "echo", "{}").returncode, 0)
            self.assertEqual(self.call("health", language).returncode, 0)
            manifest = self.folder / "manifests" / f"{language}.toml"
            manifest.write_text(manifest.read_text().replace("n = 1", "n = 2"))
        reloaded = self.call("reload")
        self.assertEqual(reloaded.returncode, 0, reloaded)
        self.assertEqual(self.call("shutdown").returncode, 0)
        self.supervisor.wait()
        for language in COMMANDS:
            with self.subTest(language):
                self.judge(language)

    def judge(self, language: str) -> None:
        said = {side: self.frames(language, side) for side in ("host", "plugin")}
        seen = {side: self.fits(said, side) for side in said}
        for side, names in EXPECTED.items():
            self.assertEqual(set(names.split()) - seen[side], set())

    def fits(self, said: dict[str, list[Any]], side: str) -> set[str]:
        """The methods that a side has named; every frame of it fits, and so does what each request came to."""
        other = "plugin" if side == "host" else "host"
        answers = {frame["id"]: frame for frame in said[other] if "method" not in frame}
        which = "HostMessage" if side == "host" else "PluginMessage"
        message = exactly({"$ref": f"#/$defs/{which}"})
        for frame in said[side]:
            self.assertEqual(problems(message, frame), [], frame)
            about = SCHEMA["x-methods"].get(frame.get("method"))
            if about is None or "id" not in frame:
                continue
            self.assertEqual(about["from"], side)
            answer = answers[frame["id"]]
            if "result" in answer:
                result = exactly(about["result"])
                self.assertEqual(problems(result, answer["result"]), [], answer)
        return {frame["method"] for frame in said[side] if "method" in frame}

    def frames(self, language: str, side: str) -> list[Any]:
        text = (self.folder / f"{language}.{side}").read_text()
        return [json.loads(line) for line in text.split("\n") if line]


if __name__ == "__main__":
    unittest.main()
