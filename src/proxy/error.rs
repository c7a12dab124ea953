//! Every way the gateway itself refuses, with its HTTP status and JSON-RPC code. They are written in this file only.
//!
//! Statuses: MCP 2026-07-28, streamable HTTP, server validation; errors of legacy sessions travel in 200 as they always
//! did. Codes: JSON-RPC 2.0, and -32020 to -32022 of MCP 2026-07-28. Failures between the gateway and a backend are
//! -32603 with `data.kind`.

use std::borrow::Cow;
use std::time::Duration;

use only1mcp_model::revision::{Era, Revision};
use serde_json::{Value, json};

use super::site::Foreign;
use super::tasks::TASK_EXTENSION;
use crate::http1::HeadError;
use crate::limits;
use crate::mcp::json::{ScanError, ScanErrorKind};
use crate::upstream;

/// A refusal, before it is written.
#[derive(Debug)]
pub(crate) enum Refusal<'a> {
    /// The head could not be read.
    Head(HeadError),
    /// The body broke its framing.
    Body(crate::http1::BodyError),
    /// The body is shorter than the head said.
    BodyCutShort,
    /// The client took too long.
    RequestTimeout,
    /// `Host` names someone else.
    Host,
    /// `Origin` is not allowed.
    Origin,
    /// No such path.
    NotFound,
    /// The path has other methods: these.
    MethodNotAllowed(&'static str),
    /// The client accepts neither JSON nor an event stream.
    NotAcceptable,
    /// The body is not `application/json`, or is encoded.
    UnsupportedMediaType,
    /// `Upgrade` on a path that has none.
    Upgrade,
    /// A path of WebSockets, and a request that begins none.
    UpgradeRequired,
    /// A request that begins a WebSocket, but not as it has to.
    WebSocket(&'static str),
    /// The body is over its limit.
    PayloadTooLarge,
    /// The body is no message.
    Scan(ScanError),
    /// A message, but not a request or notification as they have to be.
    InvalidRequest(Cow<'static, str>),
    /// Standard headers are missing, doubled, malformed or differ from the body.
    HeaderMismatch(Cow<'static, str>),
    /// A version the gateway does not speak.
    UnsupportedVersion(Cow<'a, str>),
    /// No such method.
    MethodNotFound(Cow<'a, str>),
    /// A method that the gateway does not know, and the server that might, which is of another era.
    OtherEra(Cow<'a, str>, &'static str),
    /// The parameters are not what the method takes.
    InvalidParams(Cow<'static, str>),
    /// No tool, prompt or resource has this name, no list this cursor: what it would be, and the name.
    Unknown(&'static str, Cow<'a, str>),
    /// Whose prompt or resource it is completes no arguments: what of the two it is, and its name.
    NoCompletions(&'static str, Cow<'a, str>),
    /// A session is required.
    SessionRequired,
    /// A connection on which no session was begun.
    NotInitialized,
    /// The session is unknown or over.
    SessionUnknown,
    /// The stream that a message was posted to is not there.
    StreamUnknown,
    /// `MCP-Protocol-Version` of a legacy session is not one the gateway speaks.
    SessionVersion,
    /// Whose resource this is has no subscriptions: its URI.
    NoSubscriptions(Cow<'a, str>),
    /// A tool that is no task of its server's was to run as one.
    NoTasks(Cow<'a, str>),
    /// The client did not declare that it follows tasks, and asks for one.
    TasksUndeclared,
    /// Changes were asked for where there are no streams to tell them.
    Unsubscribable,
    /// A sample was asked for where no client that could give one is connected.
    NoSampling,
    /// The connection has as many calls in flight as it may: so many, or all the bytes that it may have.
    TooManyCalls(usize),
    /// There is no room for it now: why.
    Busy(&'static str),
    /// The backend asks the client of a call, and there is no room to keep the call meanwhile.
    Unparked,
    /// The backend did not answer.
    Upstream(&'a str, &'a upstream::Error),
    /// The gateway itself is at fault.
    Internal,
}

/// What a client is told.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// HTTP status.
    pub(crate) status: u16,
    /// JSON-RPC code; `None`: the body is empty.
    code: Option<i32>,
    message: Cow<'static, str>,
    data: Value,
    /// Fields beside the usual ones, each with its line end.
    pub(crate) fields: Cow<'static, str>,
    /// The connection cannot be used any further.
    pub(crate) close: bool,
}

const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
const INTERNAL_ERROR: i32 = -32603;
const HEADER_MISMATCH: i32 = -32020;
const MISSING_CAPABILITY: i32 = -32021;
const UNSUPPORTED_VERSION: i32 = -32022;

// === impl Refusal ===

impl From<Foreign> for Refusal<'_> {
    fn from(foreign: Foreign) -> Self {
        match foreign {
            Foreign::Host => Self::Host,
            Foreign::Origin => Self::Origin,
        }
    }
}

impl Refusal<'_> {
    /// What the client is told. `era` is that of the request, modern where it is not known yet.
    pub(crate) fn verdict(&self, era: Era) -> Verdict {
        match self {
            Self::Head(_) | Self::Body(_) | Self::BodyCutShort | Self::RequestTimeout => self.framing(),
            Self::Host
            | Self::Origin
            | Self::NotFound
            | Self::MethodNotAllowed(_)
            | Self::NotAcceptable
            | Self::UnsupportedMediaType
            | Self::Upgrade
            | Self::UpgradeRequired
            | Self::WebSocket(_)
            | Self::PayloadTooLarge => self.http(),
            Self::SessionRequired
            | Self::NotInitialized
            | Self::SessionUnknown
            | Self::StreamUnknown
            | Self::SessionVersion => self.session(),
            Self::MethodNotFound(_)
            | Self::OtherEra(..)
            | Self::NoCompletions(..)
            | Self::NoSubscriptions(_)
            | Self::NoTasks(_)
            | Self::Unsubscribable => self.method(era),
            Self::NoSampling | Self::TasksUndeclared => self.capability(era),
            _ => self.message(era),
        }
    }

    /// The connection's framing is lost: answer and close.
    fn framing(&self) -> Verdict {
        let (status, message) = match self {
            Self::Head(error) => match error {
                HeadError::Malformed(_) => (400, error.to_string()),
                HeadError::TargetTooLong => (414, error.to_string()),
                HeadError::TooLarge => (431, error.to_string()),
                HeadError::TransferCoding => (501, error.to_string()),
                HeadError::Version => (505, error.to_string()),
                HeadError::Expectation => (417, error.to_string()),
            },
            Self::Body(error) => (400, error.to_string()),
            Self::BodyCutShort => (400, "body is shorter than `Content-Length`".to_owned()),
            _ => (408, "request was not complete in time".to_owned()),
        };
        Verdict::new(status, INVALID_REQUEST, "invalid_request", message).closing()
    }

    /// Refused by the head alone.
    fn http(&self) -> Verdict {
        let verdict = |status, kind, message: &'static str| Verdict::new(status, INVALID_REQUEST, kind, message);
        match self {
            Self::Host => verdict(403, "forbidden", "host is not allowed: name it in `listen.mcp.hosts`"),
            Self::Origin => verdict(403, "forbidden", "origin is not allowed: name it in `listen.mcp.origins`"),
            Self::NotFound => verdict(404, "invalid_request", "no such path"),
            Self::MethodNotAllowed(allow) => {
                let mut verdict = verdict(405, "invalid_request", "method is not allowed here");
                verdict.fields = Cow::Owned(format!("allow: {allow}\r\n"));
                verdict
            }
            Self::NotAcceptable => {
                verdict(406, "invalid_request", "`Accept` must allow `application/json` and `text/event-stream`")
            }
            Self::UnsupportedMediaType => verdict(
                415,
                "invalid_request",
                "`Content-Type` must be `application/json` in UTF-8, without `Content-Encoding`",
            ),
            Self::Upgrade => verdict(400, "invalid_request", "upgrade is not offered here").closing(),
            Self::UpgradeRequired => {
                let mut verdict = verdict(426, "invalid_request", "this is the path of WebSockets, version 13");
                verdict.fields = "upgrade: websocket\r\nsec-websocket-version: 13\r\n".into();
                verdict.closing()
            }
            Self::WebSocket(message) => verdict(400, "invalid_request", message).closing(),
            _ => Verdict::new(
                413,
                INVALID_REQUEST,
                "payload_too_large",
                format!("body is longer than {} bytes", crate::limits::BODY_BYTES_MAX),
            )
            .closing(),
        }
    }

    /// Refused for want of a legacy session (MCP 2025-11-25, session management).
    fn session(&self) -> Verdict {
        let verdict = |status, message| Verdict::new(status, INVALID_REQUEST, "invalid_request", message);
        match self {
            Self::SessionRequired => verdict(400, "session required: send `initialize` first, then `Mcp-Session-Id`"),
            Self::NotInitialized => verdict(400, "no session on this connection: send `initialize` first"),
            Self::StreamUnknown => verdict(404, "stream is unknown or over: open another one"),
            Self::SessionUnknown => verdict(404, "session is unknown or over: send `initialize` again"),
            _ => verdict(400, "`MCP-Protocol-Version` is not a version of this session's era"),
        }
    }

    /// Refused because nobody here offers what its method does.
    fn method(&self, era: Era) -> Verdict {
        let message = match self {
            Self::MethodNotFound(method) => format!("method `{}` is not offered", cut(method)),
            Self::OtherEra(method, backend) => {
                let (method, other) = (cut(method), if era == Era::Modern { "legacy" } else { "modern" });
                format!(
                    "method `{method}` is not offered: the gateway does not know it, and passes it on to backend `{backend}` for {other} clients alone"
                )
            }
            Self::NoCompletions(what, name) => {
                let name = cut(name);
                format!(
                    "method `completion/complete` is not offered for {what} `{name}`: its server has no completions"
                )
            }
            Self::NoSubscriptions(uri) => {
                let uri = cut(uri);
                format!(
                    "method `resources/subscribe` is not offered for resource `{uri}`: its server has no subscriptions"
                )
            }
            Self::NoTasks(name) => format!("tool `{}` does not run as a task: call it without `task`", cut(name)),
            _ => "method is not offered: plain routes have no streams, and so no subscriptions".to_owned(),
        };
        let status = if era == Era::Modern { 404 } else { 200 };
        Verdict::new(status, METHOD_NOT_FOUND, "method_not_found", message)
    }

    /// Refused because no client declared what it takes.
    fn capability(&self, era: Era) -> Verdict {
        let (message, required) = match self {
            Self::TasksUndeclared => {
                let message = format!("extension `{TASK_EXTENSION}` is needed, and was not declared");
                (message, json!({ "extensions": { TASK_EXTENSION: {} } }))
            }
            _ => {
                let message = "no client is connected that could serve `sampling/createMessage`".to_owned();
                (message, json!({ "sampling": {} }))
            }
        };
        let status = if era == Era::Modern { 400 } else { 200 };
        let mut verdict = Verdict::new(status, MISSING_CAPABILITY, "missing_capability", message);
        verdict.data["requiredCapabilities"] = required;
        verdict
    }

    /// Refused for what the message says.
    fn message(&self, era: Era) -> Verdict {
        // Errors of legacy requests travel in 200 once the request itself could be read.
        let status = |modern| if era == Era::Modern { modern } else { 200 };
        match self {
            Self::Scan(error) => scan(error),
            Self::InvalidRequest(message) => Verdict::new(400, INVALID_REQUEST, "invalid_request", message.clone()),
            Self::HeaderMismatch(message) => Verdict::new(400, HEADER_MISMATCH, "header_mismatch", message.clone()),
            Self::UnsupportedVersion(requested) => {
                let mut verdict =
                    Verdict::new(400, UNSUPPORTED_VERSION, "unsupported_version", "protocol version is not supported");
                verdict.data["supported"] = json!([Revision::MODERN.as_str()]);
                verdict.data["requested"] = json!(requested);
                verdict
            }
            Self::InvalidParams(message) => {
                Verdict::new(status(400), INVALID_PARAMS, "invalid_params", message.clone())
            }
            Self::Unknown(what, name) => {
                let mut verdict =
                    Verdict::new(200, INVALID_PARAMS, "invalid_params", format!("Unknown {what}: {}", cut(name)));
                if *what == "resource" {
                    verdict.data["uri"] = json!(name);
                }
                verdict
            }
            Self::Upstream(backend, error) => {
                // 200, because a 5xx reaches users of the SDKs as a broken connection and not as this call's error.
                let message = format!("backend `{backend}`: {}", error.detail);
                let mut verdict = Verdict::new(200, INTERNAL_ERROR, error.kind.as_str(), message);
                verdict.data["backend"] = json!(backend);
                verdict.data["sent"] = json!(error.sent);
                verdict.data["retryable"] = json!(!error.sent);
                match error.retry_after {
                    Some(after) => verdict.until(after),
                    None => verdict,
                }
            }
            Self::Unparked => {
                let message = "as many calls wait for their clients as may: this one cannot, and was cancelled";
                let mut verdict = Verdict::new(200, INTERNAL_ERROR, upstream::Kind::Overloaded.as_str(), message);
                verdict.data["sent"] = json!(true);
                verdict.data["retryable"] = json!(false);
                verdict
            }
            Self::TooManyCalls(calls) => {
                let bytes = limits::CONNECTION_BYTES_MAX >> 20;
                let message = format!("connection has {calls} calls, or {bytes} MiB of messages, in flight already");
                Verdict::full(status(503), message)
            }
            Self::Busy(why) => Verdict::full(503, *why),
            _ => {
                let mut verdict =
                    Verdict::new(status(500), INTERNAL_ERROR, "internal", "the gateway could not serve the request");
                verdict.data["sent"] = json!(false);
                verdict.data["retryable"] = json!(true);
                verdict
            }
        }
    }
}

fn scan(error: &ScanError) -> Verdict {
    match error.kind {
        ScanErrorKind::Syntax => {
            Verdict::new(400, PARSE_ERROR, "parse_error", format!("body is not JSON at byte {}", error.at))
        }
        ScanErrorKind::NotObject => Verdict::new(400, INVALID_REQUEST, "invalid_request", "body is not a JSON object"),
        ScanErrorKind::Depth => Verdict::new(
            400,
            INVALID_REQUEST,
            "json_depth",
            format!("body nests deeper than {} levels", crate::mcp::json::DEPTH_MAX),
        ),
        ScanErrorKind::DuplicateKey(key) => {
            Verdict::new(400, INVALID_REQUEST, "duplicate_key", format!("member `{key}` stands there twice"))
        }
    }
}

/// A name of the client in a message to it: bounded.
fn cut(name: &str) -> &str {
    let mut end = name.len().min(256);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

// === impl Verdict ===

impl Verdict {
    fn new(status: u16, code: i32, kind: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code: Some(code),
            message: message.into(),
            data: json!({ "kind": kind }),
            fields: Cow::Borrowed(""),
            close: false,
        }
    }

    /// There is no place for it now: nothing was done.
    fn full(status: u16, message: impl Into<Cow<'static, str>>) -> Self {
        let mut verdict = Self::new(status, INTERNAL_ERROR, upstream::Kind::Overloaded.as_str(), message);
        verdict.data["sent"] = json!(false);
        verdict.data["retryable"] = json!(true);
        verdict.until(limits::FULL_RETRY_AFTER)
    }

    /// It may be of use to come back after so long.
    fn until(mut self, after: Duration) -> Self {
        let seconds = upstream::seconds(after);
        self.data["retryAfter"] = json!(seconds);
        self.fields = format!("retry-after: {seconds}\r\n").into();
        self
    }

    fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// The JSON-RPC error, under the client's id as written, or without one.
    pub(crate) fn body(&self, id: Option<&[u8]>) -> Vec<u8> {
        let Some(code) = self.code else { return Vec::new() };
        let mut body = br#"{"jsonrpc":"2.0","#.to_vec();
        if let Some(id) = id {
            body.extend_from_slice(br#""id":"#);
            body.extend_from_slice(id);
            body.push(b',');
        }
        let error = json!({ "code": code, "message": self.message, "data": self.data });
        body.extend_from_slice(format!(r#""error":{error}}}"#).as_bytes());
        body
    }
}

/// The HTTP status of an error where no JSON-RPC is spoken, and the status says what went wrong.
pub(crate) fn plain_status(code: i64, kind: Option<&str>) -> u16 {
    let is = |own: upstream::Kind| kind == Some(own.as_str());
    match code {
        -32700 | -32600 | -32602 | -32022..=-32020 => 400,
        -32601 => 404,
        -32603 if is(upstream::Kind::Timeout) => 504,
        -32603 if is(upstream::Kind::Overloaded) || is(upstream::Kind::CircuitOpen) => 503,
        -32603 if kind == Some("internal") => 500,
        // A backend failed, or says that the request did.
        _ => 502,
    }
}

/// The HTTP status under which an error of a backend reaches a modern client.
pub(crate) fn relayed_status(code: i64) -> u16 {
    match code {
        -32700 | -32600 | -32022..=-32020 => 400,
        -32601 => 404,
        _ => 200,
    }
}
