"""The extension `io.modelcontextprotocol/tasks`: a tool hands its slow part to `in_task`, the client polls for it.

Not here: the tools themselves (`tools.py`). A task that asks waits for `tasks/update`, where a call without a task
ends with `input_required`.
"""

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError

EXTENSION = "io.modelcontextprotocol/tasks"
TASKS_MAX = 1024
TTL_MS = 300_000
POLL_MS = 100
HEADER_MISMATCH = -32020

tasks: dict[str, "Task"] = {}


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def require(ctx) -> None:
    capabilities = ctx.session.client_capabilities
    if EXTENSION not in (getattr(capabilities, "extensions", None) or {}):
        raise MCPError(
            types.MISSING_REQUIRED_CLIENT_CAPABILITY,
            "the client did not declare the tasks extension",
            {"requiredCapabilities": {"extensions": {EXTENSION: {}}}},
        )


class Task:
    """One piece of work and what the client may know about it."""

    def __init__(self):
        self.id = secrets.token_urlsafe(16)
        self.created = self.updated = now()
        self.status = "working"
        self.outcome: dict = {}
        self.questions: dict[str, tuple[Any, type, asyncio.Future]] = {}
        self.work: asyncio.Task | None = None

    def settle(self, status: str, **outcome) -> None:
        if self.status not in ("completed", "failed", "cancelled"):
            self.status, self.updated, self.outcome = status, now(), outcome

    async def run(self, work, as_result) -> None:
        """Ends in exactly one of three states; a tool's own failure is a result like any other."""
        try:
            self.settle("completed", result=as_result(await work(self)))
        except asyncio.CancelledError:
            self.settle("cancelled")
        except ValueError as error:
            self.settle("completed", result=as_result(error))
        except MCPError as error:
            self.settle("failed", error={"code": error.error.code, "message": error.error.message})

    async def ask(self, questions: dict, answer_types: dict) -> dict:
        waiting = {key: asyncio.get_running_loop().create_future() for key in questions}
        for key, question in questions.items():
            self.questions[key] = (question, answer_types[question.method][1], waiting[key])
        self.status, self.updated = "input_required", now()
        answers = {key: await future for key, future in waiting.items()}
        self.status, self.updated = "working", now()
        return answers

    def answer(self, key: str, value) -> None:
        """An answer to nothing that is asked is ignored."""
        if key in self.questions:
            _, answer_type, future = self.questions.pop(key)
            future.set_result(answer_type.model_validate(value))

    def summary(self) -> dict:
        return {
            "taskId": self.id,
            "status": self.status,
            "createdAt": self.created,
            "lastUpdatedAt": self.updated,
            "ttlMs": TTL_MS,
            "pollIntervalMs": POLL_MS,
        }

    def detail(self) -> dict:
        asked = {
            key: question.model_dump(by_alias=True, mode="json", exclude_none=True)
            for key, (question, _, _) in self.questions.items()
        }
        return {**self.summary(), **self.outcome, **({"inputRequests": asked} if asked else {})}


def start(work, as_result) -> dict:
    """The answer of the tools/call that starts the task, which can already be polled when the client reads it."""
    if len(tasks) >= TASKS_MAX:
        tasks.pop(next(iter(tasks))).work.cancel()
    task = Task()
    tasks[task.id] = task
    task.work = asyncio.create_task(task.run(work, as_result))
    return {"resultType": "task", **task.summary()}


class TaskParams(types.RequestParams):
    task_id: str


class UpdateParams(TaskParams):
    input_responses: dict[str, Any]


def find(ctx, params: TaskParams) -> Task:
    require(ctx)
    header = ctx.request.headers.get("mcp-name") if ctx.request is not None else params.task_id
    if header != params.task_id:
        raise MCPError(HEADER_MISMATCH, "Mcp-Name does not match params.taskId")
    if params.task_id not in tasks:
        raise MCPError(types.INVALID_PARAMS, f"unknown task `{params.task_id}`")
    return tasks[params.task_id]


async def tasks_get(ctx, params):
    return find(ctx, params).detail()


async def tasks_update(ctx, params):
    task = find(ctx, params)
    for key, value in params.input_responses.items():
        task.answer(key, value)
    return {}


async def tasks_cancel(ctx, params):
    task = find(ctx, params)
    task.settle("cancelled")
    task.work.cancel()
    return {}


def register(server) -> None:
    server.extensions[EXTENSION] = {}
    server.add_request_handler("tasks/get", TaskParams, tasks_get)
    server.add_request_handler("tasks/update", UpdateParams, tasks_update)
    server.add_request_handler("tasks/cancel", TaskParams, tasks_cancel)
