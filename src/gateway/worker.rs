//! The workers of one gateway: what they share, how each of them serves, and how they come to an end together.

use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use only1mcp_model::SealKey;
use only1mcp_model::overlay::{Compiled, Overlay};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::StartError;
use super::listen::{Accepting, Listener};
use crate::catalog::{Topology, View, plan};
use crate::clock::Clock;
use crate::control::{Beginning, OverlayError};
use crate::downstream::{self, Entrance, Shown, Stream};
use crate::limits;
use crate::proxy::{
    Amends, Calls, Counts, Drain, Errands, Feeds, Flights, Gate, Links, Load, Mailboxes, OpenedTokens, Parked,
    Relisted, Sessions, Shared, Site, TaskIds, Teams, Tie, Tuned, Worker,
};
use crate::references::References;
use crate::seal::Seal;
use crate::upstream::{self, Gone, Transport};

/// How often what is idle is looked for.
const SWEEP: Duration = Duration::from_secs(30);
/// How long to wait after an `accept` that failed: it fails again at once while descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often it is looked whether calls to a backend that is no more are over.
#[cfg(feature = "amendments")]
const RETIRE_PAUSE: Duration = Duration::from_millis(100);

/// What is needed to reach the backends.
#[derive(Debug, Default)]
pub(super) struct Provisions {
    pub(super) references: References,
    /// The executable that `command: self` starts, instead of the one that runs.
    pub(super) program: Option<PathBuf>,
    pub(super) overlay: Overlay,
    /// What the overlay is kept in instead, and whether it may be absent.
    pub(super) overlay_file: Option<(PathBuf, bool)>,
    /// Whether overlays may add backends that are started.
    pub(super) overlay_commands: bool,
}

/// All workers of one gateway.
pub(super) struct Crew {
    workers: usize,
    shared: Arc<Shared>,
    upstream: Arc<upstream::Shared>,
    /// A place for each connection of a client.
    connections: Arc<Semaphore>,
    /// Set once the gateway stops.
    draining: watch::Receiver<bool>,
    /// Held for as long as calls of a worker may be in flight; a worker that never started holds none.
    working: watch::Receiver<()>,
    /// Closed once no worker holds its `working`.
    all_drained: Arc<watch::Sender<()>>,
}

/// Through which connections come to one worker.
struct Doors {
    /// A place for each connection of all workers.
    connections: Arc<Semaphore>,
    /// Held by a connection that waits for its place: the next ones wait in the accept queue.
    turn: Arc<Semaphore>,
    /// Held by each connection of this worker.
    own: Arc<Semaphore>,
}

/// One worker that is about to serve, among the others.
pub(super) struct Place {
    worker: usize,
    crew: Crew,
    counts: Arc<Counts>,
}

// === impl Provisions ===

impl Provisions {
    /// The overlay to begin with.
    pub(super) fn beginning(&self, compiled: Compiled<'_>) -> Result<Beginning, OverlayError> {
        match &self.overlay_file {
            Some((path, optional)) => Beginning::read(path, *optional, compiled),
            None => Ok(Beginning::with(self.overlay.clone())),
        }
    }

    /// The executable that `command: self` starts.
    pub(super) fn program(&self) -> Result<PathBuf, StartError> {
        self.program.clone().map_or_else(|| std::env::current_exe().map_err(StartError::Worker), Ok)
    }

    /// What clients are handed is sealed as the topology says: with keys that outlive the process, or with one of its own.
    /// What was sealed by the gateway before is opened as well.
    pub(super) fn seal_keys(&self, plan: &plan::Sessions, before: &[SealKey]) -> Result<Vec<SealKey>, StartError> {
        let own = match &plan.seal_key {
            Some(reference) => {
                let keys = self.references.resolve(reference).map_err(StartError::SealKey)?;
                only1mcp_model::seal_keys(&keys).map_err(StartError::SealKeyForm)?
            }
            None if before.is_empty() => seal_key_of_this_process()?,
            None => Vec::new(),
        };
        Ok([&own, before].concat())
    }
}

