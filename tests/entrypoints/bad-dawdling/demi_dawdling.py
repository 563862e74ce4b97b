import asyncio

from outboard_plugin import BasePlatform, PluginHealth


class Dawdling(BasePlatform):
    async def initialize(self, config):
        pass

    async def health_check(self):
        await asyncio.Event().wait()
        return PluginHealth("healthy")

    async def handle_request(self, method, params):
        return params

    async def shutdown(self):
        pass
