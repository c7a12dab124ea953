//! Side by side: what a call costs through the gateway, through nginx and directly, in one run on one CPU.
//!
//! One executable with several roles; it starts itself for each. How to run and read it: `benches/README.md`.
//! Nothing here is shared with the gateway's own code: a defect there must not be able to hide itself.

mod compare;
mod echo;
mod gateway;
mod load;
mod mcp;
mod nginx;
mod options;
mod process;
mod table;
mod target;
mod wire;
mod workload;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use crate::options::{Options, Role};

fn main() -> ExitCode {
    run(&Options::parse()).unwrap_or_else(|error| {
        // One line without a stack trace: a parent shows it in its table.
        writeln!(std::io::stderr(), "{error:#}").ok();
        ExitCode::FAILURE
    })
}

fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let Some(role) = &options.role else {
        return compare::run(options);
    };
    process::end_with_parent()?;
    match role {
        Role::Echo { stdio: false } => echo::http::serve()?,
        Role::Echo { stdio: true } => echo::stdio::serve()?,
        Role::Gateway => gateway::serve()?,
        Role::Lock => gateway::lock()?,
        Role::Load { order } => load::run(&serde_json::from_str(order)?)?,
    }
    Ok(ExitCode::SUCCESS)
}
