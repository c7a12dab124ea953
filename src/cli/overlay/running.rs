//! The overlay of a gateway that runs: shown, and taken back.

use clap::Args;
use serde_json::Value;

use super::super::admin::{Admin, shown};
use super::super::{Exit, Output, print, print_json};
use crate::catalog::Topology;

/// Show what is in force.
#[derive(Args, Debug)]
pub(in crate::cli) struct Show {
    #[command(flatten)]
    admin: Admin,
    /// How to print it.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

/// Go back to the overlay before.
#[derive(Args, Debug)]
pub(in crate::cli) struct Rollback {
    #[command(flatten)]
    admin: Admin,
}

impl Show {
    pub(super) fn run<T: Topology>(&self) -> anyhow::Result<Exit> {
        let overlay = self.admin.place::<T>()?.get("/overlay")?;
        match self.output {
            Output::Json => print_json(&overlay),
            Output::Table => print(overlay["text"].as_str().unwrap_or_default()),
            Output::Name => {
                let backends = overlay["settings"]["backends"].as_object().into_iter().flatten();
                print(&backends.map(|(name, _)| format!("{name}\n")).collect::<String>())
            }
        }?;
        Ok(Exit::Ok)
    }
}

impl Rollback {
    pub(super) fn run<T: Topology>(&self) -> anyhow::Result<Exit> {
        let outcome: Value = self.admin.place::<T>()?.change("POST", "/overlay/rollback", None)?;
        print(&shown(&outcome))?;
        Ok(Exit::Ok)
    }
}
