//! TLS towards clients: the handshake, bounded in time and number. Which certificate is shown is the gateway's affair.
//!
//! Connections and handshakes are behind pointers: whoever serves nobody over TLS has none of it linked.

use std::fmt::Debug;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

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

/// What may be spoken inside, the best first.
pub(crate) const PROTOCOLS: &[&[u8]] = &[
    #[cfg(feature = "http2")]
    HTTP2,
    b"http/1.1",
];
#[cfg(feature = "http2")]
const HTTP2: &[u8] = b"h2";

/// The first byte of whoever speaks TLS: a record of the handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// What is shown to the clients of all workers.
pub(crate) type Shown = Arc<dyn Show>;

/// Something to show.
pub(crate) trait Show: Debug + Send + Sync {
    /// The handshakes of one worker.
    fn handshakes(&self) -> Box<dyn Handshakes>;
}

/// The handshakes of one worker.
pub(crate) trait Handshakes: Debug {
    /// Makes one.
    fn shake(&self, tcp: TcpStream) -> Pin<Box<dyn Future<Output = Met> + '_>>;
}

/// What came of a handshake.
#[derive(Debug)]
pub(crate) enum Met {
    /// The connection inside TLS, and whether HTTP/2 was chosen for it.
    Inside(Stream, bool),
    /// The client speaks something else.
    Plain(Stream),
    /// The client is gone, or was refused.
    Nobody,
}

/// Handshakes by rustls. The certificate may change between them.
#[derive(Debug)]
pub(crate) struct Acceptor {
    config: watch::Receiver<Arc<ServerConfig>>,
    turns: Semaphore,
}

/// Serves one connection until it ends.
pub(super) async fn serve<T: Topology>(handshakes: &dyn Handshakes, worker: Rc<Worker<T>>, tcp: TcpStream) {
    let met = tokio::select! {
        met = timeout(limits::HANDSHAKE_TIMEOUT, handshakes.shake(tcp)) => met,
        () = async { worker.drain.begun().await; sleep(limits::LAST_CALLS).await } => return,
    };
    match met {
        #[cfg(feature = "http2")]
        Ok(Met::Inside(stream, true)) => http2::serve(worker, stream, Vec::new()).await,
        Ok(Met::Inside(stream, _)) => http::serve(worker, stream).await,
        Ok(Met::Plain(stream)) => {
            let refusal = Refusal::InvalidRequest("this port is served over TLS: its URL begins with `https`".into());
            http::turn_away(&worker, stream, &refusal).await;
        }
        Ok(Met::Nobody) => {}
        Err(_elapsed) => tracing::debug!("a TLS handshake is given up"),
    }
}

// === impl Acceptor ===

impl Acceptor {
    async fn accept(&self, tcp: TcpStream) -> Met {
        // Whoever says nothing takes nobody's turn.
        let mut first = [0];
        match tcp.peek(&mut first).await {
            Ok(1) if first[0] == HANDSHAKE => {}
            Ok(1) => return Met::Plain(Stream::Tcp(tcp)),
            _ => return Met::Nobody,
        }
        let _turn = self.turns.acquire().await;
        let config = Arc::clone(&self.config.borrow());
        match TlsAcceptor::from(config).accept(tcp).await {
            Ok(tls) => {
                #[cfg(feature = "http2")]
                let http2 = tls.get_ref().1.alpn_protocol() == Some(HTTP2);
                #[cfg(not(feature = "http2"))]
                let http2 = false;
                Met::Inside(Stream::Inside(Box::new(tls)), http2)
            }
            Err(error) => {
                // Anybody can make one: no more than a remark.
                tracing::debug!(%error, "a TLS handshake failed");
                Met::Nobody
            }
        }
    }
}

impl Handshakes for Acceptor {
    fn shake(&self, tcp: TcpStream) -> Pin<Box<dyn Future<Output = Met> + '_>> {
        Box::pin(self.accept(tcp))
    }
}

impl Show for watch::Receiver<Arc<ServerConfig>> {
    fn handshakes(&self) -> Box<dyn Handshakes> {
        Box::new(Acceptor { config: self.clone(), turns: Semaphore::new(limits::HANDSHAKES_MAX) })
    }
}
