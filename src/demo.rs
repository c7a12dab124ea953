//! Three small MCP servers inside the gateway binary, which the default topology starts as children: `math`, `data` and
//! `admin`. They speak both eras over stdio and Streamable HTTP and share no code with the gateway's data plane, so that
//! one can be tested against the other. What they do not do: authentication, resumable streams, JSON-RPC batches.

mod admin;
mod completion;
mod data;
mod http;
mod math;
mod offer;
mod playback;
mod rpc;
mod server;
mod stdio;
mod tables;
#[cfg(test)]
mod tests;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use server::Server;

/// Which of the demo servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Arithmetic on two numbers.
    Math,
    /// Two tables to query.
    Data,
    /// Calls that take time, report progress and log; the server's own state.
    Admin,
}

/// Which eras of the protocol a demo server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Eras {
    /// Whichever the client speaks, message by message.
    Both,
    /// 2026-07-28 only; `initialize` is refused.
    Modern,
    /// 2024-11-05 to 2025-11-25 only; `server/discover` is an unknown method.
    Legacy,
}

/// Serves stdin and stdout until stdin ends; calls still running then are dropped.
///
/// # Errors
/// Reading stdin or writing stdout.
pub async fn serve_stdio(kind: Kind, eras: Eras) -> io::Result<()> {
    writeln!(io::stderr(), "{} serves MCP on stdio", kind.server_name())?;
    stdio::serve(Arc::new(Server::new(kind, eras)), tokio::io::stdin(), tokio::io::stdout()).await
}

/// Serves `POST /mcp` (and `DELETE /mcp`, for legacy sessions) on `address`, whose port may be 0, and says by `ready`
/// where it listens. Runs until it is dropped.
///
/// # Errors
/// The address cannot be bound, or the system has no source of random numbers.
pub async fn serve_http(kind: Kind, eras: Eras, address: SocketAddr, ready: impl FnOnce(SocketAddr)) -> io::Result<()> {
    http::serve(Server::new(kind, eras), address, ready).await
}

/// Writes to stderr where a server listens: the `ready` of [`serve_http`] for a command line.
pub fn announce(address: SocketAddr) {
    // A closed stderr is no reason to stop serving.
    drop(writeln!(io::stderr(), "listening http://{address}/mcp"));
}

// === impl Kind ===

impl Kind {
    fn server_name(self) -> &'static str {
        match self {
            Self::Math => "only1mcp-demo-math",
            Self::Data => "only1mcp-demo-data",
            Self::Admin => "only1mcp-demo-admin",
        }
    }

    fn server_title(self) -> &'static str {
        match self {
            Self::Math => "Arithmetic (demo)",
            Self::Data => "Tables (demo)",
            Self::Admin => "Administration (demo)",
        }
    }
}
