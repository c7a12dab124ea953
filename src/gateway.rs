//! A gateway as a whole: listeners, one thread per core, start and stop.
//!
//! Each worker is a thread with its own single-threaded runtime, its own listener on the shared port (`SO_REUSEPORT`; a
//! socket that an embedder hands over is shared instead) and its own links to the backends, so that a request crosses no
//! thread unless its backend is a shared child.

#[cfg(feature = "admin")]
mod admin;
mod listen;
#[cfg(not(feature = "admin"))]
mod no_admin;

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use only1mcp_model::overlay::Overlay;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::catalog::Topology;
use crate::catalog::plan::{self, Reference};
use crate::clock::Clock;
use crate::downstream;
use crate::limits;
use crate::proxy::{Counts, Drain, Gate, Sessions, Settings, Shared, Site, Worker};
use crate::references::{References, Unresolved};
use crate::upstream::{self, OpenError, Transport};
#[cfg(not(feature = "admin"))]
use no_admin as admin;

/// How often what is idle is looked for.
const SWEEP: Duration = Duration::from_secs(30);
/// How long to wait after an `accept` that failed: it fails again at once while descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The listener for clients, where errors have to name it.
const MCP: &str = "MCP";

/// A gateway for one compiled topology. Start it with [`Gateway::builder`].
#[derive(Debug)]
pub struct Gateway<T>(PhantomData<T>);

/// What may be decided at start.
#[derive(Debug)]
pub struct Builder<T> {
    listen: Option<Listen>,
    admin_address: Option<String>,
    references: References,
    program: Option<PathBuf>,
    workers: Option<usize>,
    overlay: Overlay,
    topology: PhantomData<T>,
}

/// Where to listen instead of at the topology's address.
#[derive(Debug)]
enum Listen {
    Address(String),
    Socket(std::net::TcpListener),
}

/// A gateway that serves. It stops when this is dropped; [`Running::stop`] says how that went.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    listen: &'static plan::Listen,
    draining: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    /// Behind the workers: it answers until the last of them is done.
    admin: Option<admin::Serving>,
}

