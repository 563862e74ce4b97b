"""Handlers that misbehave, in each language, under the real supervisor: what the caller sees.

Run by `plugin-sdk/test`. CHECK_PLUGINS is as in `test_protocol`; OUTBOARD is the program. What is seen is the table in
docs/plugins.md; with WRITE_TABLE=1 it is written there, with SHOW_TABLE=1 it is printed (`plugin-sdk/show handlers`).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import unittest

from supervised import LONG, OUTBOARD, ROOT, Supervised

PAGE = ROOT / "docs" / "plugins.md"
TITLES = {"rust": "Rust", "python": "Python", "typescript": "TypeScript", "go": "Go"}


class Misbehaving(Supervised):
    def start(self, language: str, method: str, *more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [OUTBOARD, "call", language, method, "{}", *more],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # As at a terminal: what runs behind a shell's `&` is given SIGINT ignored, and would pass that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def seen(self, call: subprocess.Popen[str]) -> str:
        out, err = call.communicate(timeout=LONG)
        if call.returncode == 0:
            return f"`{out.strip()}`"
        code = re.search(r"code (-?\d+)", err)
        said = err.partition("\n")[0].removeprefix("error: ") or "cancelled"
        said = re.sub(r"within \S+", "within its deadline", said)
        # As a shell has it: 128 and the signal.
        status = call.returncode if call.returncode > 0 else 128 - call.returncode
        return f"{said} ({'code ' + code[1] + ', ' if code else ''}exit {status})"

    def lives(self, language: str) -> None:
        self.assertEqual(self.seen(self.start(language, "echo")), "`{}`", language)

    def test_what_callers_see(self) -> None:
        rows: dict[str, dict[str, str]] = {}
        for language in TITLES:
            seen = {
                "prints to stdout": self.seen(self.start(language, "prints")),
                "throws or panics": self.seen(self.start(language, "fails")),
                "blocks for ever, and looks at nothing": self.seen(
                    self.start(language, "deaf", "--deadline", "300ms")
                ),
                "waits, and outlives its deadline": self.seen(
                    self.start(language, "slow", "--deadline", "300ms")
                ),
            }
            call = self.start(language, "slow")
            self.in_flight(language)
            call.send_signal(signal.SIGINT)
            seen["waits, and is cancelled with Ctrl-C"] = self.seen(call)
            self.lives(language)
            logs = subprocess.run(
                [OUTBOARD, "logs", language], env=self.env, capture_output=True, text=True, check=True
            ).stdout
            self.assertIn("a stray print", logs, "what is printed is in the log")
            for what, words in seen.items():
                rows.setdefault(what, {})[language] = words.replace(f"plugin {language} ", "it ")
        if os.environ.get("SHOW_TABLE"):
            print(f"\n{self.table(rows)}\n", flush=True)
        self.assertEqual(self.table(rows), self.shown(rows))

    def in_flight(self, language: str) -> None:
        """Waits until the call that is to be cancelled is with the plugin."""
        for _ in range(LONG * 20):
            status = subprocess.run(
                [OUTBOARD, "status", language, "--json"], env=self.env, capture_output=True, check=True
            )
            if json.loads(status.stdout)["plugins"][0]["in_flight"] >= 1:
                return
        self.fail("the call never came to be in flight")

    def table(self, rows: dict[str, dict[str, str]]) -> str:
        lines = ["| a handler that … | " + " | ".join(TITLES.values()) + " |"]
        lines.append("| --- " * (len(TITLES) + 1) + "|")
        for what, words in rows.items():
            lines.append(f"| {what} | " + " | ".join(words[l] for l in TITLES) + " |")
        return "\n".join(lines)

    def shown(self, rows: dict[str, dict[str, str]]) -> str:
        page = PAGE.read_text()
        before, _, rest = page.partition("<!-- seen -->\n")
        old, _, after = rest.partition("\n<!-- end -->")
        if os.environ.get("WRITE_TABLE"):
            old = self.table(rows)
            PAGE.write_text(f"{before}<!-- seen -->\n{old}\n<!-- end -->{after}")
        return old


if __name__ == "__main__":
    unittest.main()
