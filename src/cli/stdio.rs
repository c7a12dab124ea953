//! `only1mcp stdio`: serves the client that started this process, on its pipes.

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, start};
use crate::Gateway;
use crate::catalog::Topology;

/// Serve the client that started this process, on stdin and stdout.
#[derive(Args, Debug)]
pub(super) struct Stdio {
    /// Show what this view shows, instead of everything.
    #[arg(long, value_name = "NAME")]
    view: Option<String>,
    #[command(flatten)]
    overlay: start::OverlayFile,
}

impl Stdio {
    pub(super) fn run<T: Topology>(self) -> anyhow::Result<Exit> {
        start::keep_from_children()?;
        let builder = self.overlay.apply(Gateway::<T>::builder())?;
        let stop = async {
            let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
            let (Ok(mut terminate), Ok(mut interrupt)) = signals else { return std::future::pending().await };
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        builder.serve_stdio(self.view.as_deref(), stop).context("stdin and stdout cannot be served")?;
        Ok(Exit::Ok)
    }
}
