//! Requests of the legacy era: the handshake, and sessions from their beginning to their end.

mod stream;

use serde::Deserialize;

pub(super) use stream::stream;

use super::error::Refusal;
use super::session::{Session, Sessions};
use super::{Carrier, Downstream, Post, Worker, respond};
use crate::catalog::{Era, Revision, Topology, View};
use crate::http1::{Field, RequestHead};
use crate::mcp::client::{Profile, SessionKey};
use crate::mcp::envelope::{Id, Shape};
use crate::mcp::method::{CallKind, Level, Method, TaskKind};
use crate::upstream::Gone;

/// What a valid legacy message asks for.
#[derive(Debug)]
pub(crate) enum Valid<'a> {
    /// The handshake.
    Initialize,
    /// A request within a session.
    Request(Method, Session),
    /// A notification, or a response to a request that nobody made.
    Taken,
    /// The request of a session with this id, as written, is not wanted any more.
    Cancelled(SessionKey, &'a [u8]),
}

/// Validates a legacy message.
pub(crate) fn validate<'a, T: Topology>(worker: &Worker<T>, post: &Post<'a>) -> Result<Valid<'a>, Refusal<'a>> {
    let message = post.message;
    let method = message.method.map(|method| method.decode(post.body));
    if message.shape == Shape::Request && method.as_deref() == Some("initialize") {
        return Ok(Valid::Initialize);
    }
    let session = match post.carrier {
        Carrier::Http(head) => {
            let session = session_of(worker, post.view, head)?;
            take_answer(worker, Some(session), post);
            if let Some(id) = super::cancelled(message, post.body) {
                return Ok(Valid::Cancelled(session.key, id));
            }
            session
        }
        Carrier::Connection(agreement) if message.shape == Shape::Response => {
            take_answer(worker, agreement.session(), post);
            return Ok(Valid::Taken);
        }
        // JSON-RPC 2.0, section 4.1: a notification has no answer, not even an error. HTTP has a status to answer with.
        Carrier::Connection(_) if message.shape == Shape::Notification => return Ok(Valid::Taken),
        Carrier::Connection(agreement) => agreement.session().ok_or(Refusal::NotInitialized)?,
    };
    match (message.shape, method) {
        (Shape::Request, Some(method)) => match Method::parse(&method) {
            Some(Method::Discover | Method::Listen | Method::Call(CallKind::Task(TaskKind::Update))) | None => {
                Err(Refusal::MethodNotFound(method))
            }
            // MCP 2025-11-25 is the first that has them.
            Some(Method::Call(CallKind::Task(_))) if session.revision < Revision::LEGACY => {
                Err(Refusal::MethodNotFound(method))
            }
            Some(method) => Ok(Valid::Request(method, session)),
        },
        (Shape::Notification | Shape::Response, _) => Ok(Valid::Taken),
        _ => Err(Refusal::InvalidRequest("message is neither request, notification nor response".into())),
    }
}

/// Hands a response to whoever asked its client. Nobody may wait for it any more, or nobody ever did: that is counted.
fn take_answer<T: Topology>(worker: &Worker<T>, session: Option<Session>, post: &Post<'_>) {
    if post.message.shape != Shape::Response {
        return;
    }
    let questions = &worker.shared.sessions.questions;
    let taken = match (session, post.message.id) {
        (Some(session), Id::String(id)) => questions.answer(session.key, id.of(post.body), post.body),
        _ => false,
    };
    if !taken {
        tracing::debug!("a response to a request that nobody made was dropped");
        worker.counts.dropped_answers.add(1);
    }
}

/// The revision of the session that a message belongs to, if it belongs to one.
pub(super) fn revision<T: Topology>(worker: &Worker<T>, view: &'static View, carrier: Carrier<'_>) -> Option<Revision> {
    let session = match carrier {
        Carrier::Http(head) => session_of(worker, view, head).ok(),
        Carrier::Connection(agreement) => agreement.session(),
    };
    session.map(|session| session.revision)
}

/// The session that a request belongs to. It is one of the view it was begun in: elsewhere nobody knows it.
fn session_of<T: Topology>(
    worker: &Worker<T>,
    view: &'static View,
    head: &RequestHead<'_>,
) -> Result<Session, Refusal<'static>> {
    let id = session_id(head.session_id)?;
    let session = worker.shared.sessions.find(&worker.opened, view, id).ok_or(Refusal::SessionUnknown)?;
    // MCP 2025-06-18, protocol version header: one that is not spoken is 400, none at all is an older client.
    match head.protocol_version {
        Field { count: 0, .. } => Ok(session),
        version => match version.once().and_then(Revision::parse) {
            Some(revision) if revision.era() == Era::Legacy => Ok(session),
            _ => Err(Refusal::SessionVersion),
        },
    }
}

