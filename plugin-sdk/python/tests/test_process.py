"""Plugins as processes: what only a real stdin, stdout and signal can show."""

from __future__ import annotations

import json
import os
import pty
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

HERE = Path(__file__).parent

# Generous: it only keeps a broken SDK from hanging the tests.
LONG = 30


def environment(**more: str) -> dict[str, str]:
    environ = {**os.environ, "PYTHONPATH": str(HERE.parent / "src"), **more}
    # What is printed before the import waits in a buffer then, and ends up in the log as well.
    environ.pop("PYTHONUNBUFFERED", None)
    return environ


class Process:
    def __init__(self, script: str = "rough.py", **env: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(OUTBOARD_PROTOCOL="1", **env),
            start_new_session=True,
        )
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.stdin = self.process.stdin
        self.stdout = self.process.stdout
        self.errors: queue.Queue[str] = queue.Queue()
        stderr = self.process.stderr
        self.listener = threading.Thread(
            target=lambda: [self.errors.put(line.decode().rstrip()) for line in stderr], daemon=True
        )
        self.listener.start()
        self.id = 0

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.stdin, self.stdout):
            try:
                pipe.close()
            except BrokenPipeError:
                pass
        self.listener.join()
        assert self.process.stderr
        self.process.stderr.close()

    def open(self) -> Process:
        opening = self.ask("initialize", {"protocolVersions": [1]})
        assert opening["result"]["name"] == "rough", opening
        self.send("initialized")
        return self

    def send(self, method: str, params: Any = None, id: int | None = None) -> None:
        frame = {"jsonrpc": "2.0", "method": method, "params": params or {}}
        if id is not None:
            frame["id"] = id
        self.stdin.write(json.dumps(frame).encode() + b"\n")
        self.stdin.flush()

    def start(self, method: str, params: Any = None) -> int:
        self.id += 1
        self.send(method, params, self.id)
        return self.id

    def frame(self) -> Any:
        while True:
            line = self.stdout.readline()
            assert line.endswith(b"\n"), f"{line!r}"
            frame = json.loads(line)
            if frame.get("method") != "$/log":
                return frame

    def ask(self, method: str, params: Any = None) -> Any:
        id = self.start(method, params)
        frame = self.frame()
        assert frame["id"] == id, frame
        return frame

    def says(self, words: str) -> None:
        """Waits for a line on stderr."""
        while words not in self.errors.get(timeout=LONG):
            pass

    def ends(self, seconds: float = LONG) -> int:
        return self.process.wait(seconds)


def test_prints_stay_off_the_wire() -> None:
    with Process() as plugin:
        plugin.open()
        assert plugin.ask("prints")["result"] == "stdin is at its end"
        for words in (
            "before the import",
            "after the import",
            "a stray print",
            "a stray write",
            "a stray child",
        ):
            plugin.says(words)
        assert plugin.errors.get(timeout=LONG) == "", "a child is no plugin"
        assert plugin.ask("ping")["result"] == {}


def test_a_failure_is_an_answer_and_the_plugin_lives_on() -> None:
    with Process() as plugin:
        plugin.open()
        assert plugin.ask("fail")["error"] == {
            "code": 1,
            "message": "ZeroDivisionError: division by zero",
            "data": {"class": "exception", "type": "ZeroDivisionError"},
        }
        assert plugin.ask("ping")["result"] == {}


def test_what_blocks_for_ever_is_cancelled_and_outlives_no_deadline() -> None:
    with Process() as plugin:
        plugin.open()
        id = plugin.start("forever")
        assert plugin.ask("ping")["result"] == {}
        plugin.send("$/cancel", {"id": id, "reason": "caller"})
        cancelled = plugin.frame()
        assert (cancelled["id"], cancelled["error"]["code"]) == (id, -32800)
        late = plugin.ask("forever", {"_meta": {"deadlineMs": 30}})
        assert late["error"]["code"] == -31002


