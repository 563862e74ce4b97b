from outboard_plugin import BasePlatform


class Half(BasePlatform):
    async def initialize(self, config):
        pass

    async def shutdown(self):
        pass
