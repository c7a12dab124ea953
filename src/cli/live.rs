//! What live backends say of themselves: greeted and listed through the gateway's own links.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use only1mcp_model::lock::{LeftOut, Section};
use only1mcp_model::plan;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::references::References;
use crate::telemetry::chain;
use crate::upstream::any::Any;
use crate::upstream::{self, Transport as _, contract};

/// Backends asked at once.
const AT_ONCE: usize = 8;
/// Whoever takes longer is mentioned.
const SLOW: std::time::Duration = std::time::Duration::from_secs(5);

/// A backend, and what came of asking it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) outcome: Result<Section, String>,
    /// What it lists and no section has.
    pub(super) left_out: Vec<LeftOut>,
}

/// Asks every backend for its contract. `tell` hears how each of them fares.
pub(super) fn ask_all(
    backends: &[plan::Backend],
    tell: impl Fn(&str, Progress<'_>) + 'static,
) -> anyhow::Result<Vec<Asked>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let program = std::env::current_exe()?;
    let clock = Clock::default();
    let shared = Arc::new(upstream::Shared::new(References::default(), program, backends, &[]));
    let context = upstream::Context { worker: 0, endpoint: 0, workers: 1, clock: clock.clone(), shared };
    let tell = Rc::new(tell);
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        tokio::task::spawn_local(clock.run());
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let asking = backends.iter().map(|backend| {
            let (backend, context) = (backend.clone(), context.clone());
            let (tell, turns) = (Rc::clone(&tell), Arc::clone(&turns));
            tokio::task::spawn_local(async move {
                let _turn = turns.acquire().await;
                tell(&backend.name, Progress::Asking("connecting"));
                let mut asking = pin!(ask(&context, &backend, &*tell));
                let outcome = match tokio::time::timeout(SLOW, &mut asking).await {
                    Ok(outcome) => outcome,
                    Err(_elapsed) => {
                        tell(&backend.name, Progress::Slow);
                        asking.await
                    }
                };
                let (outcome, left_out) =
                    outcome.map_or_else(|why| (Err(why), Vec::new()), |(section, left_out)| (Ok(section), left_out));
                tell(&backend.name, Progress::Done(outcome.as_ref().map_err(String::as_str)));
                Asked { name: backend.name.to_string(), outcome, left_out }
            })
        });
        let asking: Vec<_> = asking.collect();
        let mut asked = Vec::with_capacity(asking.len());
        for answer in asking {
            asked.push(answer.await?);
        }
        Ok(asked)
    })
}

/// How a backend fares.
pub(super) enum Progress<'a> {
    /// What is being asked now.
    Asking(&'a str),
    /// It has not answered for a while.
    Slow,
    /// It has answered, or not.
    Done(Result<&'a Section, &'a str>),
}

async fn ask(
    context: &upstream::Context,
    backend: &plan::Backend,
    tell: &impl Fn(&str, Progress<'_>),
) -> Result<(Section, Vec<LeftOut>), String> {
    let link = Any::open(context, backend).map_err(|error| chain(error.why(), &error))?;
    let asked = contract(&link, backend, |what| tell(&backend.name, Progress::Asking(what))).await;
    link.close().await;
    asked
}
