//! `only1mcp overlay`: what is set otherwise than compiled: that of a file is in `authored`, that of a gateway that runs
//! in `running`.

#[cfg(feature = "authoring")]
mod authored;
#[cfg(feature = "admin")]
mod running;

use clap::Subcommand;

use super::Exit;
use crate::catalog::Topology;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show what is in force of a running gateway.
    ///
    /// Prints the document; with --output json also since when, where it is kept, and what was not taken.
    #[cfg(feature = "admin")]
    Show(running::Show),
    /// Have a running gateway go back to the overlay before.
    #[cfg(feature = "admin")]
    Rollback(running::Rollback),
    /// Show what an overlay changes against the compiled settings.
    ///
    /// Exits with 0 when that is nothing, 4 when it is something.
    #[cfg(feature = "authoring")]
    Diff(authored::Diff),
    /// Show an overlay as an edit of the topology, or make it.
    ///
    /// `only1mcp overlay promote` shows which lines of the topology would be others, `only1mcp overlay promote --write`
    /// writes them. Comments and everything else stay. What no topology has there (`disabled`, `drain`, `weights`, `weight`),
    /// and `tools.deny`, is left to the overlay; what it adds is to be taken out of it before the binary that is built of the
    /// topology starts.
    #[cfg(feature = "authoring")]
    Promote(authored::Promote),
}

impl Command {
    pub(super) fn run<T: Topology>(self) -> anyhow::Result<Exit> {
        match self {
            #[cfg(feature = "admin")]
            Self::Show(show) => show.run::<T>(),
            #[cfg(feature = "admin")]
            Self::Rollback(rollback) => rollback.run::<T>(),
            #[cfg(feature = "authoring")]
            Self::Diff(diff) => diff.run::<T>(),
            #[cfg(feature = "authoring")]
            Self::Promote(promote) => promote.run::<T>(),
        }
    }

    /// Whether stdout is for a program.
    #[cfg(feature = "authoring")]
    pub(super) fn prints_json(&self) -> bool {
        matches!(self, Self::Diff(diff) if diff.json)
    }
}