fn session_id(field: Field<'_>) -> Result<&[u8], Refusal<'static>> {
    match field.count {
        0 => Err(Refusal::SessionRequired),
        1 if field.value.len() <= 1024 && field.value.iter().all(u8::is_ascii_graphic) => Ok(field.value),
        _ => Err(Refusal::InvalidRequest("`Mcp-Session-Id` is malformed".into())),
    }
}

/// Answers `initialize`: the version the client asked for where the gateway speaks it in this era, else the newest
/// legacy one (MCP 2025-11-25, lifecycle, version negotiation).
pub(crate) async fn initialize<T: Topology, D: Downstream>(
    worker: &Worker<T>,
    post: &Post<'_>,
    id: &[u8],
    downstream: &D,
) -> Result<(), Gone> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params {
        protocol_version: String,
        #[serde(default)]
        capabilities: serde_json::Value,
    }
    let params = post.message.params.and_then(|params| serde_json::from_slice(params.span.of(post.body)).ok());
    let Some(Params { protocol_version, capabilities }) = params else {
        let refusal = Refusal::InvalidParams("`params.protocolVersion` must be a string".into());
        return respond::refuse(downstream, &refusal, Era::Legacy, Some(id)).await;
    };
    let asked = Revision::parse(protocol_version.as_bytes()).filter(|revision| revision.era() == Era::Legacy);
    let revision = asked.unwrap_or(Revision::LEGACY);
    let profile = Profile::declared(&capabilities);
    let begun = match post.carrier {
        Carrier::Connection(agreement) => agreement.begin(revision, profile).map(|()| String::new()),
        Carrier::Http(_) => {
            let begun = worker.shared.sessions.begin(post.view, revision, profile);
            begun.map(|token| format!("mcp-session-id: {token}\r\n"))
        }
    };
    let fields = match begun {
        Ok(fields) => fields,
        Err(error) => {
            tracing::error!(%error, "no random bits for a session");
            return respond::refuse(downstream, &Refusal::Internal, Era::Legacy, Some(id)).await;
        }
    };
    respond::result(downstream, id, post.view.initialize[revision as usize].as_bytes(), &fields).await
}

/// `logging/setLevel`: kept for the session; backends are told with its next call.
pub(crate) fn set_level(sessions: &Sessions, session: Session, post: &Post<'_>) -> Result<(), Refusal<'static>> {
    #[derive(Deserialize)]
    struct Params {
        level: String,
    }
    let params = post.message.params.and_then(|params| serde_json::from_slice(params.span.of(post.body)).ok());
    let level = params.and_then(|Params { level }| Level::parse(&level));
    let level = level.ok_or(Refusal::InvalidParams("`params.level` is not a level".into()))?;
    match post.carrier {
        Carrier::Http(_) => sessions.set_log_level(session.key, level),
        Carrier::Connection(agreement) => agreement.set_log_level(level),
    }
    Ok(())
}

/// DELETE: the client ends its session.
pub(crate) async fn end<T: Topology, D: Downstream>(
    worker: &Worker<T>,
    view: &'static View,
    head: &RequestHead<'_>,
    downstream: &D,
) -> Result<(), Gone> {
    if is_modern(head) {
        return respond::refuse(downstream, &Refusal::MethodNotAllowed("POST"), Era::Modern, None).await;
    }
    let ended = session_id(head.session_id)
        .and_then(|id| worker.shared.sessions.end(&worker.opened, view, id).ok_or(Refusal::SessionUnknown));
    match ended {
        Ok(session) => {
            worker.calls.cancel_all(session).await;
            worker.leave(session);
            downstream.answer(&super::Answer { status: 200, fields: "", body: &[], close: false }).await
        }
        Err(refusal) => respond::refuse(downstream, &refusal, Era::Legacy, None).await,
    }
}

/// MCP 2026-07-28 has neither GET nor DELETE.
fn is_modern(head: &RequestHead<'_>) -> bool {
    head.protocol_version.once().and_then(Revision::parse) == Some(Revision::MODERN)
}
