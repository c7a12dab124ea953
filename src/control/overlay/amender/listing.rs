//! Backends that an overlay adds are asked what they offer: on a thread of its own, all at once, within bounds of time and
//! size. Nobody is connected to by a worker for that, and no process started that would not go on to serve.

use std::path::PathBuf;
use std::sync::Arc;

use only1mcp_model::lock::Section;
use only1mcp_model::plan;
use tokio::sync::oneshot;
use tokio::task::{JoinSet, LocalSet};

use crate::clock::Clock;
use crate::limits;
use crate::references::References;
use crate::telemetry::{chain, one_line};
use crate::upstream::any::Any;
use crate::upstream::{Context, Shared, Told, Transport as _, contract};

/// A backend that is to be asked.
pub(super) struct Asking {
    pub(super) backend: plan::Backend,
    /// What comes of it, where that has begun.
    pub(super) told: Option<oneshot::Receiver<Told>>,
}

/// What each of them offers, or why that is not known.
pub(super) fn ask_all(asking: Vec<Asking>, references: &References) -> Vec<(String, Result<Section, String>)> {
    let names: Vec<String> = asking.iter().map(|own| own.backend.name.to_string()).collect();
    let references = references.clone();
    let thread = std::thread::Builder::new().name("listing".to_owned()).spawn(move || run(asking, references));
    let asked = thread.map(std::thread::JoinHandle::join);
    let all_failed = |why: &str| names.iter().map(|name| (name.clone(), Err(why.to_owned()))).collect();
    match asked {
        Ok(Ok(Ok(asked))) => asked,
        Ok(Ok(Err(error))) | Err(error) => all_failed(&error.to_string()),
        Ok(Err(_panicked)) => all_failed("the thread that asks panicked"),
    }
}

fn run(asking: Vec<Asking>, references: References) -> std::io::Result<Vec<(String, Result<Section, String>)>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let clock = Clock::default();
    let linked = asking.iter().filter(|own| own.told.is_none());
    let backends: Vec<plan::Backend> = linked.map(|own| own.backend.clone()).collect();
    // None of these is started.
    let shared = Arc::new(Shared::new(references, PathBuf::new(), &backends, &[]));
    let context = Context { worker: 0, endpoint: 0, workers: 1, clock: clock.clone(), shared };
    let local = LocalSet::new();
    let asked = local.block_on(&runtime, async {
        let ticking = tokio::task::spawn_local(clock.run());
        let mut all = JoinSet::new();
        for Asking { backend, told } in asking {
            let context = context.clone();
            all.spawn_local(async move {
                let asked = tokio::time::timeout(limits::LISTING_TIMEOUT, ask(&context, &backend, told)).await;
                let asked = asked.unwrap_or_else(|_elapsed| Err("it has not answered in time".to_owned()));
                (backend.name.to_string(), asked.map_err(|why| one_line(why.as_bytes())))
            });
        }
        let asked = all.join_all().await;
        ticking.abort();
        asked
    });
    drop(local);
    // A name that is being resolved is not waited for.
    runtime.shutdown_background();
    Ok(asked)
}

async fn ask(
    context: &Context,
    backend: &plan::Backend,
    told: Option<oneshot::Receiver<Told>>,
) -> Result<Section, String> {
    let told = match told {
        Some(told) => told.await.unwrap_or_else(|_gone| Err("the gateway stops".to_owned())),
        None => {
            let link = Any::open(context, backend).map_err(|error| chain(error.why(), &error))?;
            let told = contract(&link, backend, |_| {}).await;
            link.close().await;
            told
        }
    };
    let (section, left_out) = told?;
    for each in left_out {
        tracing::warn!(backend = &*backend.name, "{each}");
    }
    Ok(section)
}
