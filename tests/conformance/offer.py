"""The resources and prompts: their names, URIs and contents are the suite's. Tools are in `tools.py`."""

import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from call import (
    IMAGE,
    PNG,
    Call,
    InputRequired,
    elicitation,
    embedded,
    log_levels,
    session_id,
    text,
    text_object,
    watchers,
)

RESOURCE_NOT_FOUND_LEGACY = -32002
TEXT_RESOURCES = {
    "test://static-text": "This is the content of the static text resource.",
    "test://watched-resource": "Watched resource content",
}
TEMPLATE_PREFIX, TEMPLATE_SUFFIX = "test://template/", "/data"


async def list_resources(ctx, params):
    listed = [
        types.Resource(uri=uri, name=uri.removeprefix("test://"), mime_type="text/plain") for uri in TEXT_RESOURCES
    ]
    listed.append(types.Resource(uri="test://static-binary", name="static-binary", mime_type="image/png"))
    return types.ListResourcesResult(resources=listed)


async def list_resource_templates(ctx, params):
    template = types.ResourceTemplate(
        uri_template=f"{TEMPLATE_PREFIX}{{id}}{TEMPLATE_SUFFIX}", name="template", mime_type="application/json"
    )
    return types.ListResourceTemplatesResult(resource_templates=[template])


async def read_resource(ctx, params):
    uri = params.uri
    if uri in TEXT_RESOURCES:
        content = {"uri": uri, "mimeType": "text/plain", "text": TEXT_RESOURCES[uri]}
    elif uri == "test://static-binary":
        content = {"uri": uri, "mimeType": "image/png", "blob": PNG}
    elif uri.startswith(TEMPLATE_PREFIX) and uri.endswith(TEMPLATE_SUFFIX):
        id = uri.removeprefix(TEMPLATE_PREFIX).removesuffix(TEMPLATE_SUFFIX)
        answer = f'{{"id":"{id}","templateTest":true,"data":"Data for ID: {id}"}}'
        content = {"uri": uri, "mimeType": "application/json", "text": answer}
    else:
        modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
        code = types.INVALID_PARAMS if modern else RESOURCE_NOT_FOUND_LEGACY
        raise MCPError(code, "Resource not found", {"uri": uri})
    return types.ReadResourceResult.model_validate({"contents": [content]})


async def subscribe(ctx, params):
    watchers.setdefault(params.uri, {})[session_id(ctx)] = ctx.session
    return types.EmptyResult()


async def unsubscribe(ctx, params):
    watchers.get(params.uri, {}).pop(session_id(ctx), None)
    return types.EmptyResult()


# === prompts ===


def user(content: dict) -> dict:
    return {"role": "user", "content": content}


async def simple_prompt(call):
    return [user(text("This is a simple prompt for testing."))]


async def prompt_with_arguments(call):
    arg1, arg2 = call.arguments["arg1"], call.arguments["arg2"]
    return [user(text(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"))]


async def prompt_with_embedded_resource(call):
    resource = embedded(call.arguments["resourceUri"], "text/plain", "Embedded resource content for testing.")
    return [user(resource), user(text("Please process the embedded resource above."))]


async def prompt_with_image(call):
    return [user(IMAGE), user(text("Please analyze the image above."))]


async def input_required_prompt(call):
    question = elicitation("What context should the prompt use?", text_object("context"))
    answers = await call.ask({"user_context": question})
    return [user(text(f"Context: {answers['user_context'].content['context']}"))]


# Name → description, required arguments, body.
PROMPTS = {
    "test_simple_prompt": ("One text", (), simple_prompt),
    "test_prompt_with_arguments": ("A text made of its arguments", ("arg1", "arg2"), prompt_with_arguments),
    "test_prompt_with_embedded_resource": ("A resource and a text", ("resourceUri",), prompt_with_embedded_resource),
    "test_prompt_with_image": ("An image and a text", (), prompt_with_image),
    "test_input_required_result_prompt": ("Asks the user for its context", (), input_required_prompt),
}
COMPLETIONS = ["paris", "park", "party"]


async def list_prompts(ctx, params):
    prompts = []
    for name, (description, required, _) in PROMPTS.items():
        arguments = [types.PromptArgument(name=argument, required=True) for argument in required]
        prompts.append(types.Prompt(name=name, description=description, arguments=arguments))
    return types.ListPromptsResult(prompts=prompts)


async def get_prompt(ctx, params):
    if params.name not in PROMPTS:
        raise MCPError(types.INVALID_PARAMS, f"unknown prompt `{params.name}`")
    _, required, body = PROMPTS[params.name]
    call = Call.of(ctx, params)
    missing = [argument for argument in required if argument not in call.arguments]
    if missing:
        raise MCPError(types.INVALID_PARAMS, f"missing arguments: {', '.join(missing)}")
    try:
        return types.GetPromptResult.model_validate({"messages": await body(call)})
    except InputRequired as required_input:
        return required_input.result


async def complete(ctx, params):
    values = [value for value in COMPLETIONS if value.startswith(params.argument.value)]
    return types.CompleteResult(completion=types.Completion(values=values, total=len(values), has_more=False))


async def set_logging_level(ctx, params):
    log_levels[session_id(ctx)] = params.level
    return types.EmptyResult()
