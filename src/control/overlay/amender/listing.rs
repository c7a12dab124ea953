//! Backends that an overlay adds are asked what they offer: on a thread of its own, all at once, within bounds of time and
//! size. Nobody is connected to by a worker for that.

use std::path::PathBuf;
use std::sync::Arc;

use only1mcp_model::lock::Section;
use only1mcp_model::plan;
use tokio::task::{JoinSet, LocalSet};

use crate::clock::Clock;
use crate::limits;
use crate::references::References;
use crate::telemetry::{chain, one_line};
use crate::upstream::any::Any;
use crate::upstream::{Context, Shared, Transport as _, contract};

/// What each of them offers, or why that is not known.
pub(super) fn ask_all(backends: &[plan::Backend], references: &References) -> Vec<(String, Result<Section, String>)> {
    let (own, references) = (backends.to_vec(), references.clone());
    let thread = std::thread::Builder::new().name("listing".to_owned()).spawn(move || run(own, references));
    let asked = thread.map(std::thread::JoinHandle::join);
    match asked {
        Ok(Ok(Ok(asked))) => asked,
        Ok(Ok(Err(error))) | Err(error) => all_failed(backends, &error.to_string()),
        Ok(Err(_panicked)) => all_failed(backends, "the thread that asks panicked"),
    }
}

fn all_failed(backends: &[plan::Backend], why: &str) -> Vec<(String, Result<Section, String>)> {
    backends.iter().map(|backend| (backend.name.to_string(), Err(why.to_owned()))).collect()
}

fn run(
    backends: Vec<plan::Backend>,
    references: References,
) -> std::io::Result<Vec<(String, Result<Section, String>)>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let clock = Clock::default();
    // None of them is started.
    let shared = Arc::new(Shared::new(references, PathBuf::new(), &backends, &[]));
    let context = Context { worker: 0, endpoint: 0, workers: 1, clock: clock.clone(), shared };
    let local = LocalSet::new();
    let asked = local.block_on(&runtime, async {
        let ticking = tokio::task::spawn_local(clock.run());
        let mut asking = JoinSet::new();
        for backend in backends {
            let context = context.clone();
            asking.spawn_local(async move {
                let asked = tokio::time::timeout(limits::LISTING_TIMEOUT, ask(&context, &backend)).await;
                let asked = asked.unwrap_or_else(|_elapsed| Err("it has not answered in time".to_owned()));
                (backend.name.to_string(), asked.map_err(|why| one_line(why.as_bytes())))
            });
        }
        let asked = asking.join_all().await;
        ticking.abort();
        asked
    });
    drop(local);
    // A name that is being resolved is not waited for.
    runtime.shutdown_background();
    Ok(asked)
}

async fn ask(context: &Context, backend: &plan::Backend) -> Result<Section, String> {
    let link = Any::open(context, backend).map_err(|error| chain(error.why(), &error))?;
    let asked = contract(&link, backend, |_| {}).await;
    link.close().await;
    let (section, left_out) = asked?;
    for each in left_out {
        tracing::warn!(backend = &*backend.name, "{each}");
    }
    Ok(section)
}
