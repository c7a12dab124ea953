"""A client on the Python SDK 1 that loses the connection of a call, and comes back for the rest of it: every step of the
call and its answer arrive once. Whoever starts this cuts the connections. Usage: resuming.py URL"""

from mcp import ClientSession, McpError
from mcp.client.streamable_http import streamablehttp_client

from checks import Checks, expect, main

STEPS = 6


async def run(url: str) -> bool:
    checks = Checks("python-1", McpError)

    async def call():
        steps = []

        async def stepped(progress, _total, _message):
            steps.append(progress)

        async with streamablehttp_client(url) as (read, write, _session_id):
            async with ClientSession(read, write) as session:
                await session.initialize()
                arguments = {"milliseconds": 3000, "steps": STEPS}
                result = await session.call_tool("admin__wait", arguments, progress_callback=stepped)
        expect(result.structuredContent["steps"] == STEPS, f"answered {result}")
        expect(steps == [1, 2, 3, 4, 5, 6], f"steps {steps}")

    await checks.check("comes back for the rest of a call", call())
    return not checks.failed


main(run)
