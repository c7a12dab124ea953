//! The Streamable HTTP transport of the demo servers: both eras on one URL. This file decides what a request is and
//! answers it; `http/checks` has the checks of its head, `http/sessions` the legacy sessions, `http/events` the streams.
//!
//! An answer that is there at once is JSON; one that takes time or follows notifications is a stream, so that closing it
//! cancels the call and a cancelled call can end without an answer.

mod checks;
mod events;
mod sessions;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full, LengthLimitError, Limited};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, body, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::Eras;
use super::rpc::{ClientMessage, Fault, FaultAnswer, MessageEra};
use super::server::{Conversation, Reply, Server};
use crate::limits::{BODY_BYTES_MAX, BODY_TIMEOUT, CONNECTIONS_MAX, HEAD_TIMEOUT};
use events::Events;
use sessions::HeldSessions;

/// After a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
const PATH: &str = "/mcp";
const SESSION_ID: &str = "mcp-session-id";

type AnswerBody = Either<Full<Bytes>, Events>;

/// An answer without a result.
#[derive(Debug)]
enum Rejection {
    Status(StatusCode),
    /// 405 and what the method may be.
    Method {
        allowed: &'static str,
    },
    /// With a JSON-RPC error for a body.
    Refused(StatusCode, FaultAnswer),
}

struct HttpServer {
    server: Server,
    sessions: HeldSessions,
    /// Whether only this machine can connect, so that Host tells a rebound name.
    loopback: bool,
}

/// Listens on `address` and serves until dropped.
pub(super) async fn serve(server: Server, address: SocketAddr, ready: impl FnOnce(SocketAddr)) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let loopback = address.ip().is_loopback();
    let server = Arc::new(HttpServer { server, sessions: HeldSessions::new()?, loopback });
    // At the bound, connections wait in the accept queue.
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    ready(address);
    loop {
        let permit = Arc::clone(&connections).acquire_owned().await.map_err(io::Error::other)?;
        let Ok((stream, _)) = listener.accept().await else {
            // The connection is gone already, or the process is out of descriptors: neither is a reason to stop.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // A stream of small events must not wait for acknowledgements; if it has to, it still arrives.
        drop(stream.set_nodelay(true));
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let service = service_fn(|request| async { Ok::<_, Infallible>(server.respond(request).await) });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
            // However the connection ends, there is nobody left to tell.
            drop(http.serve_connection(TokioIo::new(stream), service).await);
            drop(permit);
        });
    }
}

// === impl HttpServer ===

impl HttpServer {
    async fn respond(&self, request: Request<body::Incoming>) -> Response<AnswerBody> {
        let (head, body) = request.into_parts();
        self.receive(&head, body).await.unwrap_or_else(Rejection::into_response)
    }

    async fn receive(&self, head: &Parts, body: body::Incoming) -> Result<Response<AnswerBody>, Rejection> {
        checks::origin(head, self.loopback)?;
        if head.uri.path() != PATH {
            return Err(Rejection::Status(StatusCode::NOT_FOUND));
        }
        match head.method {
            Method::POST => {
                checks::media_types(head)?;
                let bytes = read_body(body).await?;
                let incoming = ClientMessage::parse(&bytes).map_err(Rejection::bad_request)?;
                match self.era(head, &incoming) {
                    MessageEra::Modern => self.receive_modern(head, incoming).await,
                    MessageEra::Legacy => self.receive_legacy(head, incoming).await,
                }
            }
            Method::DELETE if self.server.eras() != Eras::Modern && !checks::names_modern_version(head) => {
                self.sessions.end(head)?;
                Ok(empty(StatusCode::NO_CONTENT))
            }
            // Nothing is sent outside a call, so there is no stream to GET.
            _ if self.server.eras() == Eras::Modern => Err(Rejection::Method { allowed: "POST" }),
            _ => Err(Rejection::Method { allowed: "POST, DELETE" }),
        }
    }

    fn era(&self, head: &Parts, incoming: &ClientMessage) -> MessageEra {
        match self.server.eras() {
            Eras::Modern => MessageEra::Modern,
            Eras::Legacy => MessageEra::Legacy,
            Eras::Both if checks::names_modern_version(head) => MessageEra::Modern,
            Eras::Both => self.server.era_of(incoming),
        }
    }

