//! The listener for administration and metrics: its connections from first to last.
//!
//! `access` says who may ask, `routes` what there is to ask, `endpoint` how a request goes from one to the other, `petition`
//! what it asks, `answers` what is told, `declined` why it is not, `openapi` how all that is described.

mod access;
mod answers;
mod declined;
mod endpoint;
mod facts;
mod metrics;
mod openapi;
mod petition;
mod routes;
mod settings;
mod timestamp;
mod told;

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::pin;

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

pub(crate) use access::{Access, Token};
pub(crate) use facts::Facts;
pub(crate) use settings::Settings;

use super::Stop;
use crate::limits;
use endpoint::Endpoints;

/// After a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener that is bound, with what there is to ask.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: std::net::TcpListener,
    endpoints: Endpoints,
}

/// The same in the runtime that serves it.
pub(super) struct Entered {
    socket: TcpListener,
    endpoints: Endpoints,
}

// === impl Listener ===

impl Listener {
    pub(crate) fn new(socket: std::net::TcpListener, access: Access, facts: Facts) -> Self {
        Self { socket, endpoints: Endpoints::new(access, facts) }
    }

    /// Enters the runtime that this is called in.
    pub(super) fn enter(self) -> io::Result<Entered> {
        Ok(Entered { socket: TcpListener::from_std(self.socket)?, endpoints: self.endpoints })
    }
}

// === impl Entered ===

impl Entered {
    /// Accepts until the gateway stops, then lets the answers in hand be taken.
    pub(super) async fn serve(self, stop: Stop) {
        let Self { socket, endpoints } = self;
        let endpoints = Arc::new(endpoints);
        let connections = Arc::new(Semaphore::new(limits::ADMIN_CONNECTIONS_MAX));
        loop {
            // At the bound, connections wait in the accept queue.
            let accepted = async {
                let permit = Arc::clone(&connections).acquire_owned().await.map_err(io::Error::other)?;
                socket.accept().await.map(|(stream, peer)| (stream, peer.ip(), permit))
            };
            let accepted = tokio::select! {
                biased;
                () = stop.left() => break,
                accepted = accepted => accepted,
            };
            match accepted {
                Ok((stream, peer, permit)) => {
                    let (endpoints, stop) = (Arc::clone(&endpoints), stop.clone());
                    tokio::task::spawn_local(async move {
                        connection(stream, peer, &endpoints, stop).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "no admin connection could be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(socket);
        stop.reached().await;
        let all = u32::try_from(limits::ADMIN_CONNECTIONS_MAX).unwrap_or(u32::MAX);
        if tokio::time::timeout(limits::ADMIN_GRACE, connections.acquire_many(all)).await.is_err() {
            tracing::warn!("admin connections are left at the end of the grace period");
        }
    }
}

async fn connection(stream: TcpStream, peer: IpAddr, endpoints: &Arc<Endpoints>, stop: Stop) {
    let service = service_fn(async |request| Ok::<_, Infallible>(endpoints.answer(peer, request).await));
    let mut http = http1::Builder::new();
    // The timeout is also that of a connection without a request.
    http.timer(TokioTimer::new()).header_read_timeout(limits::HEAD_TIMEOUT);
    http.max_buf_size(limits::ADMIN_HEAD_BYTES_MAX).max_headers(limits::FIELDS_MAX);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = connection.as_mut() => {
            // However it ends, there is nobody left to tell.
            if let Err(error) = ended {
                endpoints.unread(&error);
            }
            return;
        }
        () = stop.left() => {}
        () = tokio::time::sleep(limits::ADMIN_CONNECTION_LIFE) => {}
    }
    connection.as_mut().graceful_shutdown();
    drop(tokio::time::timeout(limits::ADMIN_GRACE, connection).await);
}
