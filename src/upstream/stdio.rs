//! stdio towards a backend: child processes shared by all workers and clients, many calls in flight on the pipes of each.
//!
//! A child lives on one worker; how the others reach it is in `channel`. Which of several gets a call is decided here.

mod child;
mod framer;
mod seats;
mod stderr;

use std::collections::HashMap;
use std::rc::Rc;

use super::channel::{Door, Link, Load, Ready, Standing};
use super::children::Recipe;
use super::multiplex::Carried;
use super::vitals::{Chart, Patient};
use super::{Call, Context, Error, Greeting, Kind, OpenError, Relay, SessionKey, Transport, plan};
use child::{Child, Nursery};
use seats::Seats;

/// The link of one worker to the children of one backend: one or more.
#[derive(Debug)]
pub struct Stdio {
    /// Those for all clients, and behind them those for one session each.
    links: Box<[Link]>,
    /// How many there are for all clients.
    shared: usize,
    /// Which session has which of the others.
    seats: Seats,
}

/// The doors of the hubs of one gateway, by backend.
#[derive(Debug)]
pub(super) struct Hubs(HashMap<String, Places>);

/// The places of the children of one backend.
#[derive(Debug)]
struct Places {
    all: Vec<Place>,
    seats: Seats,
}

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
            let count = stdio.instances() + stdio.sessions();
            let own = (0..count).zip(&mut indices).map(|(instance, index)| {
                let (chart, patient) = Chart::new(&backend.name, instance);
                Place { index, door: Door::new(), chart, patient }
            });
            let own = Places { all: own.collect(), seats: Seats::new(stdio.sessions()) };
            places.insert(backend.name.to_string(), own);
        }
        Self(places)
    }

    /// Every child, in the order of the backends.
    pub(super) fn patients(&self) -> Vec<Patient> {
        let mut places: Vec<&Place> = self.0.values().flat_map(|places| &places.all).collect();
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
        let (shared, seats) = (stdio.instances(), places.seats.clone());
        for (instance, place) in places.all.iter().enumerate() {
            if place.index % context.workers == context.worker {
                let (recipe, life, chart) = (Rc::clone(&recipe), stdio.life.clone(), place.chart.clone());
                let seat = instance.checked_sub(shared).map(|index| seats.seat(index));
                place.door.serve::<Child>(backend, Nursery { recipe, life, chart, seat })?;
            }
        }
        let links = places.all.iter().map(|place| place.door.link(context, backend)).collect::<Result<_, _>>()?;
        Ok(Self { links, shared, seats })
    }

    async fn exchange<R: Relay>(&self, call: &Call<'_>, relay: &mut R) -> Result<(), Error> {
        loop {
            let (link, ready, load) = match call.session.filter(|_| self.shared < self.links.len()) {
                Some(session) => self.own(session).await?,
                None => self.choose().await?,
            };
            if link.carry(ready, call, relay, load).await? == Carried::Answered {
                return Ok(());
            }
            call.sent.set(false);
        }
    }

    async fn greet(&self) -> Result<Greeting, Error> {
        let (_, (_, greeting), _load) = self.choose().await?;
        Ok(Greeting::clone(&greeting))
    }

    fn leave(&self, session: SessionKey) {
        if let Some(seat) = self.seats.of(session) {
            self.links[self.shared + seat].retire(|| self.seats.of(session) == Some(seat));
        }
    }

    async fn close(&self) {
        self.links.iter().for_each(Link::begin_close);
        for link in &self.links {
            link.closed().await;
        }
    }
}

// === impl Stdio ===

impl Stdio {
    /// The child of a session, once it is up.
    async fn own(&self, session: SessionKey) -> Result<(&Link, Ready, Load<'_>), Error> {
        loop {
            let seat = self.seats.take(session).ok_or_else(|| {
                let why = format!(
                    "{} sessions have a child of their own, which is as many as may",
                    self.links.len() - self.shared
                );
                Error::new(Kind::Overloaded, false, why)
            })?;
            let link = &self.links[self.shared + seat];
            let load = link.load();
            let ready = link.ready().await?;
            // It may have gone to sleep meanwhile, and be another session's by now.
            if self.seats.of(session) == Some(seat) {
                return Ok((link, ready, load));
            }
        }
    }

    /// The child for a call of no session in particular, once it is up: the least busy of those that are. While all of them are busy, one that is
    /// asleep is started for the calls that follow. Fails when every one is down.
    async fn choose(&self) -> Result<(&Link, Ready, Load<'_>), Error> {
        let links = &self.links[..self.shared];
        loop {
            let ranked = links.iter().map(|link| (link.standing(), link));
            let ((standing, busy), link) =
                ranked.min_by_key(|(rank, _)| *rank).ok_or_else(|| Error::unavailable("it has no child"))?;
            if standing == Standing::Up
                && busy > 0
                && let Some(asleep) = links.iter().find(|other| other.standing().0 == Standing::Asleep)
            {
                asleep.wake();
            }
            let load = link.load();
            match link.ready().await {
                Ok(ready) => return Ok((link, ready, load)),
                Err(error) if links.iter().all(|other| other.standing().0 == Standing::Down) => return Err(error),
                // Another one may do better.
                Err(_) => {}
            }
        }
    }
}
