"""A plugin of each SDK under the real supervisor."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMMANDS: dict[str, Any] = json.loads(os.environ.get("CHECK_PLUGINS", "{}"))
OUTBOARD = os.environ.get("OUTBOARD", "outboard")

#: Seconds; generous, it only keeps what is broken from hanging.
LONG = 60

#: Keeps what goes in and what comes out of a plugin: `sh -c RECORDED sh FILE COMMAND...`
RECORDED = 'file=$1; shift; tee "$file.host" | "$@" | tee "$file.plugin"'


def there(word: str) -> str:
    """Paths are those of plugin-sdk."""
    is_path = "/" in word and not word.startswith("/")
    return str(ROOT / "plugin-sdk" / word) if is_path else word


class Supervised(unittest.TestCase):
    """Each test has a supervisor of its own, with all of them active."""

    #: More of every manifest.
    manifest = ""
    #: Whether the frames of each language are kept, in `LANGUAGE.host` and `LANGUAGE.plugin`.
    recorded = False

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.env = {**os.environ, "OUTBOARD_STATE_DIR": str(self.folder / "state"), "NO_COLOR": "1"}
        manifests = self.folder / "manifests"
        manifests.mkdir()
        for language, both in COMMANDS.items():
            argv = [there(word) for word in both["checked"]]
            if self.recorded:
                # `$` is the manifest's own.
                script = RECORDED.replace("$", "$$")
                argv = ["sh", "-c", script, "sh", str(self.folder / language), *argv]
            source = json.dumps(str(ROOT / "plugin-sdk/python/src"))
            (manifests / f"{language}.toml").write_text(
                f"[process]\ncommand = {json.dumps(argv)}\nenv = {{ PYTHONPATH = {source} }}\n"
                + self.manifest
            )
        self.supervisor = subprocess.Popen(
            [OUTBOARD, "run", str(manifests), "--output", "json"],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        self.addCleanup(self.end)
        active: set[str] = set()
        assert self.supervisor.stdout
        for line in self.supervisor.stdout:
            event = json.loads(line)
            if event["event"] == "plugin.state" and event["to"] == "active":
                active.add(event["plugin"])
            if active == COMMANDS.keys():
                return
        self.fail("the supervisor ended")

    def end(self) -> None:
        if self.supervisor.poll() is None:
            self.supervisor.terminate()
        self.supervisor.communicate(timeout=LONG)
