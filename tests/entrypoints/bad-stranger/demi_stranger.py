class Stranger:
    async def handle_request(self, method, params):
        return params
