//! Plain JSON routes, for scripts: a method is a path, its parameters are the body, its result is the answer. A JSON-RPC
//! message is taken as well, and answered as one. Who asks here is a modern client without capabilities that sees the
//! whole catalog; what such a client is answered is decided where every other is.

use std::task::{Context, Poll};

use serde::Deserialize;

use super::erased::Erased;
use super::error::{self, Refusal};
use super::{Agreement, Answer, Carrier, Downstream, Left, Post, Worker, answer, id, respond};
use crate::catalog::{Era, Topology, View};
use crate::mcp::envelope::{self, Incoming, Shape};
use crate::mcp::json::{Kind, ScanError};
use crate::mcp::splice::Splice;
use crate::upstream::Gone;
use crate::upstream::balance::HeaderKeys;

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlainRoute {
    /// Whatever the message says, which is JSON-RPC.
    Any,
    /// This method.
    Method(&'static str),
}

const METHODS: [&str; 9] = [
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/read",
    RESOURCES_SUBSCRIBE,
    "prompts/list",
    "prompts/get",
    "resources/templates/list",
    SAMPLING,
];
const RESOURCES_SUBSCRIBE: &str = "resources/subscribe";
const SAMPLING: &str = "sampling/createMessage";

/// What `_meta` has to say, as far as the message does not.
const VERSION: &[u8] = br#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
const CAPABILITIES: &[u8] = br#""io.modelcontextprotocol/clientCapabilities":{}"#;

/// Answers with the result alone, or the error alone, under a status that says which.
struct Bare<'a>(&'a Erased<'a>);

impl PlainRoute {
    /// The route of a path, if it has one.
    pub(super) fn of(path: &str) -> Option<Self> {
        let method = path.strip_prefix('/')?;
        if method.is_empty() {
            return Some(Self::Any);
        }
        METHODS.into_iter().find(|known| *known == method).map(Self::Method)
    }
}

/// Answers one request.
pub(super) async fn serve<T: Topology>(
    worker: &Worker<T>,
    view: &'static View,
    (route, keys): (PlainRoute, HeaderKeys),
    body: &[u8],
    downstream: &Erased<'_>,
) -> Result<(), Gone> {
    let bare = Bare(downstream);
    let bare = Erased::new(&bare);
    let body = if route != PlainRoute::Any && body.trim_ascii().is_empty() { b"{}" } else { body };
    let message = match envelope::incoming(body) {
        Ok(message) => message,
        Err(error) if route == PlainRoute::Any => return super::unreadable(error, body, downstream).await,
        Err(error) => {
            return super::unreadable(ScanError { id: Default::default(), ..error }, body, &bare).await;
        }
    };
    match route {
        PlainRoute::Method(method) if !message.version_ok && message.shape == Shape::Invalid => {
            let head = format!(r#"{{"jsonrpc":"2.0","id":0,"method":"{method}","params":"#);
            let source = [head.as_bytes(), body, b"}"].concat();
            match envelope::incoming(&source) {
                Ok(message) => completed(worker, (view, keys), (&source, &message), &bare).await,
                Err(error) => super::unreadable(error, &source, &bare).await,
            }
        }
        PlainRoute::Method(method) if message.method.is_none_or(|named| !named.is(body, method)) => {
            let refusal = Refusal::InvalidRequest("`method` is not that of the path".into());
            respond::refuse(downstream, &refusal, Era::Modern, id(message.id, body).ok()).await
        }
        PlainRoute::Any | PlainRoute::Method(_) => completed(worker, (view, keys), (body, &message), downstream).await,
    }
}

/// Answers a message once it says what a modern one has to.
async fn completed<T: Topology>(
    worker: &Worker<T>,
    (view, keys): (&'static View, HeaderKeys),
    (source, message): (&[u8], &Incoming),
    downstream: &Erased<'_>,
) -> Result<(), Gone> {
    let is = |method| message.shape == Shape::Request && message.method.is_some_and(|named| named.is(source, method));
    let is_object = |kind: Option<Kind>| kind.is_none_or(|kind| kind == Kind::Object);
    let refused = if message.shape == Shape::Invalid {
        Some(Refusal::InvalidRequest("message is neither request nor notification".into()))
    } else if !is_object(message.params.map(|params| params.kind)) {
        Some(Refusal::InvalidParams("`params` must be an object".into()))
    } else if !is_object(message.meta_kind) {
        Some(Refusal::InvalidParams("`params._meta` is not an object".into()))
    } else if is(RESOURCES_SUBSCRIBE) || is("subscriptions/listen") {
        Some(Refusal::Unsubscribable)
    } else if is(SAMPLING) {
        Some(Refusal::NoSampling)
    } else {
        None
    };
    if let Some(refusal) = refused {
        return respond::refuse(downstream, &refusal, Era::Modern, id(message.id, source).ok()).await;
    }
    let mut body = Vec::with_capacity(source.len() + 160);
    complete(source, message).write(&mut body);
    let message = match envelope::incoming(&body) {
        Ok(message) => message,
        Err(error) => return super::unreadable(error, &body, downstream).await,
    };
    let agreement = Agreement::with(keys);
    let post = Post::new(view, Carrier::Connection(&agreement), &body, &message);
    answer(worker, &post, false, downstream).await
}

/// Puts in what `_meta` lacks of a message whose `params` and `_meta` are objects where they are there.
fn complete<'a>(source: &'a [u8], message: &Incoming) -> Splice<'a> {
    let mut splice = Splice::new(source);
    let (at, before, after): (u32, &[u8], &[u8]) = match (message.params, message.meta) {
        (_, Some(meta)) => (meta.value.start + 1, b"", if meta.empty { b"" } else { b"," }),
        (Some(params), None) => {
            (params.span.start + 1, br#""_meta":{"#, if message.params_empty { b"}" } else { b"}," })
        }
        (None, None) => (message.root.end - 1, br#","params":{"_meta":{"#, b"}}"),
    };
    let has = message.meta.map(|meta| (meta.protocol_version.is_some(), meta.client_capabilities.is_some()));
    let members: &[&[u8]] = match has.unwrap_or_default() {
        (false, false) => &[VERSION, b",", CAPABILITIES],
        (false, true) => &[VERSION],
        (true, false) => &[CAPABILITIES],
        (true, true) => return splice,
    };
    splice.insert(at, before);
    members.iter().for_each(|member| splice.insert(at, member));
    splice.insert(at, after);
    splice
}

// === impl Bare ===

impl Bare<'_> {
    async fn failed(&self, answer: &Answer<'_>, error: &[u8], (code, kind): (i64, Option<&str>)) -> Result<(), Gone> {
        let status = if answer.status == 200 { error::plain_status(code, kind) } else { answer.status };
        self.0.answer(&Answer { status, body: &[br#"{"error":"#, error, b"}"], ..*answer }).await
    }
}

impl Downstream for Bare<'_> {
    async fn answer(&self, answer: &Answer<'_>) -> Result<(), Gone> {
        #[derive(Deserialize)]
        struct Labelled<'d> {
            kind: &'d str,
        }
        let body = answer.body.concat();
        // What leaves the gateway was scanned or compiled: it is a message, or nothing at all.
        let Ok(message) = envelope::outgoing(&body) else { return self.0.answer(answer).await };
        if let Some(result) = message.result {
            return self.0.answer(&Answer { body: &[result.span.of(&body)], ..*answer }).await;
        }
        let Some(error) = message.error else { return self.0.answer(answer).await };
        let code = message.error_code.and_then(|code| serde_json::from_slice(code.span.of(&body)).ok());
        let data = message.error_data.and_then(|data| serde_json::from_slice::<Labelled<'_>>(data.span.of(&body)).ok());
        self.failed(answer, error.span.of(&body), (code.unwrap_or_default(), data.map(|data| data.kind))).await
    }

    async fn event(&self, _message: &[&[u8]]) -> Result<(), Gone> {
        // Nobody here reads a stream.
        Err(Gone)
    }

    fn poll_left(&self, cx: &mut Context<'_>) -> Poll<Left> {
        self.0.poll_left(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_meta_lacks_is_put_in() {
        let whole =
            r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}"#;
        let version = r#""io.modelcontextprotocol/protocolVersion":"x""#;
        let capabilities = r#""io.modelcontextprotocol/clientCapabilities":{}"#;
        for (source, expected) in [
            (r#"{"method":"a"}"#.to_owned(), format!(r#"{{"method":"a","params":{{"_meta":{{{whole}}}}}}}"#)),
            (r#"{"params":{}}"#.to_owned(), format!(r#"{{"params":{{"_meta":{{{whole}}}}}}}"#)),
            (r#"{"params":{"name":1}}"#.to_owned(), format!(r#"{{"params":{{"_meta":{{{whole}}},"name":1}}}}"#)),
            (r#"{"params":{"_meta":{}}}"#.to_owned(), format!(r#"{{"params":{{"_meta":{{{whole}}}}}}}"#)),
            (
                r#"{"params":{"_meta":{"progressToken":1}}}"#.to_owned(),
                format!(r#"{{"params":{{"_meta":{{{whole},"progressToken":1}}}}}}"#),
            ),
            (
                format!(r#"{{"params":{{"_meta":{{{version}}}}}}}"#),
                format!(r#"{{"params":{{"_meta":{{{capabilities},{version}}}}}}}"#),
            ),
        ] {
            let message = envelope::incoming(source.as_bytes()).expect("a message");
            let mut out = Vec::new();
            complete(source.as_bytes(), &message).write(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected, "{source}");
        }
    }
}
