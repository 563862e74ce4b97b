"""A plugin that does what plugins should not; `test_process.py` runs it."""

print("before the import")

import asyncio
import os
import subprocess
import sys
import time

from outboard_plugin import Plugin

print("after the import")

plugin = Plugin("rough", "1.0.0")
plugin.method("echo", lambda params: params)
plugin.method("size", lambda params: len(params["text"]))
plugin.method("fail", lambda: 1 / 0)


@plugin.method
def prints():
    print("a stray print")
    os.write(1, b"a stray write\n")
    subprocess.run(["sh", "-c", "echo a stray child; echo $OUTBOARD_PROTOCOL"], check=True)
    return "stdin is at its end" if sys.stdin.read() == "" else "there is something on stdin"


@plugin.method
async def forever():
    await asyncio.Event().wait()


@plugin.method
def deaf():
    """Takes no notice of anything."""
    while True:
        time.sleep(60)


@plugin.method
async def blocked():
    """Keeps the event loop itself."""
    print("blocking", flush=True)
    time.sleep(60)


@plugin.on_drain
@plugin.on_shutdown
def farewell():
    print("farewell")


plugin.run()
