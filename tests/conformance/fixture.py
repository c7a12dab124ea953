"""The MCP server that the public conformance suite expects to find behind the gateway.

Wiring only: the published Python SDK serves both eras over Streamable HTTP or HTTP+SSE on loopback, or over stdio. What
it offers is in `tools.py`, `offer.py` and `tasks.py`. Over HTTP, its first and only line on stdout is its URL.
"""

import argparse
import json
import logging
import socket
import sys
import warnings
from collections import deque

import anyio
import uvicorn
from mcp.server import CacheHint, NotificationOptions, Server
from mcp.server.caching import CACHEABLE_METHODS
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.sse import SseServerTransport
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http import EventMessage, EventStore
from mcp.server.subscriptions import ListenHandler
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp_types import INVALID_REQUEST, UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

import call
import offer
import tasks
import tools

NAME = "conformance-fixture"
EVENTS_MAX = 4096
# How long a client waits before it comes back for the rest of a stream that was closed.
RETRY_MS = 200


class Fixture(Server):
    """The SDK's server, which also tells legacy clients that its lists may change."""

    def create_initialization_options(self, notification_options=None, *rest, **named):
        changes = notification_options or NotificationOptions(True, True, True)
        return super().create_initialization_options(changes, *rest, **named)


class RecentEvents(EventStore):
    """The last events of every stream, for clients that come back with `Last-Event-ID`."""

    def __init__(self):
        self._events = deque(maxlen=EVENTS_MAX)
        self._last_id = 0

    async def store_event(self, stream_id, message):
        self._last_id += 1
        self._events.append((self._last_id, stream_id, message))
        return str(self._last_id)

    async def replay_events_after(self, last_event_id, send_callback):
        seen = int(last_event_id) if last_event_id.isdigit() else -1
        stream = next((stream for id, stream, _ in self._events if id == seen), None)
        for id, event_stream, message in list(self._events):
            # A priming event has no message: there is nothing to replay.
            if event_stream == stream and id > seen and message is not None:
                await send_callback(EventMessage(message, str(id)))
        return stream


class OneEra:
    """Refuses the other era the way servers do that never heard of it, or gave it up."""

    def __init__(self, app, era: str):
        self._app = app
        self._modern = era == "modern"

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            request = Request(scope, receive)
            asked = request.headers.get("mcp-protocol-version", "")
            legacy = not asked or asked in HANDSHAKE_PROTOCOL_VERSIONS
            if legacy == self._modern:
                return await (await self._refusal(request, asked))(scope, receive, send)
        return await self._app(scope, receive, send)

    async def _refusal(self, request: Request, asked: str) -> JSONResponse:
        if self._modern:
            data = {"supported": list(MODERN_PROTOCOL_VERSIONS), "requested": asked}
            error = {"code": UNSUPPORTED_PROTOCOL_VERSION, "message": "Unsupported protocol version", "data": data}
            id = json.loads(await request.body() or "{}").get("id")
        else:
            # The first SDKs looked at the header before they read the body.
            error = {"code": INVALID_REQUEST, "message": f"Bad Request: Unsupported protocol version: {asked}"}
            id = "server-error"
        return JSONResponse({"jsonrpc": "2.0", "id": id, "error": error}, status_code=400)


def fixture() -> Fixture:
    server = Fixture(
        NAME,
        version="1.0.0",
        instructions="Every item has a fixed answer; the names are the conformance suite's.",
        cache_hints={method: CacheHint(ttl_ms=60_000, scope="public") for method in CACHEABLE_METHODS},
        get_tool_input_schema=tools.input_schema,
        on_list_tools=tools.list_tools,
        on_call_tool=tools.call_tool,
        on_list_resources=offer.list_resources,
        on_list_resource_templates=offer.list_resource_templates,
        on_read_resource=offer.read_resource,
        on_subscribe_resource=offer.subscribe,
        on_unsubscribe_resource=offer.unsubscribe,
        on_subscriptions_listen=ListenHandler(call.CHANGES),
        on_list_prompts=offer.list_prompts,
        on_get_prompt=offer.get_prompt,
        on_completion=offer.complete,
        on_set_logging_level=offer.set_logging_level,
    )
    tasks.register(server)
    # Seals every `requestState`, so that a changed one is refused before a tool sees it.
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=NAME))
    return server


async def serve_stdio() -> None:
    server = fixture()
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def sse_app() -> Starlette:
    transport, server = SseServerTransport("/messages/"), fixture()

    async def stream(request):
        async with transport.connect_sse(request.scope, request.receive, request._send) as (read, write):
            await server.run(read, write, server.create_initialization_options())
        return Response()

    return Starlette(routes=[Route("/sse", stream), Mount("/messages/", app=transport.handle_post_message)])


def serve_http(port: int, era: str, sse: bool) -> None:
    if sse:
        app = sse_app()
    else:
        app = fixture().streamable_http_app(event_store=RecentEvents(), retry_interval=RETRY_MS)
    if era != "both":
        app = OneEra(app, era)
    with socket.create_server(("127.0.0.1", port)) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}/{'sse' if sse else 'mcp'}", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


def main() -> None:
    arguments = argparse.ArgumentParser(description="MCP fixture server of the conformance suite")
    arguments.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1; 0 lets the system choose")
    arguments.add_argument("--stdio", action="store_true", help="serve stdin and stdout instead of HTTP")
    arguments.add_argument("--sse", action="store_true", help="serve HTTP+SSE instead of Streamable HTTP")
    arguments.add_argument(
        "--era", choices=["both", "legacy", "modern"], default="both", help="the only one spoken over HTTP"
    )
    chosen = arguments.parse_args()

    # What 2026-07-28 deprecates is what the legacy half of the suite asks for.
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    if chosen.stdio:
        anyio.run(serve_stdio)
    else:
        serve_http(chosen.port, chosen.era, chosen.sse)


if __name__ == "__main__":
    main()
