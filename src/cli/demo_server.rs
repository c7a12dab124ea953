//! `only1mcp demo-server`: three small MCP servers to try a gateway with.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Args;

use super::Exit;
use crate::demo;

/// Serve one of the demo servers: newline-delimited on stdin and stdout, or over HTTP.
#[derive(Args, Debug)]
pub(super) struct DemoServer {
    /// Which.
    #[arg(value_enum)]
    kind: demo::Kind,
    /// Serve Streamable HTTP on this address at `/mcp` instead; port 0 lets the system choose.
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Which eras of the protocol to speak.
    #[arg(long, value_enum, default_value = "both")]
    era: demo::Eras,
}

impl DemoServer {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            match self.http {
                None => Ok(demo::serve_stdio(self.kind, self.era).await?),
                Some(address) => {
                    let served = demo::serve_http(self.kind, self.era, address, demo::announce).await;
                    served.with_context(|| format!("address {address} cannot be served"))
                }
            }
        })?;
        // A read of stdin cannot be interrupted; it must not keep the process.
        runtime.shutdown_background();
        Ok(Exit::Ok)
    }
}
