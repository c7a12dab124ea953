"""A server on the Python SDK 1. Usage: python_sdk_1.py (sse | streamable-http | stdio) PORT"""

import sys

from mcp.server.fastmcp import Context, FastMCP

server = FastMCP("python", host="127.0.0.1", port=int(sys.argv[2]), log_level="WARNING")


@server.tool()
def add(a: int, b: int) -> int:
    return a + b


@server.tool()
async def count(steps: int, context: Context) -> str:
    for step in range(1, steps + 1):
        await context.report_progress(step, steps)
    return f"counted to {steps}"


server.run(sys.argv[1])