/// A gateway that could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The reference to the address of a listener does not resolve.
    #[error("{listener} address does not resolve")]
    Reference {
        /// Which listener: `MCP` or `admin`.
        listener: &'static str,
        /// Why.
        #[source]
        source: Unresolved,
    },
    /// The address of a listener is no `host:port`.
    #[error("{listener} address `{address}` is not `host:port`")]
    Address {
        /// Which listener: `MCP` or `admin`.
        listener: &'static str,
        /// The address.
        address: String,
    },
    /// The address cannot be listened on.
    #[error("address {address} cannot be listened on")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The listener that was handed over is none.
    #[error("listener cannot be used")]
    Listener(#[source] std::io::Error),
    /// The admin address is open to other machines, and nothing protects it.
    #[error("admin address {0} is open to other machines and has no token: `listen.admin.token` names one")]
    OpenAdmin(SocketAddr),
    /// The reference to the admin token does not resolve.
    #[error("admin token does not resolve")]
    AdminToken(#[source] Unresolved),
    /// The admin token cannot be shown by any client.
    #[error("admin token is empty, or holds blanks or characters beyond ASCII")]
    AdminTokenForm,
    /// This build has no admin listener.
    #[error("admin listener is not part of this build: build with `--features admin`")]
    AdminOff,
    /// A backend's link cannot be prepared.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The operating system refused a thread, a runtime or a path.
    #[error("a worker cannot start")]
    Worker(#[source] std::io::Error),
}

// === impl Gateway ===

impl<T: Topology> Gateway<T> {
    /// A gateway as its topology says.
    #[must_use]
    pub fn builder() -> Builder<T> {
        Builder {
            listen: None,
            admin_address: None,
            references: References::default(),
            program: None,
            workers: None,
            overlay: Overlay::default(),
            topology: PhantomData,
        }
    }
}

// === impl Builder ===

impl<T: Topology> Builder<T> {
    /// Listens on this address instead of the topology's. Port 0 lets the system choose.
    #[must_use]
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.listen = Some(Listen::Address(address.into()));
        self
    }

    /// Accepts from this socket, which is bound and listens, instead of the topology's address. The workers share its
    /// queue; for one socket a worker give an [`address`](Self::address) instead.
    #[must_use]
    pub fn listener(mut self, listener: std::net::TcpListener) -> Self {
        self.listen = Some(Listen::Socket(listener));
        self
    }

    /// Has an admin listener on this address instead of the topology's, also where the topology has none. Port 0 lets
    /// the system choose. What is not a loopback address needs the topology's token.
    #[must_use]
    pub fn admin_address(mut self, address: impl Into<String>) -> Self {
        self.admin_address = Some(address.into());
        self
    }

    /// Uses `value` for `env:NAME` whatever the environment says.
    #[must_use]
    pub fn reference(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.references.give(name, value);
        self
    }

    /// The executable that `command: self` starts, instead of the one that runs.
    #[must_use]
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// Settings of backends that differ from the compiled ones.
    #[must_use]
    pub fn overlay(mut self, overlay: Overlay) -> Self {
        self.overlay = overlay;
        self
    }

    /// How many workers serve, instead of one per core.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers.max(1));
        self
    }

    /// Starts the gateway: returns once it accepts connections. Children are started meanwhile.
    ///
    /// # Errors
    /// When the address cannot be listened on, or a reference of the topology does not resolve.
    pub fn start(self) -> Result<Running, StartError> {
        let spec = T::SPEC;
        let workers = self.workers.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
        let (address, listeners) = match self.listen {
            Some(Listen::Socket(listener)) => listen::share(listener, workers).map_err(StartError::Listener)?,
            Some(Listen::Address(address)) => {
                let address = Reference::Literal(address.into());
                listen::bind(listen::resolve(MCP, &address, &self.references)?, workers)?
            }
            None => listen::bind(listen::resolve(MCP, &spec.listen.address, &self.references)?, workers)?,
        };
        let admin = admin::bind(spec.listen.admin.as_ref(), self.admin_address, &self.references)?;
        let hosts = spec.listen.hosts.iter().map(ToString::to_string).chain(listen::names(address));
        let origins = spec.listen.origins.iter().map(ToString::to_string);
        let gate = Gate::new(spec, Site::new(hosts.collect(), origins.collect()));
        let program = match self.program {
            Some(program) => program,
            None => std::env::current_exe().map_err(StartError::Worker)?,
        };
        let (draining, drain) = watch::channel(false);
        let backends = spec.backends.iter().map(|backend| Settings::new(backend, &self.overlay)).collect();
        let shared = Arc::new(Shared { gate, sessions: Sessions::default(), backends });
        let mut running = Running { address, listen: &spec.listen, draining, threads: Vec::new(), admin: None };
        // After `running`, so that they are dropped before: whoever joins the workers must not hold what they wait for.
        let upstream = Arc::new(upstream::Shared::new(self.references, program, spec.backends));
        let (all_drained, working) = watch::channel(());
        let all_drained = Arc::new(all_drained);
        let (ready, started) = mpsc::channel();
        let counts: Vec<_> = (0..workers).map(|_| Arc::new(Counts::new(spec.backends.len()))).collect();
        for ((worker, listener), counts) in listeners.into_iter().enumerate().zip(counts.iter().cloned()) {
            let place = Place {
                worker,
                workers,
                shared: Arc::clone(&shared),
                upstream: Arc::clone(&upstream),
                counts,
                working: working.clone(),
                draining: drain.clone(),
                all_drained: Arc::clone(&all_drained),
            };
            let ready = ready.clone();
            let thread = std::thread::Builder::new().name(format!("worker-{worker}"));
            let thread = thread.spawn(move || place.run::<T>(listener, &ready)).map_err(StartError::Worker)?;
            running.threads.push(thread);
        }
        drop((ready, working));
        for _ in 0..workers {
            started.recv().unwrap_or_else(|_gone| Err(StartError::Worker(std::io::ErrorKind::BrokenPipe.into())))?;
        }
        running.admin = admin.map(|admin| admin.serve(spec, running.url(), counts)).transpose()?;
        Ok(running)
    }
}

// === impl Running ===

