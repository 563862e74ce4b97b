"""Where addresses are, by a table of networks."""

from ipaddress import ip_address, ip_network
from typing import Any

from outboard_plugin import BasePlatform, MethodNotFound, PluginHealth

TABLE = {"192.0.2.0/24": "PL", "198.51.100.0/24": "NO", "2001:db8::/32": "IS"}


class Geo(BasePlatform):
    async def initialize(self, config: dict[str, Any]) -> None:
        table = config.get("networks", TABLE)
        self.networks = [(ip_network(network), place) for network, place in table.items()]

    async def health_check(self) -> PluginHealth:
        if not self.networks:
            return PluginHealth("degraded", "no networks are configured")
        return PluginHealth("healthy", details={"networks": len(self.networks)})

    async def handle_request(self, method: str, params: Any) -> Any:
        if method != "locate":
            raise MethodNotFound(method)
        address = ip_address(params["ip"])
        places = [place for network, place in self.networks if address in network]
        return {"ip": params["ip"], "country": places[0] if places else None}

    async def shutdown(self) -> None:
        pass