/// A key that nobody else has, and that goes with the process.
pub(super) fn seal_key_of_this_process() -> Result<Vec<SealKey>, StartError> {
    Ok(vec![Seal::random_key().map_err(StartError::Worker)?])
}

// === impl Crew ===

impl Crew {
    /// What the workers will share; starts none.
    pub(super) fn new<T: Topology>(
        workers: usize,
        site: Site,
        seal_keys: &[SealKey],
        provisions: Provisions,
        tuned: Arc<Tuned>,
        draining: watch::Receiver<bool>,
    ) -> Result<Self, StartError> {
        let spec = T::SPEC;
        let (program, references) = (provisions.program()?, provisions.references);
        let (mailboxes, parked, flights) = (Mailboxes::default(), Parked::default(), Flights::default());
        let (sessions, tasks, errands) = (Sessions::new(seal_keys), TaskIds::new(seal_keys), Errands::new(workers));
        let (gate, load) = (Gate::new(spec, site), Load::new(spec.limits.calls_max));
        let shared = Arc::new(Shared { gate, load, sessions, mailboxes, parked, flights, tasks, errands, tuned });
        let tuning = shared.tuned.tuning();
        let upstream = upstream::Shared::new(references, program, spec.backends, &tuning);
        #[cfg(feature = "amendments")]
        let upstream = upstream.with(Arc::clone(&shared.tuned.additions));
        let upstream = Arc::new(upstream);
        let (all_drained, working) = watch::channel(());
        let connections = Arc::new(Semaphore::new(spec.limits.connections_max as usize));
        Ok(Self { workers, shared, upstream, connections, draining, working, all_drained: Arc::new(all_drained) })
    }

    /// The children that the workers keep.
    pub(super) fn children(&self) -> Vec<upstream::Patient> {
        self.upstream.patients()
    }

    /// What each of these backends said and nobody got.
    pub(super) fn dropped(&self, backends: &[plan::Backend]) -> Vec<upstream::Dropped> {
        self.upstream.dropped(backends)
    }

    /// What the workers share of the endpoints of each backend.
    pub(super) fn groups(&self, backends: &[plan::Backend]) -> Vec<Arc<upstream::Group>> {
        self.upstream.groups(backends)
    }

    /// What the workers share towards the backends.
    pub(super) fn upstream(&self) -> Arc<upstream::Shared> {
        Arc::clone(&self.upstream)
    }

    /// What they share towards clients.
    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// The place of one worker.
    pub(super) fn place(&self, worker: usize, counts: Arc<Counts>) -> Place {
        let Self { workers, shared, upstream, connections, draining, working, all_drained } = self;
        let crew = Self {
            workers: *workers,
            shared: Arc::clone(shared),
            upstream: Arc::clone(upstream),
            connections: Arc::clone(connections),
            draining: draining.clone(),
            working: working.clone(),
            all_drained: Arc::clone(all_drained),
        };
        Place { worker, crew, counts }
    }
}

// === impl Place ===

