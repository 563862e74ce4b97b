"""The list of the protocol's §9, held against a plugin of each SDK.

Run by `plugin-sdk/test`, which builds the plugins. CHECK_PLUGINS is a JSON object of their commands by language.
A check has the number that the list gives it; C23 to C26 and C29 are looked at after every other one.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path
from typing import Any

from peer import LONG, NAME, Peer

SDK = Path(__file__).resolve().parents[1]
ENV = {"PYTHONPATH": str(SDK / "python" / "src")}


class Checks:
    command: list[str]

    def setUp(self) -> None:
        self.peer = self.start()

    def start(self) -> Peer:
        peer = Peer(self.command, ENV)
        self.addCleanup(self.end, peer)
        return peer

    def end(self, peer: Peer) -> None:
        peer.close()
        self.assertEqual(peer.judge(), [])

    def opened(self) -> Peer:
        self.assertIn("result", self.peer.open())
        return self.peer

    def test_c01_c03_c05_the_opening(self) -> None:
        result = self.peer.open()["result"]
        self.assertEqual(result["protocolVersion"], 1)
        self.assertEqual((result["name"], result["version"]), ("checked", "1.0.0"))
        for name, about in result["methods"].items():
            self.assertTrue(NAME.fullmatch(name))
            self.assertIsInstance(about, dict)
        self.assertGreaterEqual(result["concurrency"], 1)
        self.assertTrue(all(type(value) is bool for value in result["supports"].values()))

    def test_c02_versions_and_members_of_the_future(self) -> None:
        answer = self.peer.open(protocolVersions=[999, 1], future={"a": []})
        self.assertEqual(answer["result"]["protocolVersion"], 1)

    def test_c04_no_common_version(self) -> None:
        error = self.peer.open(protocolVersions=[999])["error"]
        self.assertEqual((error["code"], error["data"]), (-31010, {"supported": [1]}))

    def test_c06_initialized_has_no_answer(self) -> None:
        self.assertTrue(self.opened().quiet())

    def test_c07_it_waits_to_be_spoken_to(self) -> None:
        self.assertTrue(self.peer.quiet(1.0))
        self.assertEqual(bytes(self.peer.bytes), b"")
        self.assertIsNone(self.peer.process.poll())

    def test_c08_c09_ping(self) -> None:
        peer = self.opened()
        times = []
        for _ in range(100):
            begin = time.monotonic()
            self.assertEqual(peer.ask("ping")["result"], {})
            times.append(time.monotonic() - begin)
        # The list says 50 ms for the 99th of 100, on a machine that does nothing else.
        self.assertLess(sorted(times)[50], 0.05)

    def test_c10_a_method_that_it_has_not(self) -> None:
        peer = self.opened()
        self.assertEqual(peer.ask("no/such")["error"]["code"], -32601)
        self.assertTrue(peer.lives())

    def test_c11_to_c14_what_wants_no_answer(self) -> None:
        peer = self.opened()
        peer.notify("no/such")
        peer.notify("$/nope")
        peer.notify("$/cancel", {"id": 4711, "reason": "caller"})
        peer.notify(
            "event", {"topic": "x", "seq": 1, "source": "y", "timeMs": 1, "missed": 0, "data": 1}
        )
        peer.send(b'{"jsonrpc":"2.0","id":99,"result":{}}\n')
        self.assertTrue(peer.quiet())
        self.assertTrue(peer.lives())

    def test_c15_configuration(self) -> None:
        answer = self.opened().ask("config/changed", {"config": {}, "revision": 2})
        self.assertEqual(answer["result"], {"applied": True})

    def test_c16_pings_in_one_write(self) -> None:
        peer = self.opened()
        ids = range(1000, 1100)
        peer.asked.update((id, "ping") for id in ids)
        peer.send(b"".join(peer.frame("ping", id=id) for id in ids))
        self.assertTrue(peer.wait(lambda: all(peer.answers(id) for id in ids)))
        self.assertTrue(peer.quiet())

    def test_c17_ids_are_echoed(self) -> None:
        peer = self.opened()
        # 1 was the opening's.
        for id in (2, 2147483647):
            self.assertEqual(peer.ask("ping", id=id)["id"], id)

    def test_c18_a_frame_in_three_writes(self) -> None:
        peer = self.opened()
        peer.asked[7] = "ping"
        frame = peer.frame("ping", id=7)
        for part in (frame[:9], frame[9:30], frame[30:]):
            peer.send(part)
            time.sleep(0.05)
        self.assertEqual(peer.answer(7)["result"], {})

    def test_c19_c20_padded_pings(self) -> None:
        peer = self.opened()
        for size in (1 << 20, 8 << 20):
            padding = {"padding": "x" * (size - 100)}
            self.assertIn("result", peer.ask("ping", padding))

    def test_c21_difficult_text(self) -> None:
        text = 'a\u2028b\u0085c\U0001f980 "quoted" \\ ,"params":{"id":5} \x00 end'
        answer = self.opened().ask("echo", {"text": text, "n": [1, 2.5, None]})
        self.assertEqual(answer["result"], {"text": text, "n": [1, 2.5, None]})

    def test_c22_meta_changes_nothing(self) -> None:
        peer = self.opened()
        meta = {
            "deadlineMs": 5000,
            "caller": "cli",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "future": {"a": 1},
        }
        for params in ({"a": 1}, {}):
            answer = peer.ask("echo", {**params, "_meta": meta})
            self.assertEqual(answer["result"], params)

    def test_c27_params_of_the_wrong_type(self) -> None:
        peer = self.opened()
        for params in ({"a": "x", "b": 1}, {}, {"a": 1, "b": {}}):
            self.assertEqual(peer.ask("add", params)["error"]["code"], -32602)
        self.assertEqual(peer.ask("add", {"a": 2, "b": 40})["result"], 42)

    def test_c28_a_method_without_params(self) -> None:
        peer = self.opened()
        peer.answer(peer.start("add", {}), 5)
        self.assertIsNone(peer.process.poll())

    def test_c30_pings_while_nothing_is_read(self) -> None:
        peer = self.opened()
        ids = range(1000, 21_000)
        peer.reading.clear()
        peer.start("ping")  # What the reader waits for already.
        begin = time.monotonic()
        peer.send(b"".join(peer.frame("ping", id=id) for id in ids))
        time.sleep(max(0.0, 1.5 - (time.monotonic() - begin)))
        peer.asked.update((id, "ping") for id in ids)
        peer.reading.set()
        self.assertTrue(peer.wait(lambda: len(peer.frames) >= 20_002, 2 * LONG), len(peer.frames))

    def test_c31_what_is_not_json(self) -> None:
        peer = self.opened()
        peer.send(b'not json\n{"half\n')
        self.assertTrue(peer.lives())

    def test_c32_a_call_is_cancelled(self) -> None:
        peer = self.opened()
        id = peer.start("slow")
        self.assertTrue(peer.lives())
        peer.notify("$/cancel", {"id": id, "reason": "caller"})
        self.assertEqual(peer.answer(id, 2)["error"]["code"], -32800)

    def test_c33_c34_c39_shutdown_and_exit(self) -> None:
        peer = self.opened()
        self.assertIn("result", peer.ask("drain", {"deadlineMs": 2000}))
        self.assertIn("result", peer.answer(peer.start("shutdown", {"deadlineMs": 2000}), 2))
        self.assertEqual(peer.ask("echo")["error"]["code"], -31008)
        peer.notify("exit")
        self.assertEqual(peer.ends(2), 0)
        self.assertTrue(peer.group_is_empty())

    def test_c35_stdin_is_closed(self) -> None:
        peer = self.opened()
        peer.stdin.close()
        self.assertEqual(peer.ends(2), 0)
        self.assertTrue(peer.group_is_empty())

    def test_c36_sigterm(self) -> None:
        peer = self.opened()
        os.killpg(peer.process.pid, signal.SIGTERM)
        self.assertEqual(peer.ends(2), 0)
        self.assertTrue(peer.group_is_empty())

    def test_c37_stdin_is_closed_before_the_opening(self) -> None:
        self.assertTrue(self.peer.lives())
        self.peer.stdin.close()
        self.assertEqual(self.peer.ends(2), 0)
        self.assertTrue(self.peer.group_is_empty())

    def test_c40_progress(self) -> None:
        peer = self.opened()
        id = peer.start("count", {"to": 5, "_meta": {"progressToken": "tok"}})
        self.assertEqual(peer.answer(id)["result"], 5)
        self.assertTrue(peer.quiet())
        told = [f["params"] for f in peer.frames if f.get("method") == "$/progress"]
        self.assertEqual([t["token"] for t in told], ["tok"] * 5)
        self.assertEqual([t["progress"] for t in told], [1, 2, 3, 4, 5])
        self.assertNotIn("method", peer.frames[-1])

    def test_a_terminal_is_told_what_this_is(self) -> None:
        main, terminal = os.openpty()
        environ = {**os.environ, **ENV}
        environ.pop("OUTBOARD_PROTOCOL", None)
        ended = subprocess.run(
            self.command,
            stdin=terminal,
            capture_output=True,
            env=environ,
            timeout=LONG,
            check=False,
        )
        os.close(main)
        os.close(terminal)
        self.assertEqual((ended.returncode, ended.stdout), (1, b""))
        self.assertTrue(
            ended.stderr.startswith(b"checked: this is an outboard plugin; a supervisor starts it"),
            ended.stderr,
        )


class Echoes(unittest.TestCase):
    """The shortest plugins of all: under ten lines of at most 100 columns, a tab being eight."""

    def test_echoes_are_short_and_echo(self) -> None:
        for language, (source, command) in ECHOES.items():
            with self.subTest(language):
                lines = (SDK / source).read_text().splitlines()
                self.assertLess(len(lines), 10)
                self.assertLessEqual(max(len(line.expandtabs(8)) for line in lines), 100)
                peer = Peer(command, ENV)
                try:
                    peer.open()
                    self.assertEqual(peer.ask("echo", {"a": 1})["result"], {"a": 1})
                finally:
                    peer.close()
                self.assertEqual(peer.judge(), [])


COMMANDS: dict[str, Any] = json.loads(os.environ.get("CHECK_PLUGINS", "{}"))
ECHOES = {name: both["echo"] for name, both in COMMANDS.items()}
for name, both in COMMANDS.items():
    title = re.sub(r"\W", "", name.title())
    globals()[title] = type(title, (Checks, unittest.TestCase), {"command": both["checked"]})

if __name__ == "__main__":
    if not COMMANDS:
        sys.exit("CHECK_PLUGINS is not set; plugin-sdk/test does that")
    unittest.main()