impl Running {
    /// The address listened on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the admin listener, if there is one.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(admin::Serving::address)
    }

    /// The URL of the MCP endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, self.listen.path)
    }

    /// The URL of a view.
    #[must_use]
    pub fn view_url(&self, view: &str) -> String {
        format!("http://{}{}", self.address, self.listen.view_path(view))
    }

    /// Stops accepting, lets calls in flight finish within [`limits::DRAIN_GRACE`], ends the children. Blocks until all
    /// of that is done.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.draining.send_replace(true);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
    }
}

/// Where a worker stands among the others.
struct Place {
    worker: usize,
    workers: usize,
    shared: Arc<Shared>,
    upstream: Arc<upstream::Shared>,
    counts: Arc<Counts>,
    /// Set once the gateway stops.
    draining: watch::Receiver<bool>,
    /// Held for as long as calls of this worker may be in flight; a worker that never started holds none.
    working: watch::Receiver<()>,
    /// Closed once no worker holds its `working`.
    all_drained: Arc<watch::Sender<()>>,
}

// === impl Place ===

impl Place {
    fn run<T: Topology>(self, listener: std::net::TcpListener, ready: &mpsc::Sender<Result<(), StartError>>) {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(StartError::Worker(error)))),
        };
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            match self.open::<T>(listener) {
                Ok((worker, listener)) => {
                    drop(ready.send(Ok(())));
                    self.serve(Rc::new(worker), listener).await;
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        });
    }

    fn open<T: Topology>(&self, listener: std::net::TcpListener) -> Result<(Worker<T>, TcpListener), StartError> {
        let clock = Clock::default();
        tokio::task::spawn_local(clock.clone().run());
        let context = upstream::Context {
            worker: self.worker,
            workers: self.workers,
            clock: clock.clone(),
            shared: Arc::clone(&self.upstream),
        };
        let links = T::SPEC.backends.iter().map(|backend| T::Upstream::open(&context, backend));
        let links = links.collect::<Result<Box<[_]>, _>>()?;
        let listener = TcpListener::from_std(listener).map_err(StartError::Worker)?;
        let (shared, counts) = (Arc::clone(&self.shared), Arc::clone(&self.counts));
        Ok((Worker { clock, links, shared, counts, drain: Drain::default() }, listener))
    }

    /// Accepts until the gateway stops, then lets go of everything in order.
    async fn serve<T: Topology>(self, worker: Rc<Worker<T>>, listener: TcpListener) {
        let connections = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
        let mut draining = self.draining.clone();
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                biased;
                // Ending with an error means that nobody is left to say it: the same.
                _ = draining.wait_for(|draining| *draining) => break,
                _ = sweep.tick(), if self.worker == 0 => self.shared.sessions.sweep(),
                () = accept(&worker, &listener, &connections) => {}
            }
        }
        worker.drain.begin();
        // What waits in the accept queue was accepted by the kernel: closing the listener would reset it.
        while let Ok(()) = tokio::time::timeout(Duration::ZERO, accept(&worker, &listener, &connections)).await {}
        drop(listener);
        let all = u32::try_from(limits::CONNECTIONS_MAX).unwrap_or(u32::MAX);
        if tokio::time::timeout(limits::DRAIN_GRACE, connections.acquire_many(all)).await.is_err() {
            tracing::warn!(worker = self.worker, "connections are left at the end of the grace period");
        }
        // A shared child lives on one worker and may serve the calls of all.
        drop(self.working);
        self.all_drained.closed().await;
        // A worker that never started did not take the hubs that were to live on it: nobody may wait for those.
        drop(self.upstream);
        let closing: Vec<_> = (0..worker.links.len())
            .map(|index| {
                let worker = Rc::clone(&worker);
                tokio::task::spawn_local(async move { worker.links[index].close().await })
            })
            .collect();
        for closed in closing {
            drop(closed.await);
        }
    }
}

async fn accept<T: Topology>(worker: &Rc<Worker<T>>, listener: &TcpListener, connections: &Arc<Semaphore>) {
    let Ok(permit) = Arc::clone(connections).acquire_owned().await else { return };
    match listener.accept().await {
        Ok((stream, _peer)) => {
            let worker = Rc::clone(worker);
            worker.counts.accepted.add(1);
            tokio::task::spawn_local(async move {
                downstream::http::serve(Rc::clone(&worker), stream).await;
                worker.counts.closed.add(1);
                drop(permit);
            });
        }
        Err(error) => {
            tracing::warn!(%error, "no connection could be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}
