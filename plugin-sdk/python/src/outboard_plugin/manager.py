"""The conductor's side: what runs the plugins that packages announce, from one object.

    async with PluginManager(group="demi.platforms") as manager:
        await manager.discover_and_register()
        print(await manager.health_check_all())
        print(await manager.call("geo", "locate", {"ip": "192.0.2.1"}))

Behind it is a supervisor, `outboard run`: one that runs already (`state_dir`), or one that is started and ended with
the manager. The plugins are its processes, so that nothing they do can harm the conductor.
"""

from __future__ import annotations

import asyncio
import enum
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from . import _control
from ._control import NoSupervisor
from ._platform import HealthStatus, PluginHealth
from .errors import METHOD_NOT_FOUND, PluginError

__all__ = ["NoSupervisor", "PluginManager", "PluginMetadata", "PluginState"]

#: Seconds for a supervisor that was started to answer, and to end.
_STARTING = 15.0
_ENDING = 40.0

#: Seconds for a plugin's own health report.
_HEALTH = 5.0

_HEALTH_METHOD = "platform/health"


class PluginState(enum.Enum):
    """How far a plugin has come."""

    #: Nobody knows a plugin of this name.
    UNREGISTERED = "unregistered"
    #: Found, and not running: not started yet, stopped, refused, failed, or on its way to its next start.
    REGISTERED = "registered"
    #: Its process has opened, and has not been found well yet.
    LOADED = "loaded"
    #: It answers, and calls flow.
    ACTIVE = "active"


#: The supervisor has finer words: see `PluginMetadata.supervisor_state`.
_STATES = {
    "loaded": PluginState.LOADED,
    "active": PluginState.ACTIVE,
    "degraded": PluginState.ACTIVE,
}

_HEALTHS = {
    "ok": HealthStatus.HEALTHY,
    "degraded": HealthStatus.DEGRADED,
    "busy": HealthStatus.BUSY,
    "suspect": HealthStatus.DEGRADED,
    "hung": HealthStatus.UNHEALTHY,
}


@dataclass(frozen=True)
class PluginMetadata:
    """What is known of one plugin, at one moment."""

    name: str
    #: Of its distribution; None where it is no entry point, or is refused for that.
    version: str | None
    distribution: str | None
    #: What the entry point names, `demi_geo:Geo`.
    entry_point: str | None
    state: PluginState
    health: PluginHealth
    #: When its process opened; None while it does not run.
    loaded_at: datetime | None
    #: The supervisor's word for the state: `backoff`, `failed`, `stopping`, …
    supervisor_state: str
    #: Why it failed last, in words; what the runner refused is told here.
    failure: str | None
    #: The class of that: `handshake`, `exit`, …
    failure_class: str | None


