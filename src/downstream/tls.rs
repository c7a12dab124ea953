//! TLS towards clients: the handshake, bounded in time and number. Which certificate is shown is the gateway's affair.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

#[cfg(feature = "http2")]
use super::http2;
use super::{Stream, http};
use crate::catalog::Topology;
use crate::limits;
use crate::proxy::{Refusal, Worker};

/// What is shown to clients; it may change between handshakes.
pub(crate) type Shown = watch::Receiver<Arc<ServerConfig>>;

/// What may be spoken inside, the best first.
pub(crate) const PROTOCOLS: &[&[u8]] = &[
    #[cfg(feature = "http2")]
    b"h2",
    b"http/1.1",
];

/// The first byte of whoever speaks TLS: a record of the handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
/// How long a handshake may take once the gateway stops.
const LAST_CALL: Duration = Duration::from_millis(100);

/// The handshakes of one worker.
#[derive(Debug)]
pub(crate) struct Acceptor {
    shown: Shown,
    turns: Semaphore,
}

// === impl Acceptor ===

impl Acceptor {
    pub(super) fn new(shown: Shown) -> Self {
        Self { shown, turns: Semaphore::new(limits::HANDSHAKES_MAX) }
    }

    /// Serves one connection until it ends.
    pub(super) async fn serve<T: Topology>(&self, worker: Rc<Worker<T>>, stream: Stream) {
        let Stream::Tcp(tcp) = stream else { return };
        let begun = tokio::select! {
            begun = timeout(limits::HANDSHAKE_TIMEOUT, self.begin(tcp)) => begun,
            () = async { worker.drain.begun().await; sleep(LAST_CALL).await } => return,
        };
        match begun {
            #[cfg(feature = "http2")]
            Ok(Ok(stream)) if stream.chose(b"h2") => http2::serve(worker, stream, Vec::new()).await,
            Ok(Ok(stream)) => http::serve(worker, stream).await,
            Ok(Err(Some(stream))) => {
                let refusal =
                    Refusal::InvalidRequest("this port is served over TLS: its URL begins with `https`".into());
                http::turn_away(&worker, stream, &refusal).await;
            }
            Ok(Err(None)) => {}
            Err(_elapsed) => tracing::debug!("a TLS handshake is given up"),
        }
    }

    /// The connection inside TLS; the connection itself where it is not spoken there.
    async fn begin(&self, tcp: TcpStream) -> Result<Stream, Option<Stream>> {
        // Whoever says nothing takes nobody's turn.
        let mut first = [0];
        match tcp.peek(&mut first).await {
            Ok(1) if first[0] == HANDSHAKE => {}
            Ok(1) => return Err(Some(Stream::Tcp(tcp))),
            _ => return Err(None),
        }
        let _turn = self.turns.acquire().await;
        let config = Arc::clone(&self.shown.borrow());
        match TlsAcceptor::from(config).accept(tcp).await {
            Ok(tls) => Ok(Stream::Tls(Box::new(tls))),
            Err(error) => {
                // Anybody can make one: no more than a remark.
                tracing::debug!(%error, "a TLS handshake failed");
                Err(None)
            }
        }
    }
}
