//! The control plane: what administrators and collectors of metrics ask, on a listener and a thread of its own.
//!
//! `control/access` says who may ask, `control/endpoint` what there is to ask, `control/metrics` how what the workers
//! count is shown. Binding the listener is the gateway's.
//!
//! **Invariant:** the data plane never waits for this thread: it reads what workers count and holds nothing they need.

mod access;
mod endpoint;
mod metrics;
mod timestamp;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::LocalSet;

pub(crate) use access::{Access, Token};
pub(crate) use endpoint::Facts;

use crate::limits;
use endpoint::Endpoints;

/// After a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener that serves. It stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Serving {
    address: SocketAddr,
    stopping: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

// === impl Serving ===

impl Serving {
    /// Serves on a thread of its own from now on.
    ///
    /// # Errors
    /// When the operating system refuses a runtime or a thread.
    pub(crate) fn start(listener: std::net::TcpListener, access: Access, facts: Facts) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _entered = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let endpoints = Endpoints::new(access, facts);
        let (stopping, stop) = watch::channel(false);
        let thread = std::thread::Builder::new().name("control".to_owned());
        let thread = thread.spawn(move || LocalSet::new().block_on(&runtime, serve(listener, endpoints, stop)))?;
        Ok(Self { address, stopping, thread: Some(thread) })
    }

    /// The address listened on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stopping.send_replace(true);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the control thread panicked");
        }
    }
}

/// Accepts until the gateway stops, then lets the answers in hand be taken.
async fn serve(listener: TcpListener, endpoints: Endpoints, stop: watch::Receiver<bool>) {
    let endpoints = Rc::new(endpoints);
    let connections = Arc::new(Semaphore::new(limits::ADMIN_CONNECTIONS_MAX));
    let mut stopping = stop.clone();
    loop {
        // At the bound, connections wait in the accept queue.
        let accepted = async {
            let permit = Arc::clone(&connections).acquire_owned().await.map_err(io::Error::other)?;
            listener.accept().await.map(|(stream, peer)| (stream, peer.ip(), permit))
        };
        let accepted = tokio::select! {
            biased;
            // Ending with an error means that nobody is left to say it: the same.
            _ = stopping.wait_for(|stopping| *stopping) => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                let (endpoints, stop) = (Rc::clone(&endpoints), stop.clone());
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
    drop(listener);
    let all = u32::try_from(limits::ADMIN_CONNECTIONS_MAX).unwrap_or(u32::MAX);
    if tokio::time::timeout(limits::ADMIN_GRACE, connections.acquire_many(all)).await.is_err() {
        tracing::warn!("admin connections are left at the end of the grace period");
    }
}

async fn connection(stream: TcpStream, peer: IpAddr, endpoints: &Endpoints, mut stop: watch::Receiver<bool>) {
    let service = service_fn(async |request| Ok::<_, Infallible>(endpoints.answer(peer, &request)));
    let mut http = http1::Builder::new();
    // The timeout is also that of a connection without a request.
    http.timer(TokioTimer::new()).header_read_timeout(limits::HEAD_TIMEOUT);
    http.max_buf_size(limits::ADMIN_HEAD_BYTES_MAX).max_headers(limits::FIELDS_MAX);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // However the connection ends, there is nobody left to tell.
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stopping| *stopping) => {}
        () = tokio::time::sleep(limits::ADMIN_CONNECTION_LIFE) => {}
    }
    connection.as_mut().graceful_shutdown();
    drop(tokio::time::timeout(limits::ADMIN_GRACE, connection).await);
}
