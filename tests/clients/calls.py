"""The MCP client of the Python SDK: calls a tool until it is told to stop, and counts what came of it.

Usage: python calls.py OUTBOARD ARGUMENT… (a line on standard input ends it)
"""

import asyncio
import json
import os
import sys
import threading

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.shared.exceptions import MCPError

over = threading.Event()


def wait_for_the_end():
    sys.stdin.readline()
    over.set()


async def main():
    counts = {"asked": 0, "answered": 0, "typed": 0, "untyped": []}
    server = StdioServerParameters(command=sys.argv[1], args=sys.argv[2:], env=dict(os.environ))
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        threading.Thread(target=wait_for_the_end, daemon=True).start()
        print("ready", flush=True)
        while not over.is_set():
            counts["asked"] += 1
            message = f"hello {counts['asked']}"
            try:
                result = await session.call_tool("echo", {"message": message})
                assert result.content[0].text == f"Echo: {message}", result
                counts["answered"] += 1
                if counts["answered"] % 50 == 0:
                    print(f"answered {counts['answered']}", flush=True)
            except MCPError as error:
                code = error.error.code
                if -31100 < code <= -31000:
                    counts["typed"] += 1
                else:
                    counts["untyped"].append(str(error))
        await session.list_tools()
        print(json.dumps(counts), flush=True)


asyncio.run(main())