impl Place {
    /// Serves its listeners until the gateway stops.
    pub(super) fn run<T: Topology>(
        self,
        listeners: Vec<Listener>,
        shown: Option<Shown>,
        tie: Tie,
        ready: &mpsc::Sender<Result<(), StartError>>,
    ) {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(StartError::Worker(error)))),
        };
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            let listener = || Accepting::enter(listeners).map_err(StartError::Worker);
            match self.open::<T>(tie).and_then(|worker| Ok((worker, listener()?))) {
                Ok((worker, listener)) => {
                    drop(ready.send(Ok(())));
                    self.serve(worker, listener, Rc::new(Entrance::new(shown.as_ref()))).await;
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        });
    }

    /// Serves stdin and stdout until the client closes its end, or until `stop`.
    pub(super) fn converse<T: Topology>(
        self,
        view: &'static View,
        tie: Tie,
        stop: impl Future<Output = ()>,
    ) -> Result<(), StartError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Worker)?;
        let local = tokio::task::LocalSet::new();
        let served = local.block_on(&runtime, async {
            let worker = self.open::<T>(tie)?;
            let (input, output) = (tokio::io::stdin(), tokio::io::stdout());
            let mut serving = pin!(downstream::stdio::serve(Rc::clone(&worker), view, input, output));
            let ended = tokio::select! {
                ended = &mut serving => ended,
                () = stop => {
                    worker.drain.begin();
                    serving.await
                }
            };
            self.close(worker).await;
            ended.map_err(|Gone| StartError::Unread)
        });
        drop(local);
        // A read of stdin cannot be taken back: whoever holds its other end may never write or close.
        runtime.shutdown_background();
        served
    }

    fn open<T: Topology>(&self, tie: Tie) -> Result<Rc<Worker<T>>, StartError> {
        let clock = Clock::default();
        tokio::task::spawn_local(clock.clone().run());
        let context = upstream::Context {
            worker: self.worker,
            endpoint: 0,
            workers: self.crew.workers,
            clock: clock.clone(),
            shared: Arc::clone(&self.crew.upstream),
        };
        let (shared, counts) = (Arc::clone(&self.crew.shared), Arc::clone(&self.counts));
        // Before what they are now decides what is opened.
        let published = shared.tuned.published();
        let links = Links::open(context, &shared.tuned)?;
        let teams = Teams::open(T::SPEC.teams, self.worker);
        let (opened, calls, drain) = (OpenedTokens::default(), Calls::open(tie), Drain::default());
        let (feeds, relisted) = (Feeds::new(T::SPEC.backends.len()), Relisted::default());
        let (listeners, subscriptions) = (Rc::default(), Rc::default());
        // More than a `u16` has no machine.
        let index = u16::try_from(self.worker).unwrap_or(u16::MAX);
        let worker = Rc::new_cyclic(|own| {
            let own = own.clone();
            Worker {
                clock,
                links,
                teams,
                shared,
                opened,
                calls,
                counts,
                drain,
                feeds,
                amends: Rc::<Amends>::default(),
                relisted,
                listeners,
                subscriptions,
                index,
                own,
            }
        });
        worker.shared.errands.open(index, Rc::downgrade(&worker));
        tokio::task::spawn_local(follow(Rc::downgrade(&worker), published));
        Ok(worker)
    }

    /// Accepts until the gateway stops, then lets go of everything in order.
    async fn serve<T: Topology>(self, worker: Rc<Worker<T>>, listener: Accepting, entrance: Rc<Entrance>) {
        let doors = Doors::new(&self.crew.connections);
        let accept = || accept(&worker, &listener, &entrance, &doors);
        let mut draining = self.crew.draining.clone();
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                biased;
                // Ending with an error means that nobody is left to say it: the same.
                _ = draining.wait_for(|draining| *draining) => break,
                _ = sweep.tick(), if self.worker == 0 => self.crew.shared.sessions.sweep(),
                () = accept() => {}
            }
        }
        worker.drain.begin();
        // What waits in the accept queue was accepted by the kernel: closing the listener would reset it.
        let mut waiting = listener.waiting();
        // Whoever has to wait for a place keeps the others from being accepted, and they are not.
        while let (Ok(turn), Ok(own)) =
            (Arc::clone(&doors.turn).try_acquire_owned(), Arc::clone(&doors.own).try_acquire_owned())
        {
            let Some(client) = waiting.next() else { break };
            begin(&worker, &entrance, &doors, client, (turn, own));
        }
        drop(waiting);
        if tokio::time::timeout(limits::DRAIN_GRACE, doors.empty()).await.is_err() {
            tracing::warn!(worker = self.worker, "connections are left at the end of the grace period");
        }
        self.close(worker).await;
    }

    /// Lets go of the backends.
    async fn close<T: Topology>(self, worker: Rc<Worker<T>>) {
        // A shared child lives on one worker and may serve the calls of all.
        drop(self.crew.working);
        self.crew.all_drained.closed().await;
        // A worker that never started did not take the hubs that were to live on it: nobody may wait for those.
        drop(self.crew.upstream);
        worker.links.seal();
        let closing: Vec<_> = (0..worker.links.places())
            .map(|index| {
                let worker = Rc::clone(&worker);
                tokio::task::spawn_local(async move {
                    if let Some(link) = worker.links.of(index) {
                        link.close().await;
                    }
                })
            })
            .collect();
        for closed in closing {
            drop(closed.await);
        }
    }
}

