//! The transports towards clients, and how a connection comes to one of them.

mod conversation;
mod http;
#[cfg(feature = "http2")]
mod http2;
#[cfg(feature = "transport-http")]
pub(crate) mod remote;
pub(crate) mod stdio;
mod stream;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "websocket")]
mod websocket;

use std::rc::Rc;

pub(crate) use stream::Stream;
#[cfg(feature = "tls")]
pub(crate) use tls::{PROTOCOLS, Shown};

use crate::catalog::Topology;
use crate::proxy::Worker;

/// What makes the handshakes of a worker: nobody, in a build without TLS.
#[cfg(not(feature = "tls"))]
#[derive(Clone, Debug)]
pub(crate) enum Shown {}

/// Where the connections of one worker come in.
#[derive(Debug)]
pub(crate) struct Entrance {
    #[cfg(feature = "tls")]
    tls: Option<Box<dyn tls::Handshakes>>,
}

// === impl Entrance ===

impl Entrance {
    /// With this over TLS, or in plain.
    pub(crate) fn new(shown: Option<&Shown>) -> Self {
        #[cfg(not(feature = "tls"))]
        debug_assert!(shown.is_none(), "there is no value of its type");
        Self {
            #[cfg(feature = "tls")]
            tls: shown.map(|shown| shown.handshakes()),
        }
    }

    /// Serves one connection until it ends.
    pub(crate) async fn serve<T: Topology>(&self, worker: Rc<Worker<T>>, stream: Stream) {
        if let Stream::Tcp(tcp) = &stream
            // Answers leave in one write; waiting to fill a segment only adds latency. A socket that refuses is gone.
            && tcp.set_nodelay(true).is_err()
        {
            return;
        }
        match stream {
            #[cfg(feature = "tls")]
            Stream::Tcp(tcp) if let Some(handshakes) = &self.tls => {
                // Boxed: a handshake would make every connection as large as it is.
                Box::pin(tls::serve(handshakes.as_ref(), worker, tcp)).await;
            }
            stream => http::serve(worker, stream).await,
        }
    }
}
