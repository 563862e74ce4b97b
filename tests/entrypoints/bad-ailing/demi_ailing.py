from outboard_plugin import BasePlatform, PluginHealth


class Ailing(BasePlatform):
    async def initialize(self, config):
        pass

    async def health_check(self):
        raise OSError("no route to the database")

    async def handle_request(self, method, params):
        return params

    async def shutdown(self):
        pass
