"""A host for one plugin process: sends lines, keeps all bytes that come back, and judges them at the end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

#: Seconds that a check waits unless the protocol says how long. Generous: it only keeps a broken plugin from hanging.
LONG = 30.0

NAME = re.compile(r"[A-Za-z0-9_$./:-]{1,128}")


class Peer:
    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        environ = {**os.environ, **env, "OUTBOARD_PROTOCOL": "1", "OUTBOARD_PLUGIN": "checked"}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environ,
            start_new_session=True,
        )
        assert self.process.stdin and self.process.stdout
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.bytes = bytearray()
        self.frames: list[dict[str, Any]] = []
        self.asked: dict[int, str] = {}
        self.id = 0
        self.news = threading.Condition()
        self.reading = threading.Event()
        self.reading.set()
        self.ended = False
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        done = 0
        while True:
            self.reading.wait()
            data = os.read(self.stdout.fileno(), 1 << 16)
            with self.news:
                self.bytes += data
                while (end := self.bytes.find(b"\n", done)) >= 0:
                    try:
                        self.frames.append(json.loads(self.bytes[done:end]))
                    except ValueError:
                        pass  # `judge` tells of it.
                    done = end + 1
                self.ended = not data
                self.news.notify_all()
            if not data:
                return

    def send(self, data: bytes) -> None:
        self.stdin.write(data)
        self.stdin.flush()

    def frame(self, method: str, params: Any = None, id: int | None = None) -> bytes:
        """A frame as the host writes them."""
        head = {"jsonrpc": "2.0"} if id is None else {"jsonrpc": "2.0", "id": id}
        whole = {**head, "method": method, "params": {} if params is None else params}
        return json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"

    def notify(self, method: str, params: Any = None) -> None:
        self.send(self.frame(method, params))

    def start(self, method: str, params: Any = None, id: int | None = None) -> int:
        self.id = self.id + 1 if id is None else id
        self.asked[self.id] = method
        self.send(self.frame(method, params, self.id))
        return self.id

    def answers(self, id: int) -> list[dict[str, Any]]:
        return [f for f in self.frames if "method" not in f and f.get("id") == id]

    def wait(self, so: Callable[[], Any], seconds: float = LONG) -> bool:
        with self.news:
            return bool(self.news.wait_for(lambda: so() or self.ended, seconds)) and bool(so())

    def answer(self, id: int, seconds: float = LONG) -> dict[str, Any]:
        assert self.wait(lambda: self.answers(id), seconds), f"no answer to {self.asked.get(id)}"
        return self.answers(id)[0]

    def ask(self, method: str, params: Any = None, id: int | None = None) -> dict[str, Any]:
        return self.answer(self.start(method, params, id))

    def open(self, **params: Any) -> dict[str, Any]:
        opening = {
            "protocolVersions": [1],
            "hostInfo": {"name": "checks", "version": "0"},
            "plugin": {"id": "checked", "instance": "checked-0", "generation": 1},
            "config": {},
            "capabilities": {
                "call": [],
                "publish": [],
                "events": True,
                "log": True,
                "progress": True,
            },
            "limits": {"maxFrameBytes": 16 << 20, "maxHostFrameBytes": 8 << 20, "maxDepth": 128},
            **params,
        }
        answer = self.ask("initialize", opening)
        self.notify("initialized")
        return answer

    def quiet(self, seconds: float = 0.3) -> bool:
        """Whether nothing but log lines comes for a while."""

        def said() -> int:
            return sum(frame.get("method") != "$/log" for frame in self.frames)

        before = said()
        return not self.wait(lambda: said() > before, seconds)

    def lives(self) -> bool:
        return "result" in self.ask("ping")

    def ends(self, seconds: float = LONG) -> int:
        return self.process.wait(seconds)

    def group_is_empty(self, seconds: float = 0.5) -> bool:
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            try:
                os.killpg(self.process.pid, 0)
            except ProcessLookupError:
                return True
            time.sleep(0.01)
        return False

    def close(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.reading.set()
        self.reader.join()
        self.stdout.close()
        try:
            self.stdin.close()
        except BrokenPipeError:
            pass

    def judge(self) -> list[str]:
        """C23 to C26 and C29 of what was written so far. A last line may be cut off when the process was killed."""
        wrong = []
        if self.bytes.startswith(b"\xef\xbb\xbf"):
            wrong.append("C24: a BOM")
        seen = set()
        lines = bytes(self.bytes).split(b"\n")
        if lines.pop():
            wrong.append("C24: a frame without its line feed")
        for line in lines:
            try:
                frame = json.loads(line.decode("utf-8"))
            except ValueError:
                wrong.append(f"C23: {line[:80]!r}")
                continue
            if frame.get("jsonrpc") != "2.0":
                wrong.append(f"C25: {line[:80]!r}")
            if "method" in frame:
                if not NAME.fullmatch(frame["method"]) or "result" in frame or "error" in frame:
                    wrong.append(f"C25: {line[:80]!r}")
                continue
            if ("result" in frame) == ("error" in frame):
                wrong.append(f"C25: {line[:80]!r}")
            if frame["id"] in seen or frame["id"] not in self.asked:
                wrong.append(f"C26: {line[:80]!r}")
            seen.add(frame["id"])
            code = frame.get("error", {}).get("code", 1)
            if -32768 <= code <= -32000 and not -32700 <= code <= -32600:
                wrong.append(f"C29: {code}")
        return wrong