class PluginManager:
    """Discovers, loads, unloads and watches plugins through a supervisor.

    With `state_dir` alone it talks to the supervisor that runs there. With `group` it starts one for the entry points
    of that group in `environment`, by default the one that this Python runs in; with `sources`, for those folders.
    What it started ends with `shutdown_all`, at the end of `async with`, or with this process. Every method raises
    PluginError where the supervisor refuses, and `NoSupervisor` where there is none.
    """

    def __init__(
        self,
        *,
        group: str | None = None,
        environment: str | os.PathLike[str] | None = None,
        sources: Iterable[str | os.PathLike[str]] = (),
        state_dir: str | os.PathLike[str] | None = None,
        defaults: Mapping[str, Mapping[str, Any]] | None = None,
        executable: str = "outboard",
    ) -> None:
        """`defaults` are sections of manifests for what is found: `{"health": {"interval": "5s"}}`."""
        self._group = group
        self._environment = Path(sys.prefix if environment is None else environment).absolute()
        self._sources = [str(Path(source).absolute()) for source in sources]
        self._defaults = dict(defaults or {})
        self._executable = executable
        self._own: tempfile.TemporaryDirectory[str] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._starts = group is not None or bool(self._sources)
        if state_dir is not None:
            self.state_dir = Path(state_dir)
        elif self._starts:
            self.state_dir = self._folder() / "state"
        else:
            self.state_dir = _control.default_state_dir()

    async def __aenter__(self) -> PluginManager:
        await self._connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            await self.shutdown_all()

    # The five.

    async def discover_and_register(self) -> list[PluginMetadata]:
        """Looks for plugins, registers those that are new, starts what is to run, and waits for their first outcome.

        Called again, it sees what was installed, upgraded or removed meanwhile: an upgraded plugin is swapped while
        it serves. What cannot run is in the list too, with the reason as its `failure`.
        """
        started = await self._connect()
        if not started:
            await self._manage("reload", {})
        while True:
            plugins = await self.plugins()
            on_the_way = ("starting", "loaded", "stopping")
            if not any(plugin.supervisor_state in on_the_way for plugin in plugins.values()):
                return list(plugins.values())
            await asyncio.sleep(0.02)

    async def load_plugin(self, name: str) -> PluginMetadata:
        """Starts a plugin and waits until it is active. Raises PluginError with the reason when it does not get there."""
        change = await self._manage("start", {"ids": [_exactly(name)]})
        for outcome in change["outcomes"]:
            failure = outcome.get("failure")
            if outcome["end"] == "failed" and failure is not None:
                data = {"class": failure["class"], "plugin": name, "detail": failure["detail"]}
                raise PluginError(failure["message"], code=-31001, data=data)
        return await self.metadata(name)

    async def unload_plugin(self, name: str) -> None:
        """Stops a plugin: calls in progress end first, `shutdown` is asked for, and nothing of it is left afterwards.

        It stays registered, and down until `load_plugin`.
        """
        await self._manage("stop", {"ids": [_exactly(name)]})

    async def health_check_all(self) -> dict[str, PluginHealth]:
        """Probes every plugin that runs, now, and gives what each says of itself."""
        status = await self._manage("health", {})
        names = [row["id"] for row in status["plugins"]]
        healths = await asyncio.gather(*(self._health(row) for row in status["plugins"]))
        return dict(zip(names, healths))

    async def shutdown_all(self) -> None:
        """Stops every plugin, and the supervisor with them; waits for both."""
        try:
            await self._manage("shutdown", {})
        except NoSupervisor:
            pass  # It has ended before the answer, or long since.
        if self._process is not None:
            try:
                await asyncio.wait_for(self._process.wait(), _ENDING)
            except asyncio.TimeoutError:
                self._process.kill()
                await self._process.wait()
            self._process = None
        if self._own is not None:
            self._own.cleanup()
            self._own = None

    # Looking, and calling.

    async def plugins(self) -> dict[str, PluginMetadata]:
        """Everything that is known, by name."""
        status = await self._manage("status", {})
        return {row["id"]: _metadata(row) for row in sorted(status["plugins"], key=_id)}

    async def metadata(self, name: str) -> PluginMetadata:
        """One plugin. Raises PluginError where there is none of that name."""
        status = await self._manage("status", {"ids": [_exactly(name)]})
        return _metadata(status["plugins"][0])

    async def states(self) -> dict[str, PluginState]:
        return {name: plugin.state for name, plugin in (await self.plugins()).items()}

    async def state(self, name: str) -> PluginState:
        """`UNREGISTERED` for a name that nobody knows."""
        return (await self.states()).get(name, PluginState.UNREGISTERED)

    async def call(
        self, name: str, method: str, params: Any = None, *, timeout: float | None = 30.0
    ) -> Any:
        """Calls a plugin's `handle_request`. Raises PluginError with its error, or with the supervisor's."""
        return await _control.call(self.state_dir, name, method, params, timeout)

    # What is behind it.

    async def _manage(self, method: str, params: dict[str, Any]) -> Any:
        return await _control.manage(self.state_dir, method, params)

    async def _health(self, row: dict[str, Any]) -> PluginHealth:
        """In the plugin's own words where it is a platform, and can be asked."""
        if row["state"] in ("active", "degraded") and row.get("entry_point") is not None:
            try:
                told = await self.call(row["id"], _HEALTH_METHOD, timeout=_HEALTH)
                return PluginHealth.from_json(told)
            except PluginError as error:
                if error.code == METHOD_NOT_FOUND:
                    return _health_of(row)
                return PluginHealth(HealthStatus.UNHEALTHY, error.message, _details(row))
            except (KeyError, TypeError, ValueError):
                pass
        return _health_of(row)

    def _folder(self) -> Path:
        if self._own is None:
            self._own = tempfile.TemporaryDirectory(prefix="outboard-")
        return Path(self._own.name)

    async def _connect(self) -> bool:
        """Starts the supervisor where that is this manager's; whether it did so just now."""
        if not self._starts or self._process is not None:
            return False
        try:
            await self._manage("status", {})
            return False
        except NoSupervisor:
            pass
        executable = shutil.which(self._executable)
        if executable is None:
            raise PluginError(f"there is no {self._executable} on PATH: name it with executable=…")
        self._process = await asyncio.create_subprocess_exec(
            *(executable, "run", "--exit-on-eof", "--state-dir", str(self.state_dir)),
            *(self._sources or [self._described()]),
            # Nothing is written: however this process ends, the other end of the pipe ends with it.
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=None,
        )
        try:
            await self._answers(self._process)
        except BaseException:
            # Cancelled, perhaps: nobody else would end it.
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()
            self._process = None
            raise
        return True

    def _described(self) -> str:
        """A folder with nothing but an `outboard.toml` that looks for the group."""
        folder = self._folder() / "manifests"
        folder.mkdir(mode=0o700, exist_ok=True)
        # A JSON string is a TOML string, and so are the numbers, lists and tables that manifests have.
        lines = [
            "[[discover.python]]",
            f"environment = {json.dumps(str(self._environment))}",
            f"group = {json.dumps(self._group)}",
        ]
        for section, keys in self._defaults.items():
            lines.append(f"[discover.python.defaults.{section}]")
            lines += [f"{json.dumps(key)} = {_toml(value)}" for key, value in keys.items()]
        (folder / "outboard.toml").write_text("\n".join(lines) + "\n")
        return str(folder)

    async def _answers(self, process: asyncio.subprocess.Process) -> None:
        give_up = asyncio.get_running_loop().time() + _STARTING
        while True:
            try:
                await self._manage("status", {})
                return
            except NoSupervisor:
                if process.returncode is not None:
                    raise PluginError(
                        f"outboard run ended with status {process.returncode}: see its words on stderr"
                    ) from None
                if asyncio.get_running_loop().time() > give_up:
                    process.kill()
                    await process.wait()
                    raise
            await asyncio.sleep(0.02)


