"""Write outboard plugins in Python.

    from outboard_plugin import Plugin

    plugin = Plugin("echo", "1.0.0")
    plugin.method("echo", lambda params: params)
    plugin.run()

A plugin is a process that a supervisor starts. It reads one JSON object a line on stdin and writes one a line on
stdout. This package does the protocol's part; what is left is one function for each method. `outboard_plugin.testing`
runs a plugin against a host in memory.
"""

from ._events import Event
from ._platform import BasePlatform, HealthStatus, MethodNotFound, PluginHealth
from ._stdio import take_if_supervised
from .call import Call, current_call
from .errors import Cancelled, HostGone, InvalidParams, PluginError
from .host import Host
from .plugin import Plugin

__all__ = [
    "BasePlatform",
    "Call",
    "Cancelled",
    "Event",
    "HealthStatus",
    "Host",
    "HostGone",
    "InvalidParams",
    "MethodNotFound",
    "Plugin",
    "PluginError",
    "PluginHealth",
    "current_call",
]

take_if_supervised()
