"""What `plugin-sdk/checks` holds against the protocol: a plugin that uses everything."""

import asyncio
import time
from dataclasses import dataclass

from outboard_plugin import Call, Event, Plugin, PluginError

plugin = Plugin("checked", "1.0.0")
plugin.method("echo", lambda params: params)
plugin.on_config(lambda: None)
plugin.on_drain(lambda: None)
plugin.on_shutdown(lambda: print("farewell"))


@dataclass
class Sum:
    a: int
    b: int


@plugin.method(timeout=2)
def add(params: Sum) -> int:
    return params.a + params.b


@plugin.method
async def slow() -> None:
    await asyncio.Event().wait()


@plugin.method
def prints() -> str:
    print("a stray print")
    return "done"


@plugin.method
def fails() -> None:
    raise ValueError("on purpose")


@plugin.method
def deaf() -> None:
    """Takes no notice of anything."""
    while True:
        time.sleep(60)


@plugin.method
async def count(params: dict[str, int], call: Call) -> int:
    for done in range(params.get("to", 0)):
        call.progress(done + 1, params["to"])
        await asyncio.sleep(0)
    return params.get("to", 0)


@plugin.on_event("checked.*")
def heard(event: Event) -> None:
    plugin.host.log("info", "heard", topic=event.topic)


@plugin.method
async def talks(params: dict[str, str], call: Call) -> int:
    """Says everything that a plugin can say to its host."""
    call.host.status("busy", "talking", expected=1)
    call.host.publish_nowait("checked.whispered")
    await call.host.info()
    await call.host.call(params["to"], "echo", {"a": 1})
    try:
        await call.host.call(params["to"], "forbidden")
    except PluginError:
        call.host.status("ready")
    return await call.host.publish("checked.said", {"n": 1})


plugin.run()
