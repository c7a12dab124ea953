"""The Python SDK 2 as a client of the server at URL, or on the pipes of a command that it starts.
Usage: python_sdk_2.py (URL | -) (auto | legacy | 2026-07-28) [COMMAND…]"""

from mcp import Client, MCPError, StdioServerParameters

from checks import Checks, expect, main

# What each mode has to end up with on a server of both eras.
NEGOTIATED = {"auto": "2026-07-28", "legacy": "2025-11-25", "2026-07-28": "2026-07-28"}


class Calls:
    def __init__(self, client: Client):
        self._client = client

    def tools(self, cursor):
        return self._client.list_tools(cursor=cursor)

    def prompts(self, cursor):
        return self._client.list_prompts(cursor=cursor)

    def resources(self, cursor):
        return self._client.list_resources(cursor=cursor)

    def call(self, name, arguments):
        return self._client.call_tool(name, arguments)

    def read(self, uri):
        return self._client.read_resource(uri)

    def prompt(self, name, arguments):
        return self._client.get_prompt(name, arguments)


async def run(url: str, mode: str, *command: str) -> bool:
    server = StdioServerParameters(command=command[0], args=list(command[1:])) if command else url
    checks = Checks(f"python-2{'-stdio' if command else ''} {mode}", MCPError)

    async def session():
        async with Client(server, mode=mode) as client:
            version = client.protocol_version
            expect(version == NEGOTIATED[mode], f"negotiated {version}")
            await checks.all(Calls(client))
            return version

    await checks.check("connects, runs, leaves", session())
    return not checks.failed


main(run)
