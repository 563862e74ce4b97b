"""A conductor, as the suite runs it: conductor.py OUTBOARD own | killed | running STATE_DIR"""

import asyncio
import os
import signal
import sys
from datetime import datetime, timezone

from outboard_plugin import PluginError, PluginHealth
from outboard_plugin.manager import NoSupervisor, PluginManager, PluginMetadata, PluginState

OUTBOARD = sys.argv[1]


async def fails(work):
    try:
        await work
    except PluginError as error:
        return error
    raise AssertionError("it did not fail")


async def own():
    """A supervisor of its own, for a group of this environment: all five, in order."""
    manager = PluginManager(
        group="demi.platforms",
        executable=OUTBOARD,
        defaults={"restart": {"backoff": {"initial": "30s"}}},
    )
    async with manager:
        found = {plugin.name: plugin for plugin in await manager.discover_and_register()}
        assert set(found) == {"constructor", "geo", "mail"}, found
        geo = found["geo"]
        assert isinstance(geo, PluginMetadata)
        assert (geo.distribution, geo.version) == ("demi-geo", "1.0.0")
        assert (geo.entry_point, geo.state) == ("demi_geo:Geo", PluginState.ACTIVE)
        assert geo.loaded_at is not None and geo.loaded_at <= datetime.now(timezone.utc)
        bad = found["constructor"]
        assert (bad.state, bad.failure_class) == (PluginState.REGISTERED, "handshake"), bad
        assert "cannot be made: OSError: no disk" in bad.failure, bad
        assert bad.loaded_at is None

        assert (await manager.call("geo", "locate", {"ip": "192.0.2.1"}))["country"] == "PL"
        error = await fails(manager.call("geo", "teleport"))
        assert (error.code, error.message) == (-32601, "no method teleport"), error

        healths = await manager.health_check_all()
        assert all(isinstance(health, PluginHealth) for health in healths.values())
        words = {name: health.status.value for name, health in healths.items()}
        assert words == {"constructor": "unhealthy", "geo": "healthy", "mail": "degraded"}, words
        assert healths["mail"].message == "no spool is configured, mails are dropped"
        assert healths["mail"].details == {"sent": 0}

        await manager.unload_plugin("geo")
        assert await manager.state("geo") is PluginState.REGISTERED
        assert (await manager.metadata("geo")).loaded_at is None
        assert (await fails(manager.call("geo", "locate"))).error_class == "down"
        loaded = await manager.load_plugin("geo")
        assert loaded.state is PluginState.ACTIVE
        error = await fails(manager.load_plugin("constructor"))
        assert "cannot be made" in error.message, error
        error = await fails(manager.load_plugin("nobody"))
        assert error.error_class == "not_found", error
        assert await manager.state("nobody") is PluginState.UNREGISTERED

        await manager.discover_and_register()
        states = await manager.states()
        assert states["mail"] is PluginState.ACTIVE, states
        await manager.shutdown_all()
    assert isinstance(await fails(manager.plugins()), NoSupervisor)


async def running(state_dir):
    """Somebody else's supervisor: asked, and left alone."""
    async with PluginManager(state_dir=state_dir) as manager:
        names = [plugin.name for plugin in await manager.discover_and_register()]
        assert names == ["constructor", "geo", "mail"], names
        assert (await manager.health_check_all())["geo"].is_healthy
        both = await asyncio.gather(
            *(manager.call("mail", "send", {"to": str(n)}) for n in range(20))
        )
        assert sorted(answer["number"] for answer in both) == list(range(1, 21))


async def killed():
    """A conductor that dies the hard way, with plugins that run."""
    async with PluginManager(group="demi.platforms", executable=OUTBOARD) as manager:
        await manager.discover_and_register()
        assert await manager.state("geo") is PluginState.ACTIVE
        os.kill(os.getpid(), signal.SIGKILL)


asyncio.run({"own": own, "killed": killed, "running": running}[sys.argv[2]](*sys.argv[3:]))
print("done")
