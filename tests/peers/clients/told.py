"""A client on the Python SDK 1 that subscribes to a resource, and is told that it and the list of tools changed. Once it is
subscribed it prints a line: then whoever starts this sees to the changes. Usage: told.py URL RESOURCE"""

import asyncio

from mcp import ClientSession, McpError, types
from mcp.client.streamable_http import streamablehttp_client

from checks import Checks, expect, main


async def run(url: str, uri: str) -> bool:
    checks = Checks("python-1", McpError)

    async def check():
        told = {types.ResourceUpdatedNotification: asyncio.Event(), types.ToolListChangedNotification: asyncio.Event()}
        uris = []

        async def heard(message):
            if isinstance(message, types.ServerNotification):
                told[type(message.root)].set()
                if isinstance(message.root, types.ResourceUpdatedNotification):
                    uris.append(str(message.root.params.uri))

        async with streamablehttp_client(url) as (read, write, _session_id):
            async with ClientSession(read, write, message_handler=heard) as session:
                declared = (await session.initialize()).capabilities
                expect(declared.resources.subscribe and declared.tools.listChanged, "nothing is declared")
                await session.subscribe_resource(uri)
                print("subscribed", flush=True)
                for event in told.values():
                    await event.wait()
                expect(uris == [uri], f"told of {uris}")
                await session.unsubscribe_resource(uri)

    await checks.check("is told of changes", check())
    return not checks.failed


main(run)
