"""Entry points as plugins: what is served, what is refused, and in which words."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from outboard_plugin import BasePlatform, HealthStatus, PluginError, PluginHealth, runner
from outboard_plugin.testing import FakeHost

GROUP = "demi.platforms"

GEO = """
import asyncio
from outboard_plugin import BasePlatform, MethodNotFound, PluginHealth

class Geo(BasePlatform):
    async def initialize(self, config):
        self.config = config
        self.health = PluginHealth("healthy")
        self.log = config.get("log", [])
        if "raise" in config:
            raise ValueError(config["raise"])

    async def health_check(self):
        if isinstance(self.health, Exception):
            raise self.health
        if self.health == "never":
            await asyncio.sleep(3600)
        return self.health

    async def handle_request(self, method, params):
        if method == "locate":
            return {"ip": params["ip"], "units": self.config.get("units")}
        if method == "be":
            self.health = PluginHealth(params["status"], params.get("message", ""), {"queue": 3})
            return None
        if method == "break":
            self.health = RuntimeError("no database")
            return None
        if method == "give":
            self.health = params["health"]
            return None
        raise MethodNotFound(method)

    async def shutdown(self):
        print("shut down", flush=True)
"""


class Packages:
    """Installs packages by hand, as an installer leaves them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self, package: str, points: dict[str, str], code: str | None, version: str = "1.0.0"
    ) -> None:
        module = package.replace("-", "_")
        if code is not None:
            (self.folder / f"{module}.py").write_text(code)
        info = self.folder / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        )
        lines = [f"{name} = {value}" for name, value in points.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield Packages(tmp_path)
    for name in set(sys.modules) - before:
        del sys.modules[name]


def served(name: str = "geo", config: dict[str, Any] | None = None) -> FakeHost:
    return FakeHost(runner.plugin_of(GROUP, name), config=config)


def refusal(name: str = "geo", config: dict[str, Any] | None = None) -> tuple[str, str]:
    """The class and the words that the opening is refused with."""
    with pytest.raises(PluginError) as refused:
        with served(name, config):
            pass
    assert refused.value.error_class is not None
    return refused.value.error_class, refused.value.message


def test_an_entry_point_is_opened_and_called(packages: Packages) -> None:
    packages.install("demi-geo", {"geo": "demi_geo:Geo"}, GEO, "2.1.0")
    with served(config={"units": "metric"}) as host:
        assert (host.opening["name"], host.opening["version"]) == ("geo", "2.1.0")
        # The host forwards every method: it is not told of a list.
        assert "methods" not in host.opening
        assert host.call("locate", {"ip": "192.0.2.1"}) == {"ip": "192.0.2.1", "units": "metric"}
        with pytest.raises(PluginError) as missing:
            host.call("teleport")
        assert (missing.value.code, missing.value.message) == (-32601, "no method teleport")
        with pytest.raises(PluginError) as failed:
            host.call("locate", {})
        assert failed.value.message == "KeyError: 'ip'"


def test_the_protocols_own_methods_are_not_the_platforms(packages: Packages) -> None:
    packages.install("demi-geo", {"geo": "demi_geo:Geo"}, GEO)
    with served() as host:
        for method in ("$/probe", "config/changed", "drain", "host/anything"):
            with pytest.raises(PluginError) as missing:
                host.request(method, {})
            assert missing.value.code == -32601
            assert "has no method" in missing.value.message


@pytest.mark.parametrize(
    ("status", "state"),
    [("degraded", "degraded"), ("unhealthy", "unhealthy"), ("busy", "busy")],
)
def test_probes_are_answered_with_the_platforms_health(
    packages: Packages, status: str, state: str
) -> None:
    packages.install("demi-geo", {"geo": "demi_geo:Geo"}, GEO)
    with served() as host:
        assert "state" not in host.ping()
        host.call("be", {"status": status, "message": "cache cold"})
        probe = host.ping()
        assert (probe["state"], probe["message"], probe["details"]) == (
            state,
            "cache cold",
            {"queue": 3},
        )
        # Said once, at the moment of the change.
        host.ping()
        assert host.statuses == [{"state": state, "message": "cache cold"}]
        host.call("be", {"status": "healthy"})
        assert "state" not in host.ping()
        assert host.statuses[-1]["state"] == "ready"


def test_a_health_check_that_raises_is_unhealthy(packages: Packages) -> None:
    packages.install("demi-geo", {"geo": "demi_geo:Geo"}, GEO)
    with served() as host:
        host.call("break")
        probe = host.ping()
        assert (probe["state"], probe["message"]) == ("unhealthy", "RuntimeError: no database")
        host.call("give", {"health": {"status": "ok"}})
        probe = host.ping()
        assert probe["message"] == "health_check gave dict and no PluginHealth"


def test_a_health_check_that_never_answers_does_not_hold_up_the_probe(
    packages: Packages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_PATIENCE", 0.05)
    packages.install("demi-geo", {"geo": "demi_geo:Geo"}, GEO)
    with served() as host:
        host.call("give", {"health": "never"})
        probe = host.ping()
        assert probe["state"] == "degraded"
        assert "has not answered" in probe["message"]
        # Nor the calls.
        assert host.call("locate", {"ip": "192.0.2.1"})["ip"] == "192.0.2.1"


def test_health_is_looked_at_when_no_probe_asks(
    packages: Packages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_INTERVAL", 0.02)
    packages.install("demi-geo", {"geo": "demi_geo:Geo"}, GEO)
    with served() as host:
        host.call("be", {"status": "degraded"})
        host.wait(lambda: bool(host.statuses), "a status that nobody asked for")
        assert host.statuses == [{"state": "degraded"}]


def test_the_whole_health_can_be_asked_for(packages: Packages) -> None:
    packages.install("demi-geo", {"geo": "demi_geo:Geo"}, GEO)
    with served() as host:
        host.call("be", {"status": "degraded", "message": "cache cold"})
        health = PluginHealth.from_json(host.call(runner.HEALTH_METHOD))
        assert (health.status, health.message) == (HealthStatus.DEGRADED, "cache cold")
        assert health.details == {"queue": 3}
        assert health.checked_at <= datetime.now(timezone.utc)


BODY = """
from outboard_plugin import BasePlatform, PluginHealth

class Whole(BasePlatform):
    async def initialize(self, config): pass
    async def health_check(self): return PluginHealth("healthy")
    async def handle_request(self, method, params): return params
    async def shutdown(self): pass
"""

INVALID = {
    "import": (
        "demi_bad:Whole",
        "raise ImportError('no such codec')",
        "ImportError: no such codec",
    ),
    "import (exit)": ("demi_bad:Whole", "import sys; sys.exit(3)", "SystemExit: 3"),
    "import (dependency)": ("demi_bad:Whole", "import not_there_at_all", "not_there_at_all"),
    "missing_package": ("demi_gone.sub:Whole", None, "names the package demi_gone"),
    "missing_object": ("demi_bad:Hole", BODY, "names Hole, which demi_bad does not have"),
    "not_a_class": (
        "demi_bad:make",
        BODY + "\ndef make(): pass\n",
        "an object of function and no class",
    ),
    "not_a_class (module)": ("demi_bad", BODY, "a module and no class"),
    "not_a_platform": (
        "demi_bad:Other",
        "class Other: pass",
        "no subclass of outboard_plugin.BasePlatform",
    ),
    "abstract": (
        "demi_bad:Half",
        BODY + "\nclass Half(BasePlatform):\n    async def shutdown(self): pass\n",
        "does not implement handle_request, health_check and initialize",
    ),
    "not_async": (
        "demi_bad:Late",
        BODY + "\nclass Late(Whole):\n    def handle_request(self, method, params): pass\n",
        "implements handle_request without async",
    ),
    "constructor": (
        "demi_bad:Raises",
        BODY + "\nclass Raises(Whole):\n    def __init__(self): raise OSError('no disk')\n",
        "cannot be made: OSError: no disk",
    ),
    "constructor (arguments)": (
        "demi_bad:Wants",
        BODY + "\nclass Wants(Whole):\n    def __init__(self, more): pass\n",
        "cannot be made: TypeError",
    ),
}


@pytest.mark.parametrize("kind", INVALID)
def test_what_is_wrong_is_refused_with_its_reason(packages: Packages, kind: str) -> None:
    value, code, words = INVALID[kind]
    packages.install("demi-bad", {"bad": value}, code)
    found, message = refusal("bad")
    assert found == kind.split(" ")[0]
    assert words in message
    assert message.startswith(f"bad = {value} of demi-bad 1.0.0 ")


def test_initialize_that_raises_refuses_the_start(packages: Packages) -> None:
    packages.install("demi-geo", {"geo": "demi_geo:Geo"}, GEO)
    kind, message = refusal(config={"raise": "no key"})
    assert kind == "initialize"
    assert message.endswith("does not initialize: ValueError: no key")


def test_two_of_one_name_are_both_refused(packages: Packages) -> None:
    packages.install("demi-geo", {"geo": "demi_geo:Geo"}, GEO)
    packages.install("demi-other", {"geo": "demi_other:Geo"}, GEO)
    kind, message = refusal()
    assert kind == "duplicate"
    assert "of demi-geo 1.0.0 and demi-other 1.0.0" in message


def test_a_name_that_nobody_has_is_refused(packages: Packages) -> None:
    kind, message = refusal("nobody")
    assert (kind, message) == (
        "no_entry_point",
        f"no package has an entry point nobody in the group {GROUP}",
    )


def test_shutdown_is_called_once_and_only_after_initialize(
    packages: Packages, capfd: pytest.CaptureFixture[str]
) -> None:
    packages.install("demi-geo", {"geo": "demi_geo:Geo"}, GEO)
    with served() as host:
        host.request("shutdown", {"reason": "stop", "deadlineMs": 1000})
    assert capfd.readouterr().out.count("shut down") == 1
    refusal(config={"raise": "no key"})
    assert "shut down" not in capfd.readouterr().out


def test_health_is_typed() -> None:
    assert PluginHealth("healthy").is_healthy
    assert not PluginHealth(HealthStatus.UNHEALTHY, "down").is_healthy
    with pytest.raises(ValueError, match="fine"):
        PluginHealth("fine")
    health = PluginHealth("busy", "compacting", {"left": 2})
    assert PluginHealth.from_json(health.to_json()) == health


def test_a_platform_must_have_its_four_methods() -> None:
    assert sorted(BasePlatform.__abstractmethods__) == [
        "handle_request",
        "health_check",
        "initialize",
        "shutdown",
    ]
    assert all(
        asyncio.iscoroutinefunction(getattr(BasePlatform, name))
        for name in BasePlatform.__abstractmethods__
    )
