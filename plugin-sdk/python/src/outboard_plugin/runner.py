"""Runs one entry point as a plugin: `python -m outboard_plugin.runner --group demi.platforms --name geo`.

The supervisor starts it in the environment that the entry point is installed in. Nothing is imported before the
opening, and whatever is wrong with the entry point is the opening's error: a refusal with a reason, never a crash.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import inspect
import logging
import math
import time
from collections.abc import Iterable
from importlib import metadata
from typing import Any

from ._platform import BasePlatform, HealthStatus, PluginHealth
from .call import Call
from .errors import PluginError
from .plugin import Plugin

__all__ = ["Refused", "find", "load", "main", "plugin_of"]

logger = logging.getLogger("outboard_plugin")

#: Seconds that a health_check may take before the probe is answered without it; the host waits for 5.
_PATIENCE = 2.0

#: Seconds between looks while no probe asks: the host does not probe a plugin that answers calls.
_INTERVAL = 10.0

#: The host keeps to the lower one of this and of the manifest's.
_CONCURRENCY = 64

#: A method of the runner's own: the whole of a PluginHealth.
HEALTH_METHOD = "platform/health"

_METHODS = ("initialize", "health_check", "handle_request", "shutdown")

_STATES: dict[HealthStatus, Any] = {
    HealthStatus.HEALTHY: "ready",
    HealthStatus.DEGRADED: "degraded",
    HealthStatus.UNHEALTHY: "unhealthy",
    HealthStatus.BUSY: "busy",
}


class Refused(PluginError):
    """Why an entry point is no plugin: the opening's error. `data.class` is one of

    `no_entry_point`, `duplicate`, `missing_package`, `import`, `missing_object`, `not_a_class`, `not_a_platform`,
    `abstract`, `not_async`, `constructor`, `initialize`.
    """

    def __init__(self, kind: str, why: str, point: metadata.EntryPoint | None = None) -> None:
        data = {"class": kind}
        if point is not None:
            data |= {"entryPoint": point.value, "group": point.group, "name": point.name}
            why = f"{_title(point)} {why}"
        super().__init__(why, data=data)


def _distribution(point: metadata.EntryPoint) -> str:
    return "an unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def _title(point: metadata.EntryPoint) -> str:
    return f"{point.name} = {point.value} of {_distribution(point)}"


def find(group: str, name: str) -> metadata.EntryPoint:
    """The entry point of that name. Reads metadata, imports nothing. Raises Refused."""
    found = list(metadata.entry_points(group=group, name=name))
    if not found:
        raise Refused(
            "no_entry_point", f"no package has an entry point {name} in the group {group}"
        )
    if len(found) > 1:
        packages = " and ".join(sorted(_distribution(point) for point in found))
        why = f"{len(found)} entry points of the group {group} are named {name}: of {packages}"
        raise Refused("duplicate", f"{why}; uninstall one of them")
    return found[0]


def load(point: metadata.EntryPoint) -> type[BasePlatform]:
    """Imports what the entry point names, and makes sure that it is a platform. Raises Refused."""
    try:
        found: Any = importlib.import_module(point.module)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{point.module}.".startswith(f"{error.name}."):
            raise Refused(
                "missing_package", f"names the package {error.name}, which is not there", point
            ) from None
        raise _failed("import", "cannot be imported", point, error) from error
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise
    except BaseException as error:  # A package that calls sys.exit at import is refused as well.
        raise _failed("import", "cannot be imported", point, error) from error
    for attribute in filter(None, (point.attr or "").split(".")):
        try:
            found = getattr(found, attribute)
        except Exception:
            raise Refused(
                "missing_object", f"names {attribute}, which {point.module} does not have", point
            ) from None
    return _checked(found, point)


def _checked(found: Any, point: metadata.EntryPoint) -> type[BasePlatform]:
    if not inspect.isclass(found):
        what = "a module" if inspect.ismodule(found) else f"an object of {type(found).__name__}"
        raise Refused("not_a_class", f"is {what} and no class", point)
    if not issubclass(found, BasePlatform):
        raise Refused("not_a_platform", "is no subclass of outboard_plugin.BasePlatform", point)
    if missing := sorted(found.__abstractmethods__):
        raise Refused("abstract", f"does not implement {_listed(missing)}", point)
    blocking = [name for name in _METHODS if not inspect.iscoroutinefunction(getattr(found, name))]
    if blocking:
        raise Refused("not_async", f"implements {_listed(blocking)} without async", point)
    return found


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _failed(kind: str, what: str, point: metadata.EntryPoint, error: BaseException) -> Refused:
    """What an author's code raised: its last line for the refusal, all of it in the log."""
    logger.error("%s %s", _title(point), what, exc_info=error)
    words = str(error)
    name = type(error).__name__
    return Refused(kind, f"{what}: {name}: {words}" if words else f"{what}: {name}", point)


