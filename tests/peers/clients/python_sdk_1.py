"""The Python SDK 1, which knows the legacy era only, as a client of the server at URL, over Streamable HTTP or, where `sse`
says so, over HTTP+SSE; or on the pipes of a command that it starts.
Usage: python_sdk_1.py URL [sse], or python_sdk_1.py - stdio COMMAND…"""

from contextlib import asynccontextmanager

from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from pydantic import AnyUrl

from checks import Checks, expect, main


class Calls:
    def __init__(self, session: ClientSession):
        self._session = session

    def tools(self, cursor):
        return self._session.list_tools(cursor)

    def prompts(self, cursor):
        return self._session.list_prompts(cursor)

    def resources(self, cursor):
        return self._session.list_resources(cursor)

    def call(self, name, arguments):
        return self._session.call_tool(name, arguments)

    def read(self, uri):
        return self._session.read_resource(AnyUrl(uri))

    def prompt(self, name, arguments):
        return self._session.get_prompt(name, arguments)


@asynccontextmanager
async def streams(url: str, kind: str, command: list[str]):
    """The two directions, and whether the server named a session: a stream of HTTP+SSE is one, and so are pipes."""
    if kind == "sse":
        async with sse_client(url) as (read, write):
            yield read, write, lambda: True
    elif kind == "stdio":
        async with stdio_client(StdioServerParameters(command=command[0], args=command[1:])) as (read, write):
            yield read, write, lambda: True
    else:
        async with streamablehttp_client(url) as (read, write, session_id):
            yield read, write, session_id


async def run(url: str, kind: str = "", *command: str) -> bool:
    checks = Checks(f"python-1-{kind}" if kind else "python-1", McpError)

    async def session():
        async with streams(url, kind, list(command)) as (read, write, session_id):
            async with ClientSession(read, write) as session:
                version = (await session.initialize()).protocolVersion
                expect(version == "2025-11-25", f"negotiated {version}")
                expect(session_id(), "the server named no session")
                await session.send_ping()
                await checks.all(Calls(session))
                return version

    await checks.check("connects, runs, leaves", session())
    return not checks.failed


main(run)
