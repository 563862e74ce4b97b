"""Where addresses are, by a table of networks, with cities."""

from ipaddress import ip_address, ip_network
from typing import Any

from outboard_plugin import BasePlatform, MethodNotFound, PluginHealth

TABLE = {"192.0.2.0/24": ("PL", "Łódź"), "198.51.100.0/24": ("NO", "Bodø")}


class Geo(BasePlatform):
    async def initialize(self, config: dict[str, Any]) -> None:
        self.networks = [(ip_network(network), place) for network, place in TABLE.items()]

    async def health_check(self) -> PluginHealth:
        return PluginHealth("healthy", details={"networks": len(self.networks)})

    async def handle_request(self, method: str, params: Any) -> Any:
        if method != "locate":
            raise MethodNotFound(method)
        address = ip_address(params["ip"])
        for network, (country, city) in self.networks:
            if address in network:
                return {"ip": params["ip"], "country": country, "city": city}
        return {"ip": params["ip"], "country": None}

    async def shutdown(self) -> None:
        pass
