"""Sends nothing, and counts it."""

from typing import Any

from outboard_plugin import BasePlatform, MethodNotFound, PluginHealth


class Mail(BasePlatform):
    def __init__(self) -> None:
        self.sent = 0

    async def initialize(self, config: dict[str, Any]) -> None:
        self.server = config.get("server")

    async def health_check(self) -> PluginHealth:
        details = {"sent": self.sent}
        if self.server is None:
            return PluginHealth("degraded", "no server is configured", details)
        return PluginHealth("healthy", details=details)

    async def handle_request(self, method: str, params: Any) -> Any:
        if method != "send":
            raise MethodNotFound(method)
        self.sent += 1
        return {"to": params["to"], "sent": self.sent}

    async def shutdown(self) -> None:
        pass
