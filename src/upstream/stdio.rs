//! stdio towards a backend: child processes shared by all workers and clients, many calls in flight on the pipes of each.
//!
//! A child lives on one worker; how the others reach it is in `channel`. Which of several gets a call is decided here.

mod child;
mod framer;
mod seats;
mod stderr;
#[cfg(feature = "amendments")]
mod ward;

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::channel::{Door, Link, Load, Ready, Standing};
use super::children::Recipe;
use super::context::Account;
use super::heard::{Audience, Hearer, Lists, Subscription};
use super::multiplex::Carried;
use super::vitals::{Chart, Patient};
use super::{Call, Context, Error, Greeting, Kind, OpenError, Relay, SessionKey, Transport, plan, profiles};
use crate::catalog::Era;
use crate::limits;
use crate::mcp::client::Profile;
use child::{Child, Nursery};
use seats::{Seats, Tenant};
#[cfg(feature = "amendments")]
pub(super) use ward::{Guest, Lodging, Ward};

/// The link of one worker to the children of one backend: one or more.
#[derive(Debug)]
pub struct Stdio {
    /// Those for all clients, behind them those for one session each, and behind those the ones for one profile each.
    links: Box<[Link]>,
    /// How many there are for all clients.
    shared: usize,
    /// Which session has which of its own.
    sessions: Seats,
    /// The clients of which profile have which of theirs, where the backend is a legacy one.
    profiles: Seats,
    /// What it was greeted in last, was locked in or is pinned to.
    era: Cell<Option<Era>>,
}

/// The child that takes a call, once it is up.
type Chosen<'a> = (&'a Link, Ready, Load<'a>);

/// The doors of the hubs of one gateway, by backend.
#[derive(Debug)]
pub(super) struct Hubs(HashMap<String, Arc<Places>>);

/// The places of the children of one backend.
#[derive(Debug)]
pub(super) struct Places {
    all: Vec<Place>,
    sessions: Seats,
    profiles: Seats,
    /// They are not the workers' but those of the ward, which comes behind the last of these.
    apart: bool,
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
    pub(super) fn new(backends: &[plan::Backend], accounts: &HashMap<String, Account>) -> Self {
        let (mut places, mut indices) = (HashMap::new(), 0..);
        for backend in backends {
            let account = accounts.get(&*backend.name).cloned().unwrap_or_default();
            if let Some(own) = Places::new(backend, &account, &mut indices, false) {
                places.insert(backend.name.to_string(), Arc::new(own));
            }
        }
        Self(places)
    }

    /// The places of the children of a backend that is compiled.
    pub(super) fn of(&self, backend: &str) -> Option<Arc<Places>> {
        self.0.get(backend).cloned()
    }

    /// Every child, in the order of the backends.
    pub(super) fn patients(&self) -> Vec<Patient> {
        let mut places: Vec<&Place> = self.0.values().flat_map(|places| &places.all).collect();
        places.sort_by_key(|place| place.index);
        places.into_iter().map(|place| place.patient.clone()).collect()
    }
}

// === impl Places ===

impl Places {
    /// Those of a backend that is started, each at the next of these indices.
    fn new(
        backend: &plan::Backend,
        account: &Account,
        indices: &mut impl Iterator<Item = usize>,
        apart: bool,
    ) -> Option<Self> {
        let plan::Transport::Stdio(stdio) = &backend.transport else { return None };
        let differ = profiles::may_differ(backend);
        let profiles = Seats::new(if differ { limits::PROFILE_CHILDREN_MAX } else { 0 });
        let needed = stdio.instances() + stdio.sessions();
        let all = (0..needed + profiles.count()).zip(indices).map(|(instance, index)| {
            let (chart, patient) = Chart::new(&backend.name, instance, instance >= needed);
            // What changed for one session has changed for nobody else.
            let alone = (stdio.instances()..needed).contains(&instance);
            let lists = if alone { Lists::default() } else { account.lists.clone() };
            let account = Account { lists, ..account.clone() };
            Place { index, door: Door::new(account), chart, patient }
        });
        Some(Self { all: all.collect(), sessions: Seats::new(stdio.sessions()), profiles, apart })
    }

    /// Has the children live here that are to.
    fn serve(&self, context: &Context, backend: &plan::Backend, stdio: &plan::Stdio) -> Result<(), OpenError> {
        if self.apart && context.worker < context.workers {
            let lives = self.all.iter().all(|place| place.door.is_served());
            return if lives { Ok(()) } else { Err(invalid(backend, "it could not be started: the log says why")) };
        }
        // On every worker, though not all may need it: a gateway starts on all of its workers or on none.
        let recipe = Rc::new(Recipe::new(&context.shared, backend, stdio)?);
        let (shared, sessions) = (stdio.instances(), self.sessions.count());
        for (instance, place) in self.all.iter().enumerate() {
            if self.apart || place.index % context.workers == context.worker {
                let alone = instance.checked_sub(shared);
                let seat = alone.map(|alone| match alone.checked_sub(sessions) {
                    Some(index) => self.profiles.seat(index),
                    None => self.sessions.seat(alone),
                });
                let life = if instance < shared + sessions { stdio.life.clone() } else { of_profile(&stdio.life) };
                let (recipe, chart) = (Rc::clone(&recipe), place.chart.clone());
                place.door.serve::<Child>(backend, Nursery { recipe, life, chart, seat })?;
            }
        }
        Ok(())
    }
}

fn invalid(backend: &plan::Backend, detail: &str) -> OpenError {
    OpenError::Invalid { backend: backend.name.to_string(), detail: detail.to_owned() }
}

// === impl Transport ===

