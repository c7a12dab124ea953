//! WebSocket towards a backend: one connection a worker, which all of its calls share, made again when it ends.
//!
//! MCP has no such transport of its own. Servers in the field offer the subprotocol `mcp` and put one message into a text
//! frame; everything else is as over stdio, and in `channel`.

mod greeting;
mod open_socket;

use super::channel::{Door, Link};
use super::endpoint::{Endpoint, Place, Speaks};
use super::{Call, Context, Error, Greeting, OpenError, Relay, Transport, plan};
use open_socket::OpenSocket;

/// The link of one worker to one backend over WebSocket.
#[derive(Debug)]
pub struct WebSocket(Link);

// === impl Transport ===

impl Transport for WebSocket {
    fn carries(transport: &plan::Transport) -> bool {
        matches!(transport, plan::Transport::WebSocket(_))
    }

    fn open(context: &Context, backend: &plan::Backend) -> Result<Self, OpenError> {
        let plan::Transport::WebSocket(settings) = &backend.transport else {
            return Err(OpenError::NotCompiled { backend: backend.name.to_string() });
        };
        let place = Place {
            url: &settings.url,
            ca: settings.ca.as_ref(),
            connect_timeout_ms: settings.connect_timeout_ms,
            credentials: &settings.credentials,
            proxy: settings.proxy.as_ref(),
            speaks: Speaks::WebSocket,
        };
        let endpoint = Endpoint::open(context, backend, &place)?;
        let door = Door::new();
        door.serve::<OpenSocket>(backend, endpoint)?;
        Ok(Self(door.link(context, backend)?))
    }

    async fn exchange<R: Relay>(&self, call: &Call<'_>, relay: &mut R) -> Result<(), Error> {
        self.0.exchange(call, relay).await
    }

    async fn greet(&self) -> Result<Greeting, Error> {
        self.0.greet().await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}
