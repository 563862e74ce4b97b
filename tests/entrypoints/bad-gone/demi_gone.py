from outboard_plugin import BasePlatform, PluginHealth


class Whole(BasePlatform):
    async def initialize(self, config):
        pass

    async def health_check(self):
        return PluginHealth("healthy")

    async def handle_request(self, method, params):
        return params

    async def shutdown(self):
        pass