def _id(row: dict[str, Any]) -> str:
    return str(row["id"])


def _exactly(name: str) -> str:
    """A name as a pattern that means nothing else: ids have no glob characters, and what has them is no id."""
    if any(c in name for c in "*?["):
        raise PluginError(f"no plugin `{name}`", code=-31001, data={"class": "not_found"})
    return name


def _metadata(row: dict[str, Any]) -> PluginMetadata:
    point = row.get("entry_point") or {}
    failure = row.get("last_failure") or {}
    loaded = row.get("loaded_at")
    return PluginMetadata(
        name=row["id"],
        version=point.get("version"),
        distribution=point.get("distribution"),
        entry_point=point.get("value"),
        state=_STATES.get(row["state"], PluginState.REGISTERED),
        health=_health_of(row),
        loaded_at=None if loaded is None else datetime.fromisoformat(loaded.replace("Z", "+00:00")),
        supervisor_state=row["state"],
        failure=failure.get("message"),
        failure_class=failure.get("class"),
    )


def _details(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("state", "pid", "generation", "restarts") if key in row}


def _health_of(row: dict[str, Any]) -> PluginHealth:
    """As the supervisor sees it. What does not run is not healthy."""
    status = _HEALTHS.get(row["health"]["status"], HealthStatus.UNHEALTHY)
    message = row["health"].get("message")
    if row["state"] not in ("active", "degraded", "loaded"):
        status = HealthStatus.UNHEALTHY
        message = (row.get("last_failure") or {}).get("message") or row["state"]
    return PluginHealth(status, message or "", _details(row))


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value)
