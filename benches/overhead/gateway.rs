//! The gateway under test, compiled from `topology.yaml` beside this file, and the lock of that topology.

use std::io::Write as _;

use anyhow::Context as _;
use only1mcp::Gateway;
use only1mcp::catalog::Topology as _;
use only1mcp_model::lock::{self, Lock, Section};
use only1mcp_model::revision::Revision;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::signal::unix::{SignalKind, signal};

use crate::echo;

only1mcp::topology!(Bench = "benches/overhead/topology.yaml");

/// Serves until SIGTERM.
pub(crate) fn serve() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _entered = runtime.enter();
    // Before the gateway starts, so that no signal finds nobody.
    let mut terminate = signal(SignalKind::terminate())?;
    let running = Gateway::<Bench>::builder().start()?;
    runtime.block_on(terminate.recv()).context("signals end only with the process")?;
    running.stop();
    Ok(())
}

/// Writes the topology's lock, as the backend's own answers make it, to standard output.
pub(crate) fn lock() -> anyhow::Result<()> {
    let greeting = result("server/discover")?;
    let tools = [result("tools/list")?];
    let mut lock = Lock::default();
    for backend in Bench::SPEC.backends {
        let answers = lock::Answers {
            transport: &backend.transport,
            revision: Revision::MODERN,
            greeting: &greeting,
            tools: &tools,
            prompts: &[],
            resources: &[],
            templates: &[],
        };
        let (section, _left_out) = Section::new(&answers)?;
        lock.backends.insert(backend.name.to_string(), section);
    }
    Ok(std::io::stdout().write_all(lock.render().as_bytes())?)
}

/// What the backend answers to a method without parameters.
fn result(method: &str) -> anyhow::Result<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Answer {
        result: Box<RawValue>,
    }
    Ok(serde_json::from_slice::<Answer>(&echo::modern_answer(method))?.result)
}
