"""The Python SDK 2 as a client that is asked for a form, a sample and its roots by the servers behind URL, and whose
answers come back in what their tools say. Usage: asked.py URL (legacy | 2026-07-28)"""

import json
from collections import Counter
from pathlib import Path

import mcp_types as types
from mcp import Client, MCPError

from checks import Checks, expect, main

ASKED = json.loads(Path(__file__).with_name("asked.json").read_text())


async def run(url: str, mode: str) -> bool:
    checks = Checks(f"python-2 {mode}", MCPError)
    asked = Counter()

    async def roots(_context):
        asked["roots"] += 1
        return types.ListRootsResult(roots=[types.Root(uri=ASKED["root"], name="peer")])

    async def elicitation(_context, _params):
        asked["elicitation"] += 1
        content = {"name": ASKED["name"], "username": ASKED["name"], "email": "ada@example.com"}
        return types.ElicitResult(action="accept", content=content)

    async def sampling(_context, _params):
        asked["sampling"] += 1
        content = types.TextContent(type="text", text=ASKED["sample"])
        return types.CreateMessageResult(role="assistant", model="peer", content=content)

    async def calls(client: Client, tool: str, arguments: dict, text: str):
        result = await client.call_tool(tool, arguments)
        expect(text in str(result.content), f"got {result}")

    async def session():
        callbacks = {
            "list_roots_callback": roots,
            "elicitation_callback": elicitation,
            "sampling_callback": sampling,
        }
        async with Client(url, mode=mode, **callbacks) as client:
            for tool, arguments, text in ASKED["calls"]:
                await checks.check(tool, calls(client, tool, arguments, text))
        # A server may keep the roots that it was told before.
        expect(asked["elicitation"] == asked["sampling"] == 3 and asked["roots"] >= 1, f"was asked {asked}")
        return dict(asked)

    await checks.check("connects, runs, leaves", session())
    return not checks.failed


main(run)