def test_frames_of_eight_mebibytes() -> None:
    text = "x" * (8 << 20)
    with Process() as plugin:
        plugin.open()
        assert plugin.ask("size", {"text": text})["result"] == len(text)
        assert plugin.ask("echo", {"text": text})["result"] == {"text": text}


def test_twenty_thousand_pings_against_a_paused_reader() -> None:
    with Process() as plugin:
        plugin.open()
        first = plugin.id + 1
        # All of it is taken although nothing is read yet.
        lines = (
            f'{{"jsonrpc":"2.0","id":{first + n},"method":"ping","params":{{}}}}'
            for n in range(20_000)
        )
        plugin.stdin.write("\n".join(lines).encode() + b"\n")
        plugin.stdin.flush()
        assert [plugin.frame()["id"] - first for _ in range(20_000)] == list(range(20_000))


def test_drain_shutdown_exit() -> None:
    with Process() as plugin:
        plugin.open()
        assert plugin.ask("drain", {"deadlineMs": 2000})["result"] == {}
        assert plugin.ask("echo")["error"]["code"] == -31008
        assert plugin.ask("shutdown", {"deadlineMs": 2000})["result"] == {}
        plugin.says("farewell")
        plugin.send("exit")
        assert plugin.ends() == 0
        assert plugin.stdout.read() == b""


@pytest.mark.parametrize("opened", [True, False])
def test_the_end_of_stdin_is_the_end(opened: bool) -> None:
    with Process() as plugin:
        if opened:
            plugin.open()
        plugin.stdin.close()
        plugin.says("farewell")
        assert plugin.ends() == 0


@pytest.mark.parametrize("method", ["deaf", "forever"])
@pytest.mark.parametrize("how", ["exit", "eof", "term"])
def test_a_handler_that_blocks_keeps_no_plugin_alive(method: str, how: str) -> None:
    with Process() as plugin:
        plugin.open()
        plugin.start(method)
        assert plugin.ask("ping")["result"] == {}
        begin = time.monotonic()
        if how == "exit":
            plugin.send("exit")
        elif how == "eof":
            plugin.stdin.close()
        else:
            os.killpg(plugin.process.pid, signal.SIGTERM)
        assert plugin.ends() == 0
        # Leave and signal have 2 s and more of their own in the stop ladder.
        assert time.monotonic() - begin < 10


def test_sigterm_is_a_shutdown() -> None:
    with Process() as plugin:
        plugin.open()
        os.killpg(plugin.process.pid, signal.SIGTERM)
        plugin.says("farewell")
        assert plugin.ends() == 0


def test_sigterm_ends_a_plugin_whose_event_loop_is_blocked() -> None:
    with Process() as plugin:
        plugin.open()
        plugin.start("blocked")
        plugin.says("blocking")
        os.killpg(plugin.process.pid, signal.SIGTERM)
        assert plugin.ends() == 128 + signal.SIGTERM


def test_a_socket_can_carry_the_frames() -> None:
    import socket

    ours, theirs = socket.socketpair()
    environ = environment(OUTBOARD_PROTOCOL="1", OUTBOARD_RPC_FD=str(theirs.fileno()))
    plugin = subprocess.Popen(
        [sys.executable, str(HERE / "rough.py")],
        env=environ,
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    theirs.close()
    with ours:
        ours.settimeout(LONG)
        ours.sendall(b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{}}\n')
        assert json.loads(ours.makefile().readline())["result"] == {}
        ours.shutdown(socket.SHUT_WR)
        out, _ = plugin.communicate(timeout=LONG)
    assert plugin.returncode == 0 and out.startswith(b"before the import\nafter the import\n")


def test_a_terminal_is_told_what_this_is() -> None:
    main, terminal = pty.openpty()
    environ = environment()
    environ.pop("OUTBOARD_PROTOCOL", None)
    ended = subprocess.run(
        [sys.executable, str(HERE / "rough.py")],
        stdin=terminal,
        capture_output=True,
        env=environ,
        timeout=LONG,
    )
    os.close(main)
    os.close(terminal)
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"rough: this is an outboard plugin; a supervisor starts it")
