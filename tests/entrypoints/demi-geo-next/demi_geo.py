"""Where addresses are."""

import os
from typing import Any

from outboard_plugin import BasePlatform, MethodNotFound, PluginHealth


class Geo(BasePlatform):
    async def initialize(self, config: dict[str, Any]) -> None:
        self.units = config.get("units", "metric")
        self.health = PluginHealth("healthy")

    async def health_check(self) -> PluginHealth:
        return self.health

    async def handle_request(self, method: str, params: Any) -> Any:
        if method == "locate":
            return {"ip": params["ip"], "country": "PL", "units": self.units, "city": "Łódź"}
        if method == "feel":
            self.health = PluginHealth(params["status"], params.get("message", ""), {"cache": "cold"})
            return None
        if method == "die":
            os._exit(7)
        raise MethodNotFound(method)

    async def shutdown(self) -> None:
        print("geo says goodbye", flush=True)