/// Has a worker take up each time that settings are published.
async fn follow<T: Topology>(worker: Weak<Worker<T>>, mut published: watch::Receiver<u64>) {
    while published.changed().await.is_ok() {
        let Some(worker) = worker.upgrade() else { return };
        let catalog = worker.catalog();
        for removed in worker.links.follow(&worker.shared.tuned) {
            tokio::task::spawn_local(retire(Rc::clone(&worker), removed));
        }
        worker.amends.follow(catalog);
    }
}

/// Ends what a worker holds open at a backend that the overlay has no more, once its calls are over.
async fn retire<T: Topology>(worker: Rc<Worker<T>>, backend: usize) {
    let Some(link) = worker.links.of(backend) else { return };
    #[cfg(feature = "amendments")]
    while !link.is_idle() {
        tokio::select! {
            () = worker.drain.begun() => return,
            () = tokio::time::sleep(RETIRE_PAUSE) => {}
        }
    }
    if worker.shared.tuned.of(backend).is_some_and(|own| own.is_disabled()) {
        link.close().await;
    }
}

// === impl Doors ===

impl Doors {
    /// Everything else that is held is shared with other workers, or is not a connection.
    const ALL: u32 = 1 << 24;

    fn new(connections: &Arc<Semaphore>) -> Self {
        Self {
            connections: Arc::clone(connections),
            turn: Arc::new(Semaphore::new(1)),
            own: Arc::new(Semaphore::new(Self::ALL as usize)),
        }
    }

    /// Waits until no connection of this worker is left.
    async fn empty(&self) {
        // It is never closed.
        drop(self.own.acquire_many(Self::ALL).await);
    }
}

async fn accept<T: Topology>(worker: &Rc<Worker<T>>, listener: &Accepting, entrance: &Rc<Entrance>, doors: &Doors) {
    let Ok(turn) = Arc::clone(&doors.turn).acquire_owned().await else { return };
    let Ok(own) = Arc::clone(&doors.own).acquire_owned().await else { return };
    if !begin(worker, entrance, doors, listener.accept().await, (turn, own)) {
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// Begins to serve a client that was accepted; `false` if none was.
fn begin<T: Topology>(
    worker: &Rc<Worker<T>>,
    entrance: &Rc<Entrance>,
    doors: &Doors,
    client: io::Result<Stream>,
    (turn, own): (OwnedSemaphorePermit, OwnedSemaphorePermit),
) -> bool {
    match client {
        Ok(stream) => {
            let (worker, entrance) = (Rc::clone(worker), Rc::clone(entrance));
            worker.counts.accepted.add(1);
            let connections = Arc::clone(&doors.connections);
            let place = Arc::clone(&connections).try_acquire_owned();
            // Only who has to wait keeps the others from being accepted.
            let turn = place.is_err().then_some(turn);
            tokio::task::spawn_local(async move {
                let place = match place {
                    Ok(place) => Ok(place),
                    Err(_full) => connections.acquire_owned().await,
                };
                drop(turn);
                entrance.serve(Rc::clone(&worker), stream).await;
                worker.counts.closed.add(1);
                drop((place, own));
            });
            true
        }
        Err(error) => {
            tracing::warn!(%error, "no connection could be accepted");
            false
        }
    }
}
