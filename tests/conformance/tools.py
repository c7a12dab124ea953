"""The tools: their names, answers and schemas are the suite's, save a few that only our own tests call.

Not here: how a body asks or logs (`call.py`).
"""

import anyio
import jsonschema
import mcp_types as types
from mcp.server.subscriptions import PromptsListChanged, ResourceUpdated, ToolsListChanged
from mcp.shared.exceptions import MCPError

from call import (
    ASKS,
    CHANGES,
    IMAGE,
    WAV,
    Call,
    InputRequired,
    elicitation,
    embedded,
    outcome,
    sampling,
    text,
    text_object,
    watchers,
)

TOOLS: dict[str, tuple[types.Tool, object]] = {}


def tool(description: str, schema: dict | None = None):
    """Offers the function, by its own name, as a tool. It returns content or a text."""

    def register(body):
        definition = types.Tool(
            name=body.__name__, description=description, input_schema=schema or {"type": "object", "properties": {}}
        )
        TOOLS[body.__name__] = (definition, body)
        return body

    return register


@tool("Answers one text")
async def test_simple_text(call):
    return "This is a simple text response for testing."


@tool("Answers one image")
async def test_image_content(call):
    return [IMAGE]


@tool("Answers one sound")
async def test_audio_content(call):
    return [{"type": "audio", "data": WAV, "mimeType": "audio/wav"}]


@tool("Answers one embedded resource")
async def test_embedded_resource(call):
    return [embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")]


@tool("Answers a text, an image and a resource")
async def test_multiple_content_types(call):
    return [
        text("Multiple content types test:"),
        IMAGE,
        embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
    ]


@tool("Fails")
async def test_error_handling(call):
    raise ValueError("This tool intentionally returns an error for testing")


@tool("Logs three times while it runs")
async def test_tool_with_logging(call):
    for message in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await call.log(message)
        await anyio.sleep(0.05)
    return "logged"


@tool("Logs only what the request asked to be logged")
async def test_logging_tool(call):
    await call.log("Tool execution started")
    return "logged"


@tool("Reports progress three times")
async def test_tool_with_progress(call):
    for progress in (0, 50, 100):
        await call.ctx.session.report_progress(progress, 100, f"{progress} of 100")
        await anyio.sleep(0.05)
    return "done"


@tool("Closes its stream before it answers, so that the client has to come back for the answer")
async def test_reconnection(call):
    if call.ctx.close_sse_stream is not None:
        await call.ctx.close_sse_stream()
    await anyio.sleep(0.1)
    return "Reconnection test completed successfully"


@tool("Asks the client's model", text_object("prompt"))
async def test_sampling(call):
    answers = await call.ask({"completion": sampling(call.arguments["prompt"])})
    return f"LLM response: {answers['completion'].content.text}"


@tool("Asks the user", text_object("message"))
async def test_elicitation(call):
    answers = await call.ask({"contact": elicitation(call.arguments["message"], text_object("username", "email"))})
    return elicited(answers["contact"], "User response:")


def elicited(answer: types.ElicitResult, prefix: str = "Elicitation completed:") -> str:
    return f"{prefix} action={answer.action}, content={answer.content}"


@tool("Asks for one value of every primitive type, each with a default")
async def test_elicitation_sep1034_defaults(call):
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "default": "John Doe"},
            "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
            "verified": {"type": "boolean", "default": True},
        },
        "required": [],
    }
    answers = await call.ask({"user": elicitation("Please check these values", schema)})
    return elicited(answers["user"])


@tool("Asks for one choice of every enumeration form")
async def test_elicitation_sep1330_enums(call):
    options = ["option1", "option2", "option3"]
    titled = [{"const": f"value{n}", "title": f"Option {n}"} for n in (1, 2, 3)]
    schema = {
        "type": "object",
        "properties": {
            "untitledSingle": {"type": "string", "enum": options},
            "titledSingle": {"type": "string", "oneOf": titled},
            "legacyEnum": {"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]},
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
            "titledMulti": {"type": "array", "items": {"anyOf": titled}},
        },
        "required": [],
    }
    answers = await call.ask({"choices": elicitation("Please choose", schema)})
    return elicited(answers["choices"])


@tool("Cannot run without the client's model")
async def test_missing_capability(call):
    return await test_sampling(Call(call.ctx, {"prompt": "Say hello"}, call.answers, call.state))


@tool("Reports progress, then asks the user")
async def test_streaming_elicitation(call):
    await call.ctx.session.report_progress(1, 2)
    answers = await call.ask({"user_name": elicitation("What is your name?", text_object("name"))})
    return elicited(answers["user_name"])


@tool("Tells every listening client that the tool list changed")
async def test_trigger_tool_change(call):
    await CHANGES.publish(ToolsListChanged())
    if not call.modern:
        await call.ctx.session.send_tool_list_changed()
    return "announced"


@tool("Tells every listening client that the prompt list changed")
async def test_trigger_prompt_change(call):
    await CHANGES.publish(PromptsListChanged())
    if not call.modern:
        await call.ctx.session.send_prompt_list_changed()
    return "announced"


@tool("Tells every subscriber that a resource changed", text_object("uri"))
async def test_trigger_resource_update(call):
    uri = call.arguments["uri"]
    await CHANGES.publish(ResourceUpdated(uri=uri))
    for session in list(watchers.get(uri, {}).values()):
        await session.send_resource_updated(uri)
    return "announced"


@tool(
    "Answers the region, which HTTP clients must also send as a header",
    {
        "type": "object",
        "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
        "required": ["region"],
    },
)
async def test_custom_header(call):
    return call.arguments["region"]


@tool(
    "Takes an argument described with the whole vocabulary of JSON Schema 2020-12",
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            }
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    },
)
async def json_schema_2020_12_tool(call):
    return f"arguments: {sorted(call.arguments)}"