impl Transport for Stdio {
    fn carries(transport: &plan::Transport) -> bool {
        matches!(transport, plan::Transport::Stdio(_))
    }

    fn open(context: &Context, backend: &plan::Backend) -> Result<Self, OpenError> {
        Self::at(context.shared.places(backend), context, backend)
    }

    async fn exchange<R: Relay>(&self, call: &Call<'_>, relay: &mut R) -> Result<(), Error> {
        if Subscription::of(call).is_some() {
            return self.heard()?.exchange(call, relay).await;
        }
        loop {
            let (link, ready, load) = self.chosen_for(call).await?;
            self.era.set(Some(ready.1.era));
            // One that is not of the pool is found again by its tenant.
            if self.shared > 1
                && let Some(child) = self.links[..self.shared].iter().position(|own| std::ptr::eq(own, link))
            {
                relay.taken_by(u16::try_from(child).unwrap_or(u16::MAX));
            }
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

    fn era(&self) -> Option<Era> {
        self.links[..self.shared].iter().find_map(Link::era)
    }

    async fn hear<H: Hearer>(&self, hearer: Rc<H>) -> Result<(), Error> {
        self.heard()?.hear(hearer).await
    }

    fn leave(&self, session: SessionKey) {
        if let Some(seat) = self.sessions.of(session) {
            self.links[self.shared + seat].retire(|| self.sessions.of(session) == Some(seat));
        }
    }

    fn reconsider(&self) {
        self.links.iter().for_each(Link::nudge);
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
    /// The link to the children at these places of a backend.
    fn at(places: Option<Arc<Places>>, context: &Context, backend: &plan::Backend) -> Result<Self, OpenError> {
        let plan::Transport::Stdio(stdio) = &backend.transport else {
            return Err(OpenError::NotCompiled { backend: backend.name.to_string() });
        };
        let places = places.ok_or_else(|| invalid(backend, "it was not there when the gateway started"))?;
        places.serve(context, backend, stdio)?;
        let (shared, sessions, profiles) = (stdio.instances(), places.sessions.clone(), places.profiles.clone());
        let audience = Rc::new(Audience::new(context.shared.account(backend)));
        let context = Context { workers: context.workers + usize::from(places.apart), ..context.clone() };
        let links =
            places.all.iter().map(|place| place.door.link(&context, backend, &audience)).collect::<Result<_, _>>()?;
        let era = Cell::new(backend.era.or(backend.locked_era));
        Ok(Self { links, shared, sessions, profiles, era })
    }

    /// The child that is heard on every worker: the first of those for all clients.
    fn heard(&self) -> Result<&Link, Error> {
        self.links[..self.shared].first().ok_or_else(|| Error::unavailable("it has no child"))
    }

    /// The child for a call: that of its session, else that of its client's profile, else one of those for all.
    async fn chosen_for(&self, call: &Call<'_>) -> Result<Chosen<'_>, Error> {
        if let Some(session) = call.session.filter(|_| self.sessions.count() > 0) {
            let tenant = Tenant { session: Some(session), profile: profiles::of(call) };
            return self.own(&self.sessions, self.shared, tenant).await?.ok_or_else(|| {
                let why =
                    format!("{} sessions have a child of their own, which is as many as may", self.sessions.count());
                Error::new(Kind::Overloaded, false, why)
            });
        }
        if let Some(link) = call.child.and_then(|child| self.links[..self.shared].get(usize::from(child))) {
            let load = link.load();
            return Ok((link, link.ready().await?, load));
        }
        if self.profiles.count() == 0 {
            return self.choose().await;
        }
        // Only a legacy backend tells clients apart; which era it is of, the children for all find out.
        if self.era.get() != Some(Era::Legacy) {
            let chosen = self.choose().await?;
            let (_, (_, greeting), _) = &chosen;
            if greeting.era == Era::Modern || profiles::of(call) == Profile::NONE {
                return Ok(chosen);
            }
        }
        let tenant = Tenant { session: None, profile: profiles::of(call) };
        if tenant.profile == Profile::NONE {
            return self.choose().await;
        }
        // Beyond the bound, a client is one that can do nothing.
        match self.own(&self.profiles, self.shared + self.sessions.count(), tenant).await? {
            Some(own) => Ok(own),
            None => self.choose().await,
        }
    }

    /// The child of a tenant, once it is up; `None` where all seats are others'. The first of the seats is that of the
    /// child at `first`.
    async fn own(&self, seats: &Seats, first: usize, tenant: Tenant) -> Result<Option<Chosen<'_>>, Error> {
        let mut taken = seats.take(tenant);
        while let Some(seat) = taken {
            let link = &self.links[first + seat];
            let load = link.load();
            let ready = link.ready().await?;
            // It may have gone to sleep meanwhile: unless it is another's by now, it is taken again.
            taken = seats.take(tenant);
            if taken == Some(seat) {
                return Ok(Some((link, ready, load)));
            }
            // Nor must it stay up for nobody, having been told what its next tenant may not be able to do.
            link.retire(|| seats.is_vacant(seat));
        }
        Ok(None)
    }

    /// The child for a call of no session in particular, once it is up: the least busy of those that are. While all of them are busy, one that is
    /// asleep is started for the calls that follow. Fails when every one is down.
    async fn choose(&self) -> Result<Chosen<'_>, Error> {
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

/// The life of a child for the clients of one profile: it is there while there are some.
fn of_profile(life: &plan::Life) -> plan::Life {
    let idle_ms = life.idle_ms.or(u64::try_from(limits::PROFILE_IDLE.as_millis()).ok());
    plan::Life { lazy: true, idle_ms, ..life.clone() }
}
