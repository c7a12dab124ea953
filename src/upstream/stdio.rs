//! stdio towards a backend: one child process shared by all workers and clients, many calls in flight on its pipes.
//!
//! The child lives on one worker; how the others reach it is in `channel`.

mod child;
mod framer;

use std::collections::HashMap;

use super::channel::{Door, Link};
use super::children::Recipe;
use super::{Call, Context, Error, Greeting, OpenError, Relay, Transport, plan};
use child::Child;

/// The link of one worker to one child.
#[derive(Debug)]
pub struct Stdio(Link);

/// The doors of the hubs of one gateway, by backend, each with its position: they are dealt out to the workers in turn.
#[derive(Debug)]
pub(super) struct Hubs(HashMap<String, (usize, Door)>);

// === impl Hubs ===

impl Hubs {
    pub(super) fn new(backends: &[plan::Backend]) -> Self {
        let stdio = backends.iter().filter(|backend| matches!(backend.transport, plan::Transport::Stdio(_)));
        let doors = stdio.enumerate().map(|(index, backend)| (backend.name.to_string(), (index, Door::new())));
        Self(doors.collect())
    }
}

// === impl Transport ===

impl Transport for Stdio {
    fn carries(transport: &plan::Transport) -> bool {
        matches!(transport, plan::Transport::Stdio(_))
    }

    fn open(context: &Context, backend: &plan::Backend) -> Result<Self, OpenError> {
        let plan::Transport::Stdio(stdio) = &backend.transport else {
            return Err(OpenError::NotCompiled { backend: backend.name.to_string() });
        };
        let (index, door) = context.shared.hubs.0.get(&*backend.name).ok_or_else(|| OpenError::Invalid {
            backend: backend.name.to_string(),
            detail: "it was not there when the gateway started".to_owned(),
        })?;
        // On every worker, though one alone needs it: a gateway starts on all of its workers or on none.
        let recipe = Recipe::new(&context.shared, backend, stdio)?;
        if index % context.workers == context.worker {
            door.serve::<Child>(backend, recipe)?;
        }
        Ok(Self(door.link(context, backend)?))
    }

    async fn exchange<R: Relay>(&self, call: &Call<'_>, relay: &mut R) -> Result<(), Error> {
        self.0.exchange(call, relay).await
    }

    async fn greet(&self) -> Result<Greeting, Error> {
        self.0.greet().await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}
