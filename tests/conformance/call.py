"""One call in flight, and what it may do: answer with content, ask the client, log, continue as a task.

Not here: what is offered (`tools.py`, `offer.py`), the life of a task (`tasks.py`). One tool body serves both eras:
`Call.ask` is a request to the client in the legacy era and an `input_required` result in the modern one.
"""

import base64
from dataclasses import dataclass, replace

import mcp_types as types
from mcp.server.subscriptions import InMemorySubscriptionBus
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

import tasks

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
WAV = base64.b64encode(
    b"RIFF\x26\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00"
    b"data\x02\x00\x00\x00\x00\x00"
).decode()
LEVELS = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]

# Modern clients hear of changes through `subscriptions/listen`, which reads this.
CHANGES = InMemorySubscriptionBus()
# Legacy clients: resource URI → session id → session; session id → lowest level it wants logged.
watchers: dict[str, dict] = {}
log_levels: dict[str, str] = {}


def text(value: str) -> dict:
    return {"type": "text", "text": value}


def embedded(uri: str, mime_type: str, value: str) -> dict:
    return {"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "text": value}}


IMAGE = {"type": "image", "data": PNG, "mimeType": "image/png"}


def outcome(content: str | list[dict] | Exception) -> dict:
    """What a tool returned or raised, as a result."""
    parts = content if isinstance(content, list) else [text(str(content))]
    return {"content": parts, "isError": isinstance(content, Exception)}


def text_object(*required: str) -> dict:
    """The schema of an object whose members are required strings."""
    return {"type": "object", "properties": {name: {"type": "string"} for name in required}, "required": [*required]}


def elicitation(message: str, schema: dict) -> types.ElicitRequest:
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=message, requested_schema=schema))


def sampling(prompt: str, max_tokens: int = 100) -> types.CreateMessageRequest:
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=prompt))
    return types.CreateMessageRequest(
        params=types.CreateMessageRequestParams(messages=[message], max_tokens=max_tokens)
    )


# What a request to the client needs the client to have declared, and the type of its answer.
ASKS = {
    "elicitation/create": ("elicitation", types.ElicitResult),
    "sampling/createMessage": ("sampling", types.CreateMessageResult),
    "roots/list": ("roots", types.ListRootsResult),
}


class InputRequired(Exception):
    """Ends a modern call with the questions that the client has to answer before it calls again."""

    def __init__(self, result: types.InputRequiredResult):
        self.result = result


@dataclass
class Call:
    """One tools/call or prompts/get in flight."""

    ctx: object
    arguments: dict
    answers: dict
    state: str | None
    task: tasks.Task | None = None

    @classmethod
    def of(cls, ctx, params) -> "Call":
        return cls(ctx, params.arguments or {}, params.input_responses or {}, params.request_state)

    @property
    def modern(self) -> bool:
        return self.ctx.protocol_version in MODERN_PROTOCOL_VERSIONS

    @property
    def session_id(self) -> str | None:
        return session_id(self.ctx)

    def can(self, capability: str) -> bool:
        return getattr(self.ctx.session.client_capabilities, capability, None) is not None

    async def ask(self, questions: dict, state: str | None = None) -> dict:
        """The client's answers by key. `state` comes back with them, or they do not count."""
        for capability, _ in (ASKS[question.method] for question in questions.values()):
            if not self.can(capability):
                raise MCPError(
                    types.MISSING_REQUIRED_CLIENT_CAPABILITY,
                    f"the client did not declare `{capability}`",
                    {"requiredCapabilities": {capability: {}}},
                )
        if self.task is not None:
            return await self.task.ask(questions, ASKS)
        if not self.modern:
            return {key: await self._request(question) for key, question in questions.items()}
        stale = state is not None and self.state != state
        open_questions = {key: question for key, question in questions.items() if stale or key not in self.answers}
        if open_questions:
            raise InputRequired(types.InputRequiredResult(input_requests=open_questions, request_state=state))
        return {key: self.answers[key] for key in questions}

    async def _request(self, question):
        # On the stream of this call: a client need not hold another one open.
        on_call = ServerMessageMetadata(related_request_id=self.ctx.request_id)
        return await self.ctx.session.send_request(question, ASKS[question.method][1], metadata=on_call)

    async def in_task(self, work, required: bool = False):
        """Runs `work(call)` as a task if the client knows tasks, and else, unless `required`, before answering."""
        try:
            tasks.require(self.ctx)
        except MCPError:
            if required:
                raise
            return await work(self)
        return tasks.start(lambda task: work(replace(self, task=task)), outcome)

    async def log(self, data: str) -> None:
        lowest = log_levels.get(self.session_id, "debug")
        if LEVELS.index("info") >= LEVELS.index(lowest):
            await self.ctx.session.send_log_message("info", data, "fixture", related_request_id=self.ctx.request_id)


def session_id(ctx) -> str | None:
    return ctx.request.headers.get("mcp-session-id") if ctx.request is not None else None