    async fn receive_modern(&self, head: &Parts, incoming: ClientMessage) -> Result<Response<AnswerBody>, Rejection> {
        match &incoming {
            ClientMessage::Request(request) if self.server.refuses_handshake(request) => {}
            ClientMessage::Request(request) => {
                let refuse = |fault| Rejection::bad_request(FaultAnswer { id: Some(request.id.clone()), fault });
                let header_version = checks::mirrored_headers(head, request).map_err(refuse)?;
                let version = request.modern_version().map_err(refuse)?;
                if version != header_version {
                    return Err(refuse(Fault::HeaderMismatch(
                        "`MCP-Protocol-Version` is not the version in `_meta`".into(),
                    )));
                }
            }
            ClientMessage::Notification { .. } => {}
            ClientMessage::Response => {
                return Err(Rejection::bad_request(
                    Fault::InvalidRequest("no response is expected".into()).anonymous(),
                ));
            }
        }
        // Nothing is shared between modern requests.
        let reply = self.server.receive(&Arc::new(Conversation::default()), incoming, MessageEra::Modern);
        respond_with(reply, MessageEra::Modern).await
    }

    async fn receive_legacy(&self, head: &Parts, incoming: ClientMessage) -> Result<Response<AnswerBody>, Rejection> {
        checks::legacy_version(head)?;
        let handshake = matches!(&incoming, ClientMessage::Request(request) if request.method == "initialize");
        let conversation = if handshake { Arc::new(Conversation::default()) } else { self.sessions.find(head)? };
        let reply = self.server.receive(&conversation, incoming, MessageEra::Legacy);
        let begins = handshake && matches!(reply, Reply::Result(_));
        let mut response = respond_with(reply, MessageEra::Legacy).await?;
        if begins {
            response.headers_mut().insert(SESSION_ID, self.sessions.begin(conversation)?);
        }
        Ok(response)
    }
}

async fn read_body(body: body::Incoming) -> Result<Bytes, Rejection> {
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Rejection::Status(StatusCode::PAYLOAD_TOO_LARGE)),
        Ok(Err(_)) => Err(Rejection::Status(StatusCode::BAD_REQUEST)),
        Err(_) => Err(Rejection::Status(StatusCode::REQUEST_TIMEOUT)),
    }
}

async fn respond_with(reply: Reply, era: MessageEra) -> Result<Response<AnswerBody>, Rejection> {
    match reply {
        Reply::Nothing => Ok(empty(StatusCode::ACCEPTED)),
        Reply::Result(answer) => Ok(json(StatusCode::OK, &answer)),
        Reply::Refused(refusal) => Err(Rejection::Refused(fault_status(&refusal.fault, era), refusal)),
        Reply::Call(mut call) if call.is_plain() => Ok(match call.next().await {
            Some(answer) => json(StatusCode::OK, &answer),
            // Cancelled between begin and here.
            None => empty(StatusCode::ACCEPTED),
        }),
        Reply::Call(call) => {
            let mut response = Response::new(Either::Right(Events::new(call)));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
            Ok(response)
        }
    }
}

/// Only the modern era says by the status what is wrong with a request that can be read.
fn fault_status(fault: &Fault, era: MessageEra) -> StatusCode {
    match (era, fault) {
        (MessageEra::Modern, Fault::UnknownMethod(_)) => StatusCode::NOT_FOUND,
        (MessageEra::Modern, Fault::InvalidParams(_) | Fault::UnknownResource { .. }) | (MessageEra::Legacy, _) => {
            StatusCode::OK
        }
        (MessageEra::Modern, _) => StatusCode::BAD_REQUEST,
    }
}

fn json(status: StatusCode, message: &serde_json::Value) -> Response<AnswerBody> {
    let mut response = Response::new(Either::Left(Full::from(message.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn empty(status: StatusCode) -> Response<AnswerBody> {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = status;
    response
}

// === impl Rejection ===

impl Rejection {
    fn bad_request(refusal: FaultAnswer) -> Self {
        Self::Refused(StatusCode::BAD_REQUEST, refusal)
    }

    fn into_response(self) -> Response<AnswerBody> {
        match self {
            Self::Status(status) => empty(status),
            Self::Method { allowed } => {
                let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
                response
            }
            Self::Refused(status, refusal) => json(status, &refusal.to_json()),
        }
    }
}
