"""What a package implements to be found by an entry point: one class.

    from outboard_plugin import BasePlatform, PluginHealth

    class Geo(BasePlatform):
        async def initialize(self, config): ...
        async def health_check(self): return PluginHealth("healthy")
        async def handle_request(self, method, params): ...
        async def shutdown(self): ...

The package names it in its own `pyproject.toml`, under the group that the conductor looks for:

    [project.entry-points."demi.platforms"]
    geo = "demi_geo:Geo"

`outboard_plugin.runner` imports it, in a process of its own, and serves it.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from .errors import METHOD_NOT_FOUND, PluginError

__all__ = ["BasePlatform", "HealthStatus", "MethodNotFound", "PluginHealth"]


class HealthStatus(str, enum.Enum):
    """How a plugin is. Calls flow in all four; `degraded` and `unhealthy` are shown as trouble."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    #: Healthy, and slow to answer for a known reason.
    BUSY = "busy"

    def __str__(self) -> str:
        return str(self.value)


def _now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True, init=False)
class PluginHealth:
    """One look at a plugin's health. `status` may be given as its word; `details` is any JSON object."""

    status: HealthStatus
    message: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    checked_at: datetime = field(default_factory=_now)

    def __init__(
        self,
        status: HealthStatus | str,
        message: str = "",
        details: Mapping[str, Any] | None = None,
        checked_at: datetime | None = None,
    ) -> None:
        """Raises ValueError for a word that is no status."""
        # Frozen: what was seen at a moment does not change afterwards.
        put = object.__setattr__
        put(self, "status", HealthStatus(status))
        put(self, "message", message)
        put(self, "details", {} if details is None else dict(details))
        put(self, "checked_at", _now() if checked_at is None else checked_at)

    @property
    def is_healthy(self) -> bool:
        return self.status in (HealthStatus.HEALTHY, HealthStatus.BUSY)

    def to_json(self) -> dict[str, Any]:
        """As it goes over the wire; `from_json` is the way back."""
        return {
            "status": self.status.value,
            "message": self.message,
            "details": dict(self.details),
            "checked_at": self.checked_at.isoformat(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PluginHealth:
        """Raises KeyError or ValueError where `value` is no health."""
        return cls(
            value["status"],
            value.get("message", ""),
            value.get("details"),
            datetime.fromisoformat(value["checked_at"]),
        )


class MethodNotFound(PluginError):
    """What `handle_request` raises for a method that it does not have: -32601."""

    def __init__(self, method: str) -> None:
        super().__init__(f"no method {method}", code=METHOD_NOT_FOUND)


class BasePlatform(ABC):
    """A plugin found by an entry point. It is made without arguments, and its four methods are coroutines."""

    @abstractmethod
    async def initialize(self, config: dict[str, Any]) -> None:
        """Once, before anything else; `config` is the manifest's `[config]`. What it raises refuses the start."""

    @abstractmethod
    async def health_check(self) -> PluginHealth:
        """At each probe. What it raises counts as `unhealthy`, and taking longer than a probe may as `degraded`."""

    @abstractmethod
    async def handle_request(self, method: str, params: Any) -> Any:
        """Answers one call: several may be in progress at once. The result is anything that is JSON.

        Raise `MethodNotFound` for a method that there is not, `PluginError` for an error of your own, and what else
        you like for the rest: the caller gets its last line, the log all of it. A call that is cancelled, or whose
        deadline has passed, ends in `asyncio.CancelledError`.
        """

    @abstractmethod
    async def shutdown(self) -> None:
        """Once, before the process ends, if `initialize` went well."""