def plugin_of(group: str, name: str) -> Plugin[dict[str, Any]]:
    """The entry point as a plugin, not yet running. What is wrong with it is told by its opening."""
    found: metadata.EntryPoint | Refused
    try:
        found = find(group, name)
        version = found.dist.version if found.dist is not None else "unknown"
    except Refused as refused:
        found, version = refused, "unknown"
    plugin = Plugin(name, version, concurrency=_CONCURRENCY)
    served = _Served(plugin)

    @plugin.on_start
    async def start() -> None:
        # A coroutine, and so on the main thread: some packages have to be imported there.
        if isinstance(found, Refused):
            raise found
        await served.start(found)

    @plugin.any_method
    async def handle_request(params: Any, call: Call) -> Any:
        return await served.platform.handle_request(call.method, params)

    @plugin.method(HEALTH_METHOD, description="How the plugin is, in its own words")
    async def health() -> dict[str, Any]:
        return (await served.health()).to_json()

    plugin.on_ping(served.ping)
    plugin.on_shutdown(served.shutdown)
    return plugin


class _Served:
    """A platform and its health."""

    platform: BasePlatform

    def __init__(self, plugin: Plugin[dict[str, Any]]) -> None:
        self._plugin = plugin
        self._started = False
        self._look: asyncio.Task[PluginHealth] | None = None
        self._seen_at = -math.inf
        self._said: tuple[str, str] = ("ready", "")
        self._watch: asyncio.Task[None] | None = None

    async def start(self, point: metadata.EntryPoint) -> None:
        platform = load(point)
        try:
            self.platform = platform()
        except (KeyboardInterrupt, asyncio.CancelledError):
            raise
        except BaseException as error:
            raise _failed("constructor", "cannot be made", point, error) from error
        try:
            await self.platform.initialize(self._plugin.config)
        except (KeyboardInterrupt, asyncio.CancelledError):
            raise
        except BaseException as error:
            raise _failed("initialize", "does not initialize", point, error) from error
        self._started = True
        self._watch = asyncio.create_task(self._watching())

    async def shutdown(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._started:
            await self.platform.shutdown()

    async def ping(self) -> dict[str, Any]:
        health = await self.health()
        return {"details": dict(health.details), "checkedAt": health.checked_at.isoformat()}

    async def health(self) -> PluginHealth:
        """A look, shared by all who ask meanwhile. It never raises, and takes no longer than a probe may."""
        if self._look is None:
            self._look = asyncio.create_task(self._check())
            self._look.add_done_callback(self._looked)
        done, _ = await asyncio.wait({self._look}, timeout=_PATIENCE)
        if done:
            health = done.pop().result()
        else:
            why = f"health_check has not answered within {_PATIENCE:.0f} s"
            health = PluginHealth(HealthStatus.DEGRADED, why)
        self._tell(health)
        return health

    def _looked(self, _: asyncio.Task[PluginHealth]) -> None:
        self._look = None

    async def _check(self) -> PluginHealth:
        try:
            health = await self.platform.health_check()
        except Exception as error:
            logger.error("health_check failed", exc_info=error)
            return PluginHealth(HealthStatus.UNHEALTHY, f"{type(error).__name__}: {error}")
        if isinstance(health, PluginHealth):
            return health
        why = f"health_check gave {type(health).__name__} and no PluginHealth"
        return PluginHealth(HealthStatus.UNHEALTHY, why)

    def _tell(self, health: PluginHealth) -> None:
        self._seen_at = time.monotonic()
        now = (_STATES[health.status], health.message)
        if now != self._said:
            self._said = now
            state, message = now
            self._plugin.host.status(state, message or None)

    async def _watching(self) -> None:
        while True:
            left = self._seen_at + _INTERVAL - time.monotonic()
            if left <= 0:
                await self.health()
            else:
                await asyncio.sleep(left)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m outboard_plugin.runner", description=__doc__)
    parser.add_argument(
        "--group", required=True, help="the entry point group, such as demi.platforms"
    )
    parser.add_argument("--name", required=True, help="the entry point's name")
    asked = parser.parse_args(arguments)
    plugin_of(asked.group, asked.name).run()


if __name__ == "__main__":
    main()