@tool("Asks for a name")
async def test_input_required_result_elicitation(call):
    answers = await call.ask({"user_name": elicitation("What is your name?", text_object("name"))})
    return f"Hello, {answers['user_name'].content['name']}!"


@tool("Asks the client's model for a capital")
async def test_input_required_result_sampling(call):
    answers = await call.ask({"capital_question": sampling("What is the capital of France?")})
    return answers["capital_question"].content.text


@tool("Asks for the client's roots")
async def test_input_required_result_list_roots(call):
    answers = await call.ask({"client_roots": types.ListRootsRequest()})
    return ", ".join(str(root.uri) for root in answers["client_roots"].roots)


CONFIRMATION = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}


@tool("Asks for a confirmation and wants its state back")
async def test_input_required_result_request_state(call):
    await call.ask({"confirm": elicitation("Please confirm", CONFIRMATION)}, state="confirm")
    return "state-ok"


@tool("Asks for a confirmation and refuses a state that was changed")
async def test_input_required_result_tampered_state(call):
    await call.ask({"confirm": elicitation("Please confirm", CONFIRMATION)}, state="sealed")
    return "state-ok"


@tool("Asks three things at once")
async def test_input_required_result_multiple_inputs(call):
    answers = await call.ask(
        {
            "user_name": elicitation("What is your name?", text_object("name")),
            "greeting": sampling("Generate a greeting", 50),
            "client_roots": types.ListRootsRequest(),
        },
        state="three",
    )
    return f"{answers['greeting'].content.text} {answers['user_name'].content['name']}"


@tool("Asks twice, the second time knowing the first answer")
async def test_input_required_result_multi_round(call):
    if call.state is not None and call.state.startswith("name:"):
        name = call.state.removeprefix("name:")
    else:
        first = {"step1": elicitation("Step 1: What is your name?", text_object("name"))}
        name = (await call.ask(first, state="step1"))["step1"].content["name"]
    second = {"step2": elicitation("Step 2: What is your favorite color?", text_object("color"))}
    color = (await call.ask(second, state=f"name:{name}"))["step2"].content["color"]
    return f"{name} likes {color}"


@tool("Asks only what the client declared that it can answer")
async def test_input_required_result_capabilities(call):
    questions = {
        "user_name": elicitation("What is your name?", text_object("name")),
        "greeting": sampling("Generate a greeting"),
        "client_roots": types.ListRootsRequest(),
    }
    answers = await call.ask({key: asked for key, asked in questions.items() if call.can(ASKS[asked.method][0])})
    return f"answered: {sorted(answers)}"


@tool("Greets, at once", text_object("name"))
async def greet(call):
    return f"Hello, {call.arguments['name']}!"


@tool(
    "Sleeps, then answers",
    {
        "type": "object",
        "properties": {"seconds": {"type": "number"}, "label": {"type": "string"}},
        "required": ["seconds"],
    },
)
async def slow_compute(call):
    async def sleep(call):
        await anyio.sleep(call.arguments["seconds"])
        return f"slept for {call.arguments['seconds']} s"

    return await call.in_task(sleep)


@tool("Fails, after a while, as a tool")
async def failing_job(call):
    async def fail(call):
        await anyio.sleep(0.2)
        raise ValueError("this job always fails")

    return await call.in_task(fail, required=True)


@tool("Fails, after a while, as a server")
async def protocol_error_job(call):
    async def fail(call):
        await anyio.sleep(0.2)
        raise MCPError(types.INTERNAL_ERROR, "this job breaks the server")

    return await call.in_task(fail, required=True)


@tool("Asks for a confirmation before it deletes nothing", text_object("filename"))
async def confirm_delete(call):
    async def confirm(call):
        answers = await call.ask({"confirm": elicitation(f"Delete {call.arguments['filename']}?", CONFIRMATION)})
        return elicited(answers["confirm"], "Confirmation:")

    return await call.in_task(confirm)


@tool("Asks two things that can be answered one by one")
async def multi_input(call):
    async def both(call):
        questions = {
            "name": elicitation("What is your name?", text_object("name")),
            "confirm": elicitation("Please confirm", CONFIRMATION),
        }
        return f"answered: {sorted(await call.ask(questions))}"

    return await call.in_task(both)


@tool("Asks for a name, then greets in a task")
async def test_tool_with_task(call):
    answers = await call.ask({"user_name": elicitation("What is your name?", text_object("name"))})

    async def greet_in_task(call):
        return f"Hello, {answers['user_name'].content['name']}!"

    return await call.in_task(greet_in_task, required=True)


def input_schema(name: str) -> dict | None:
    return TOOLS[name][0].input_schema if name in TOOLS else None


async def list_tools(ctx, params):
    return types.ListToolsResult(tools=[definition for definition, _ in TOOLS.values()])


async def call_tool(ctx, params):
    if params.name not in TOOLS:
        raise MCPError(types.INVALID_PARAMS, f"unknown tool `{params.name}`")
    definition, body = TOOLS[params.name]
    call = Call.of(ctx, params)
    try:
        jsonschema.validate(call.arguments, definition.input_schema)
        content = await body(call)
    except InputRequired as required:
        return required.result
    except (ValueError, jsonschema.ValidationError) as error:
        content = error
    # A task is the extension's own kind of result; the rest is the protocol's.
    return content if isinstance(content, dict) else types.CallToolResult.model_validate(outcome(content))
