//! Requests of the modern era: each validated by itself, in the order of MCP 2026-07-28, streamable HTTP, server
//! validation.

use std::borrow::Cow;

use super::Post;
use super::error::Refusal;
use crate::catalog::Revision;
use crate::http1::{Field, RequestHead};
use crate::mcp::envelope::Shape;
use crate::mcp::header;
use crate::mcp::json::{Kind, Value};
use crate::mcp::method::{CallKind, Level, Method, TaskKind};

/// What a valid modern message asks for.
#[derive(Debug)]
pub(crate) enum Valid {
    /// A request with a method that the gateway serves.
    Request(Method),
    /// A notification; the HTTP transport has none that a server acts on.
    Notification,
}

/// Whether a message is of the modern era: by its header, or by its `_meta` (MCP 2026-07-28, versioning).
pub(crate) fn is_modern(post: &Post<'_>) -> bool {
    let by_meta = post.message.meta.is_some_and(|meta| meta.protocol_version.is_some());
    let by_header = post.carrier.head().map(|head| head.protocol_version).is_some_and(|version| {
        version.count > 0 && Revision::parse(version.value).is_none_or(|revision| revision == Revision::MODERN)
    });
    by_meta || by_header
}

/// Validates a modern message.
pub(crate) fn validate<'a>(post: &Post<'a>) -> Result<Valid, Refusal<'a>> {
    let message = post.message;
    match message.shape {
        Shape::Request => {}
        Shape::Notification => return Ok(Valid::Notification),
        Shape::Response => return Err(Refusal::InvalidRequest("responses are not taken from clients".into())),
        Shape::Invalid => return Err(Refusal::InvalidRequest("message is neither request nor notification".into())),
    }
    let Some(method) = message.method else {
        return Err(Refusal::InvalidRequest("method is not a string".into()));
    };
    let method = method.decode(post.body);
    if let Some(head) = post.carrier.head() {
        standard_headers(post, head, &method)?;
    }
    metadata(post)?;
    match Method::parse(&method) {
        Some(
            Method::Initialize
            | Method::Ping
            | Method::SetLevel
            | Method::Subscribe
            | Method::Unsubscribe
            | Method::Call(CallKind::Task(TaskKind::Result)),
        )
        | None => Err(Refusal::MethodNotFound(method)),
        Some(method) => Ok(Valid::Request(method)),
    }
}

/// Each standard header stands there once and says what the body says.
fn standard_headers(post: &Post<'_>, head: &RequestHead<'_>, method: &str) -> Result<(), Refusal<'static>> {
    let mismatch = |text: String| Refusal::HeaderMismatch(Cow::Owned(text));
    let once = |field: Field<'_>, name: &str| match field.count {
        0 => Err(mismatch(format!("header `{name}` is missing"))),
        1 => Ok(()),
        _ => Err(mismatch(format!("header `{name}` stands there more than once"))),
    };
    once(head.protocol_version, "MCP-Protocol-Version")?;
    once(head.mcp_method, "Mcp-Method")?;
    if head.mcp_method.value != method.as_bytes() {
        return Err(mismatch("header `Mcp-Method` differs from `method`".to_owned()));
    }
    let (source, member) = match method {
        "tools/call" | "prompts/get" => (post.message.name, "params.name"),
        "resources/read" => (post.message.uri, "params.uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => (post.message.task_id, "params.taskId"),
        _ => return Ok(()),
    };
    once(head.mcp_name, "Mcp-Name")?;
    let Some(named) = header::decode(head.mcp_name.value) else {
        return Err(mismatch("header `Mcp-Name` is malformed".to_owned()));
    };
    // A value that is no string is an invalid parameter, reported as such further on.
    match source.and_then(Value::text) {
        Some(text) if !text.is(post.body, &named) => {
            Err(mismatch(format!("header `Mcp-Name` differs from `{member}`")))
        }
        _ => Ok(()),
    }
}

/// `_meta` is there, complete, and agrees with the header.
fn metadata<'a>(post: &Post<'a>) -> Result<(), Refusal<'a>> {
    let missing = |what: &'static str| Err(Refusal::InvalidParams(Cow::Borrowed(what)));
    let meta = match (post.message.meta, post.message.meta_kind) {
        (Some(meta), Some(Kind::Object)) => meta,
        (None, _) => return missing("`params._meta` is missing"),
        _ => return missing("`params._meta` is not an object"),
    };
    let Some(version) = meta.protocol_version.and_then(Value::text) else {
        return missing("`io.modelcontextprotocol/protocolVersion` is missing in `params._meta`");
    };
    if meta.client_capabilities.is_none_or(|capabilities| capabilities.kind != Kind::Object) {
        return missing("`io.modelcontextprotocol/clientCapabilities` is missing in `params._meta`");
    }
    let version = version.decode(post.body);
    if post.carrier.head().is_some_and(|head| version.as_bytes() != head.protocol_version.value) {
        return Err(Refusal::HeaderMismatch("header `MCP-Protocol-Version` differs from `params._meta`".into()));
    }
    if version != Revision::MODERN.as_str() {
        return Err(Refusal::UnsupportedVersion(version));
    }
    if meta.log_level.is_some() && log_level(post).is_none() {
        return missing("`io.modelcontextprotocol/logLevel` is not a level");
    }
    Ok(())
}

/// The least severity of log messages that a request asks for (MCP 2026-07-28, logging: none unless it does).
pub(crate) fn log_level(post: &Post<'_>) -> Option<Level> {
    let level = post.message.meta?.log_level?.text()?;
    Level::parse(&level.decode(post.body))
}
