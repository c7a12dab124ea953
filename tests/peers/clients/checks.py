"""The checks of the Python clients, whichever SDK they are written on. The calls they make are in `calls.json`."""

import asyncio
import json
import sys
from pathlib import Path

CALLS = json.loads((Path(__file__).parent / "calls.json").read_text())
CALLS_AT_ONCE = 20
INVALID_PARAMS = -32602
# A request that takes longer than this on loopback is stuck.
CHECK_SECONDS_MAX = 20


def expect(condition, message) -> None:
    if not condition:
        raise AssertionError(message)


async def pages(fetch, member: str) -> list:
    """Everything a list method has, page by page."""
    items, cursor = [], None
    while True:
        page = await fetch(cursor)
        items += getattr(page, member)
        # `nextCursor` in the first SDK, `next_cursor` in the second.
        cursor = getattr(page, "next_cursor", None) or getattr(page, "nextCursor", None)
        if cursor is None:
            return items


class Checks:
    """Runs one check after the other, a line each; `name` says which client."""

    def __init__(self, name: str, error_type: type[Exception]):
        self.name = name
        self.error_type = error_type
        self.failed = False

    async def check(self, what: str, body) -> None:
        try:
            detail = await asyncio.wait_for(body, CHECK_SECONDS_MAX)
            print(f"ok     {self.name}: {what}" + (f" ({detail})" if detail else ""), flush=True)
        except Exception as error:
            self.failed = True
            print(f"FAILED {self.name}: {what}: {error!r}", flush=True)

    async def all(self, client) -> None:
        """`client`: `tools(cursor)`, `prompts(cursor)`, `resources(cursor)`, `call`, `read`, `prompt`."""
        await self.check("lists all tools", self.lists(client.tools, "tools", "name", CALLS["tool"]))
        await self.check("lists all prompts", self.lists(client.prompts, "prompts", "name", CALLS["prompt"]))
        await self.check("lists all resources", self.lists(client.resources, "resources", "uri", CALLS["resource"]))
        await self.check("calls a tool", self.calls(client))
        await self.check(f"calls it {CALLS_AT_ONCE} times at once", self.calls_at_once(client))
        await self.check("reads a resource", self.reads(client))
        await self.check("gets a prompt", self.prompts(client))
        await self.check("is told of an unknown tool", self.refuses(client))

    async def lists(self, fetch, member: str, key: str, wanted: str) -> str:
        found = [str(getattr(item, key)) for item in await pages(fetch, member)]
        expect(wanted in found, f"{wanted} is not among {found[:20]}")
        expect(len(found) == len(set(found)), "an item is listed twice")
        return f"{len(found)}"

    async def calls(self, client) -> None:
        result = await client.call(CALLS["tool"], CALLS["arguments"])
        expect(result.content[0].text == CALLS["sum"], f"got {result}")

    async def calls_at_once(self, client) -> None:
        sums = [client.call(CALLS["tool"], {"a": n, "b": 1000}) for n in range(CALLS_AT_ONCE)]
        texts = [result.content[0].text for result in await asyncio.gather(*sums)]
        expect(texts == [str(n + 1000) for n in range(CALLS_AT_ONCE)], f"got {texts}")

    async def reads(self, client) -> None:
        result = await client.read(CALLS["resource"])
        expect(str(result.contents[0].uri) == CALLS["resource"], f"asked for another URI: {result}")
        expect(result.contents[0].text.startswith(CALLS["resource_text"]), f"got {result}")

    async def prompts(self, client) -> None:
        result = await client.prompt(CALLS["prompt"], CALLS["prompt_arguments"])
        text = result.messages[0].content.text
        expect(CALLS["prompt_arguments"]["expression"] in text, f"got {text}")

    async def refuses(self, client) -> None:
        try:
            result = await client.call("no_such_tool", {})
        except self.error_type as error:
            code = error.error.code
            expect(code == INVALID_PARAMS, f"the code is {code}")
        else:
            raise AssertionError(f"got {result}")


def main(run) -> None:
    """`run(checks arguments…)` returns whether everything held."""
    sys.exit(0 if asyncio.run(run(*sys.argv[1:])) else 1)
