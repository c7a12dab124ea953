"""A server on the Python SDK 1 over HTTP+SSE. Usage: python_sdk_1_sse.py PORT"""

import sys

from mcp.server.fastmcp import Context, FastMCP

server = FastMCP("python-sse", host="127.0.0.1", port=int(sys.argv[1]), log_level="WARNING")


@server.tool()
def add(a: int, b: int) -> int:
    return a + b


@server.tool()
async def count(steps: int, context: Context) -> str:
    for step in range(1, steps + 1):
        await context.report_progress(step, steps)
    return f"counted to {steps}"


server.run("sse")
