//! `only1mcp stdio`: serves the client that started this process, on its pipes.

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, start};
use crate::Gateway;
use crate::catalog::Topology;
#[cfg(feature = "transport-http")]
use crate::downstream::remote;

/// Serve the client that started this process, on stdin and stdout.
#[derive(Args, Debug)]
pub(super) struct Stdio {
    /// Show what this view shows, instead of everything.
    #[arg(long, value_name = "NAME")]
    view: Option<String>,
    /// Pass everything on to the MCP server at this URL, such as a gateway that runs already. `unix:/path` is that of a
    /// socket; the path of the endpoint may follow behind a colon.
    #[arg(long, value_name = "URL", conflicts_with = "overlay")]
    #[cfg(feature = "transport-http")]
    connect: Option<String>,
    #[command(flatten)]
    overlay: start::OverlayFile,
}

impl Stdio {
    pub(super) fn run<T: Topology>(self) -> anyhow::Result<Exit> {
        #[cfg(feature = "transport-http")]
        if let Some(url) = &self.connect {
            // A socket alone means the usual path there; the path of a view goes on from that.
            let usual = if url.strip_prefix("unix:").is_some_and(|rest| !rest.contains(':')) { ":/mcp" } else { "" };
            let view = self.view.iter().flat_map(|view| ["/", view]);
            let url: String = [url.trim_end_matches('/'), usual].into_iter().chain(view).collect();
            let bridged = remote::bridge(&url, stopped());
            return bridged.map(|()| Exit::Ok).with_context(|| format!("`{url}` cannot be bridged to"));
        }
        start::keep_from_children()?;
        let builder = self.overlay.apply(Gateway::<T>::builder());
        let served = builder.serve_stdio(self.view.as_deref(), stopped()).map_err(start::refused);
        served.context("stdin and stdout cannot be served")?;
        Ok(Exit::Ok)
    }
}

/// Ready once the process is asked to end.
async fn stopped() {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else { return std::future::pending().await };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
