//! One client over WebSocket: one message a text frame, both eras, on a connection that began as a request for `/ws`.

use std::rc::Rc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::conversation::{Conversation, Outbox};
use crate::catalog::{Topology, View};
use crate::http1::RequestHead;
use crate::limits;
use crate::proxy::Worker;
use crate::upstream::balance::HeaderKeys;
use crate::websocket::{self, CloseCode, Ending, Role, Socket};

/// What ends a conversation.
enum Last {
    /// The client, or what it sent.
    Client(Ending),
    /// The gateway stops.
    Drain,
    /// The client reads nothing, or nothing reaches it.
    Unheard,
}

/// The fields of the answer with which the connection changes hands.
pub(super) fn greeting(head: &RequestHead<'_>) -> String {
    let asked = &head.websocket;
    let accept = websocket::accept_key(asked.key.value);
    let offered = asked.protocols.iter().any(|line| !line.is_empty());
    let subprotocol = if offered { websocket::SUBPROTOCOL } else { "" };
    let field = if offered { "sec-websocket-protocol: " } else { "" };
    let end = if offered { "\r\n" } else { "" };
    format!("upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n{field}{subprotocol}{end}")
}

/// Serves until the client closes or breaks the rules, or the gateway stops. Calls in flight end with their client; when
/// the gateway stops they are still answered, and so is what was on its way then, within [`limits::DRAIN_GRACE`]. `ahead` is what came behind the request.
pub(super) async fn serve<T: Topology, S: AsyncRead + AsyncWrite + Unpin>(
    worker: Rc<Worker<T>>,
    (view, keys): (&'static View, HeaderKeys),
    stream: S,
    ahead: Vec<u8>,
) {
    let socket = Socket::new(stream, ahead, Role::Server, limits::BODY_BYTES_MAX).await;
    let (mut conversation, outbox) = Conversation::new(Rc::clone(&worker), view, keys);
    let mut writing = std::pin::pin!(write(&socket, outbox));
    let last = tokio::select! {
        last = read(&worker, &mut conversation, &socket) => last,
        () = &mut writing => Last::Unheard,
        () = socket.silence() => Last::Unheard,
    };
    match last {
        Last::Unheard => tracing::info!("a client is heard of no more: let go"),
        Last::Client(Ending::Broken(code, why)) => {
            drop(conversation);
            socket.close(code, why).await;
        }
        Last::Client(Ending::Closed(_)) => {
            drop(conversation);
            socket.close(CloseCode::Normal, "").await;
        }
        Last::Client(Ending::Lost(_)) => {}
        Last::Drain => {
            let finished = tokio::select! {
                finished = tokio::time::timeout(limits::DRAIN_GRACE, conversation.finish()) => finished.is_ok(),
                () = &mut writing => return,
                () = leave(&socket) => return,
            };
            if !finished {
                tracing::warn!("calls are left at the end of the grace period");
            }
            drop(conversation);
            writing.await;
            socket.close(CloseCode::Away, "the gateway stops").await;
        }
    }
}

/// Takes messages until none can come. One that is taken is taken to its end.
async fn read<T: Topology, S: AsyncRead + AsyncWrite + Unpin>(
    worker: &Worker<T>,
    conversation: &mut Conversation<T>,
    socket: &Socket<S>,
) -> Last {
    loop {
        let message = tokio::select! {
            message = socket.message() => message,
            () = worker.drain.passed() => return Last::Drain,
        };
        match message {
            Ok(message) => {
                if conversation.take(message).await.is_err() {
                    return Last::Client(Ending::Lost("it reads nothing".to_owned()));
                }
            }
            Err(ending) => return Last::Client(ending),
        }
    }
}

/// Ready once the client is gone. What it asks for while the gateway stops is not taken, and it is told so at the end.
async fn leave<S: AsyncRead + AsyncWrite + Unpin>(socket: &Socket<S>) {
    while socket.message().await.is_ok() {}
}

/// Writes until there is nothing left to say, or the client does not take it.
async fn write<S: AsyncRead + AsyncWrite + Unpin>(socket: &Socket<S>, mut outbox: Outbox) {
    while let Some(message) = outbox.recv().await {
        if socket.send(message.into()).await.is_err() {
            return;
        }
    }
}
