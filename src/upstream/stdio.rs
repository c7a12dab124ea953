//! stdio towards a backend: child processes shared by all workers and clients, many calls in flight on the pipes of each.
//!
//! A child lives on one worker; how the others reach it is in `channel`. Which of several gets a call is decided here.

mod child;
mod framer;
mod stderr;

use std::collections::HashMap;
use std::rc::Rc;

use super::channel::{Door, Link, Load, Ready, Standing};
use super::children::Recipe;
use super::multiplex::Carried;
use super::vitals::{Chart, Patient};
use super::{Call, Context, Error, Greeting, OpenError, Relay, Transport, plan};
use child::{Child, Nursery};

/// The link of one worker to the children of one backend: one or more.
#[derive(Debug)]
pub struct Stdio(Box<[Link]>);

/// The doors of the hubs of one gateway, by backend.
#[derive(Debug)]
pub(super) struct Hubs(HashMap<String, Vec<Place>>);

/// The place of one child.
#[derive(Debug)]
struct Place {
    /// Its position among all children: they are dealt out to the workers in turn.
    index: usize,
    door: Door,
    chart: Chart,
    patient: Patient,
}

// === impl Hubs ===

impl Hubs {
    pub(super) fn new(backends: &[plan::Backend]) -> Self {
        let (mut places, mut indices) = (HashMap::new(), 0..);
        for backend in backends {
            let plan::Transport::Stdio(stdio) = &backend.transport else { continue };
            let own = (0..stdio.instances()).zip(&mut indices).map(|(instance, index)| {
                let (chart, patient) = Chart::new(&backend.name, instance);
                Place { index, door: Door::new(), chart, patient }
            });
            places.insert(backend.name.to_string(), own.collect());
        }
        Self(places)
    }

    /// Every child, in the order of the backends.
    pub(super) fn patients(&self) -> Vec<Patient> {
        let mut places: Vec<&Place> = self.0.values().flatten().collect();
        places.sort_by_key(|place| place.index);
        places.into_iter().map(|place| place.patient.clone()).collect()
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
        let places = context.shared.hubs.0.get(&*backend.name).ok_or_else(|| OpenError::Invalid {
            backend: backend.name.to_string(),
            detail: "it was not there when the gateway started".to_owned(),
        })?;
        // On every worker, though not all may need it: a gateway starts on all of its workers or on none.
        let recipe = Rc::new(Recipe::new(&context.shared, backend, stdio)?);
        for place in places.iter().filter(|place| place.index % context.workers == context.worker) {
            let (recipe, life, chart) = (Rc::clone(&recipe), stdio.life.clone(), place.chart.clone());
            place.door.serve::<Child>(backend, Nursery { recipe, life, chart })?;
        }
        Ok(Self(places.iter().map(|place| place.door.link(context, backend)).collect::<Result<_, _>>()?))
    }

    async fn exchange<R: Relay>(&self, call: &Call<'_>, relay: &mut R) -> Result<(), Error> {
        loop {
            let (link, ready, _load) = self.choose().await?;
            if link.carry(ready, call, relay).await? == Carried::Answered {
                return Ok(());
            }
            call.sent.set(false);
        }
    }

    async fn greet(&self) -> Result<Greeting, Error> {
        let (_, (_, greeting), _load) = self.choose().await?;
        Ok(Greeting::clone(&greeting))
    }

    async fn close(&self) {
        self.0.iter().for_each(Link::begin_close);
        for link in &self.0 {
            link.closed().await;
        }
    }
}

// === impl Stdio ===

impl Stdio {
    /// The child for a call, once it is up: the least busy of those that are. While all of them are busy, one that is
    /// asleep is started for the calls that follow. Fails when every one is down.
    async fn choose(&self) -> Result<(&Link, Ready, Load<'_>), Error> {
        loop {
            let ranked = self.0.iter().map(|link| (link.standing(), link));
            let ((standing, busy), link) =
                ranked.min_by_key(|(rank, _)| *rank).ok_or_else(|| Error::unavailable("it has no child"))?;
            if standing == Standing::Up
                && busy > 0
                && let Some(asleep) = self.0.iter().find(|other| other.standing().0 == Standing::Asleep)
            {
                asleep.wake();
            }
            let load = link.load();
            match link.ready().await {
                Ok(ready) => return Ok((link, ready, load)),
                Err(error) if self.0.iter().all(|other| other.standing().0 == Standing::Down) => return Err(error),
                // Another one may do better.
                Err(_) => {}
            }
        }
    }
}
