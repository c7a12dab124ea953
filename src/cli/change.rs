//! `only1mcp reload` and `only1mcp backend`: a gateway that runs is set otherwise, by way of its overlay.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin::{Admin, shown};
use super::{Exit, print};
use crate::catalog::Topology;

/// Read the file of the overlay anew.
#[derive(Args, Debug)]
pub(super) struct Reload {
    #[command(flatten)]
    admin: Admin,
    /// Only tell what would be.
    #[arg(long)]
    dry_run: bool,
}

/// Take a backend out of service and back, or weigh its endpoints.
#[derive(Debug, Subcommand)]
pub(super) enum Backend {
    /// Let calls to it go again.
    Enable(Named),
    /// Refuse all calls to it.
    Disable(Named),
    /// Refuse new calls to it, and go on with what was begun.
    Drain(Named),
    /// Set how much of its calls each of its endpoints gets.
    Weight(Weighed),
}

/// The weights of a backend.
#[derive(Args, Debug)]
pub(super) struct Weighed {
    #[command(flatten)]
    named: Named,
    /// A number from 0 to 1000 for each endpoint, in the order of the topology; none: as they are compiled.
    weights: Vec<u32>,
}

/// Which backend of which gateway.
#[derive(Args, Debug)]
pub(super) struct Named {
    /// The name of the backend.
    name: String,
    #[command(flatten)]
    admin: Admin,
    /// Only tell what would be.
    #[arg(long)]
    dry_run: bool,
}

// === impl Reload ===

impl Reload {
    pub(super) fn run<T: Topology>(&self) -> anyhow::Result<Exit> {
        let place = self.admin.place::<T>()?;
        let outcome = place.change("POST", &format!("/reload{}", query(self.dry_run)), None)?;
        print(&shown(&outcome))?;
        Ok(Exit::Ok)
    }
}

// === impl Backend ===

impl Backend {
    pub(super) fn run<T: Topology>(&self) -> anyhow::Result<Exit> {
        let (named, settings) = match self {
            Self::Enable(named) => (named, json!({ "disabled": null, "drain": null })),
            Self::Disable(named) => (named, json!({ "disabled": true, "drain": null })),
            Self::Drain(named) => (named, json!({ "disabled": null, "drain": true })),
            Self::Weight(Weighed { named, weights }) if weights.is_empty() => (named, json!({ "weights": null })),
            Self::Weight(Weighed { named, weights }) => (named, json!({ "weights": weights })),
        };
        named.set::<T>(&settings)
    }
}

impl Named {
    fn set<T: Topology>(&self, settings: &Value) -> anyhow::Result<Exit> {
        let place = self.admin.place::<T>()?;
        // Names of backends have no letters that a path could not; what is none is not found.
        let name: String = self
            .name
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect();
        let outcome = place.change("PATCH", &format!("/servers/{name}{}", query(self.dry_run)), Some(settings))?;
        print(&shown(&outcome))?;
        Ok(Exit::Ok)
    }
}

fn query(dry_run: bool) -> &'static str {
    if dry_run { "?dry_run=1" } else { "" }
}
