//! A gateway as a whole: listeners, one thread per core, start and stop.
//!
//! Each worker is a thread with its own single-threaded runtime, its own listener on the shared port (`SO_REUSEPORT`; a
//! socket that an embedder hands over is shared instead) and its own links to the backends, so that a request crosses no
//! thread unless its backend is a shared child.

#[cfg(feature = "admin")]
mod admin;
mod errors;
mod listen;
#[cfg(not(feature = "admin"))]
mod no_admin;
#[cfg(not(feature = "tls"))]
mod no_tls;
mod socket;
mod sockets;
#[cfg(feature = "tls")]
mod tls;
mod worker;

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use only1mcp_model::SealKey;
use only1mcp_model::overlay::Overlay;
use tokio::sync::watch;

use crate::catalog::Topology;
use crate::catalog::plan::{self, Reference};
use crate::control::{Amender, Control, OverlayStore};
use crate::proxy::{Counts, Site, Tie, Tuned};
use crate::references::References;
use crate::upstream::{self, Patient};
pub use errors::{StartError, TlsError};
use listen::{Address, Listener, Listening};
#[cfg(not(feature = "admin"))]
use no_admin as admin;
#[cfg(not(feature = "tls"))]
use no_tls as tls;
use socket::SocketFile;
pub use sockets::{ActivationError, HandoverError};
pub(crate) use sockets::{Handover, Sockets, Successor};
use worker::{Crew, Provisions};

/// The listener for clients, where errors have to name it.
const MCP: &str = "MCP";

/// A gateway for one compiled topology. Start it with [`Gateway::builder`].
#[derive(Debug)]
pub struct Gateway<T>(PhantomData<T>);

/// What may be decided at start.
#[derive(Debug)]
pub struct Builder<T> {
    /// Instead of the topology's.
    address: Option<String>,
    /// What listens already.
    sockets: Sockets,
    /// Whether another gateway may take over.
    is_succeeded: bool,
    admin: Given,
    /// Instead of the topology's. With what begins to serve it, which nothing else names for a topology without TLS.
    tls: Option<(plan::ListenerTls, Serve)>,
    provisions: Provisions,
    workers: Option<usize>,
    topology: PhantomData<T>,
}

/// What is given of the admin listener instead of what the topology says.
#[derive(Debug, Default)]
struct Given {
    address: Option<String>,
    token: Option<Reference>,
}

/// What begins to serve clients over TLS.
type Serve = fn(plan::ListenerTls, &References) -> Result<tls::Watch, StartError>;

/// A gateway that serves. It stops when this is dropped; [`Running::stop`] says how that went.
#[derive(Debug)]
pub struct Running {
    address: Address,
    file: Option<SocketFile>,
    /// What another gateway can take over.
    kept: Option<Kept>,
    listen: &'static plan::Listen,
    overlay: Arc<OverlayStore>,
    children: Vec<Patient>,
    draining: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    /// Looks after the certificate.
    tls: Option<tls::Watch>,
    admin_address: Option<SocketAddr>,
    /// Behind the workers: it answers until the last of them is done.
    control: Option<Control>,
}

/// What a gateway holds for another one to take over.
#[derive(Debug)]
struct Kept {
    listeners: Vec<Listener>,
    admin: Option<std::net::TcpListener>,
    /// What its sessions are sealed with, where no topology says it.
    seal_keys: Vec<SealKey>,
}

// === impl Gateway ===

impl<T: Topology> Gateway<T> {
    /// A gateway as its topology says.
    #[must_use]
    pub fn builder() -> Builder<T> {
        Builder {
            address: None,
            sockets: Sockets::default(),
            is_succeeded: false,
            admin: Given::default(),
            tls: None,
            provisions: Provisions::default(),
            workers: None,
            topology: PhantomData,
        }
    }
}

// === impl Builder ===

impl<T: Topology> Builder<T> {
    /// Listens on this address, `host:port` or `unix:/path`, instead of the topology's. Port 0 lets the system choose.
    #[must_use]
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self.sockets = Sockets::default();
        self
    }

    /// Accepts from this socket, which is bound and listens, instead of the topology's address. The workers share its
    /// queue; for one socket a worker give an [`address`](Self::address) instead.
    #[must_use]
    pub fn listener(self, listener: std::net::TcpListener) -> Self {
        self.sockets(Sockets::of_clients(listener))
    }

    /// Serves what listens already, where it is of use.
    pub(crate) fn sockets(mut self, sockets: Sockets) -> Self {
        self.sockets = sockets;
        self
    }

    /// Holds on to the sockets, so that another gateway can take them over.
    pub(crate) fn succeeded(mut self) -> Self {
        self.is_succeeded = true;
        self
    }

    /// Serves clients over TLS with the certificate and the private key in these PEM files instead of the topology's, also
    /// where the topology has none. They are read anew when they change.
    #[must_use]
    pub fn tls(mut self, cert: impl Into<String>, key: impl Into<String>) -> Self {
        let file = |path: String| Reference::File(path.into());
        let settings = plan::ListenerTls { cert: file(cert.into()), key: file(key.into()), client_ca: None };
        self.tls = Some((settings, tls::Watch::start));
        self
    }

    /// The same, for clients that show a certificate of one of the authorities in the PEM file `client_ca`, and nobody else.
    #[must_use]
    pub fn mutual_tls(self, cert: impl Into<String>, key: impl Into<String>, client_ca: impl Into<String>) -> Self {
        let client_ca = Some(Reference::File(client_ca.into().into()));
        let builder = self.tls(cert, key);
        let tls = builder.tls.map(|(settings, serve)| (plan::ListenerTls { client_ca, ..settings }, serve));
        Self { tls, ..builder }
    }

    /// Has an admin listener on this address instead of the topology's, also where the topology has none. Port 0 lets
    /// the system choose. What is not a loopback address needs the topology's token.
    #[must_use]
    pub fn admin_address(mut self, address: impl Into<String>) -> Self {
        self.admin.address = Some(address.into());
        self
    }

    /// Has administrators show this token instead of the topology's: `env:NAME` or `file:PATH`, read at the start.
    #[must_use]
    pub fn admin_token(mut self, token: Reference) -> Self {
        self.admin.token = Some(token);
        self
    }

    /// Uses `value` for `env:NAME` whatever the environment says.
    #[must_use]
    pub fn reference(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.provisions.references.give(name, value);
        self
    }

    /// The executable that `command: self` starts, instead of the one that runs.
    #[must_use]
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.provisions.program = Some(program.into());
        self
    }

    /// Settings of backends that differ from the compiled ones, to begin with: see [`Running::overlay`].
    #[must_use]
    pub fn overlay(mut self, overlay: Overlay) -> Self {
        self.provisions.overlay = overlay;
        self
    }

    /// Takes such settings from this file instead, which is looked after: what stands there is in force soon after, if it
    /// passes its checks.
    #[must_use]
    pub fn overlay_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.provisions.overlay_file = Some((path.into(), false));
        self
    }

    /// The same with a file that need not be there, now or later.
    #[must_use]
    pub fn optional_overlay_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.provisions.overlay_file = Some((path.into(), true));
        self
    }

    /// Lets overlays, from the file and by administrators, add backends that are started: whoever may write the one or has the
    /// token of the other may then run programs as the user of this process. An overlay that adds one is refused otherwise.
    #[cfg(all(feature = "amendments", feature = "transport-stdio"))]
    #[must_use]
    pub fn overlay_commands(mut self) -> Self {
        self.provisions.overlay_commands = true;
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
        let (spec, given) = (T::SPEC, self.given());
        let workers = self.workers.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
        let references = &self.provisions.references;
        let tls = match (self.tls, &spec.listen.tls) {
            (Some((settings, serve)), _) => Some(serve(settings, references)?),
            (None, Some(settings)) if T::SERVES_TLS => Some(tls::Watch::start(settings.clone(), references)?),
            (None, _) => None,
        };
        let mut sockets = self.sockets;
        let wanted = self.address.map(|address| Reference::Literal(address.into()));
        let wanted = wanted.as_ref().unwrap_or(&spec.listen.address);
        let Listening { address, listeners, file } = listen::open(wanted, references, workers, &mut sockets)?;
        let site = site(&spec.listen, &address, tls.is_some())?;
        let admin = admin::bind(spec.listen.admin.as_ref(), self.admin, references, &mut sockets)?;
        let seal_keys = self.provisions.seal_keys(&spec.sessions, sockets.seal_keys())?;
        let kept = self.is_succeeded.then(|| Kept::new(&listeners, admin.as_ref())).transpose();
        let mut kept = kept.map_err(StartError::Listener)?;
        if let Some(kept) = kept.as_mut().filter(|_| spec.sessions.seal_key.is_none()) {
            kept.seal_keys.clone_from(&seal_keys);
        }
        let listeners = listen::share(listeners, workers).map_err(StartError::Listener)?;
        let (tuned, overlay) = overlay::<T>(&self.provisions, workers)?;
        let (draining, drain) = watch::channel(false);
        let listen = &spec.listen;
        let shown = tls.as_ref().map(tls::Watch::shown);
        let (children, threads) = (Vec::new(), Vec::new());
        let admin_address = admin.as_ref().map(admin::Bound::address);
        let mut running = Running {
            address,
            file,
            kept,
            listen,
            overlay,
            children,
            draining,
            threads,
            tls,
            admin_address,
            control: None,
        };
        // After `running`, so that it is dropped before: whoever joins the workers must not hold what they wait for.
        let crew = Crew::new::<T>(workers, site, &seal_keys, self.provisions, tuned, drain.clone())?;
        running.children = crew.children();
        let groups = crew.groups(spec.backends);
        let (ready, started) = mpsc::channel();
        let dropped = crew.dropped(spec.backends);
        let counts: Vec<_> = (0..workers).map(|_| Arc::new(Counts::new(spec.backends.len()))).collect();
        let places = listeners.into_iter().zip(counts.iter().cloned()).zip(Tie::all(workers));
        for (worker, ((listeners, counts), tie)) in places.enumerate() {
            let (place, ready, shown) = (crew.place(worker, counts), ready.clone(), shown.clone());
            let thread = std::thread::Builder::new().name(format!("worker-{worker}"));
            let thread =
                thread.spawn(move || place.run::<T>(listeners, shown, tie, &ready)).map_err(StartError::Worker)?;
            running.threads.push(thread);
        }
        let (shared, upstream) = (crew.shared(), crew.upstream());
        drop((ready, crew));
        for _ in 0..workers {
            started.recv().unwrap_or_else(|_gone| Err(StartError::Worker(std::io::ErrorKind::BrokenPipe.into())))?;
        }
        let children = running.children.clone();
        let (overlay, told) = (Arc::clone(&running.overlay), (running.url(), given));
        let (counted, kept) = ((counts, dropped), (children, groups));
        let listener = admin.map(|admin| admin.listener::<T>(told, overlay, counted, kept, (shared, drain)));
        running.control =
            Some(Control::start::<T>(Arc::clone(&running.overlay), listener, upstream).map_err(StartError::Worker)?);
        Ok(running)
    }

    /// What is given instead of what the topology says, by its path there.
    fn given(&self) -> Vec<(&'static str, String)> {
        let mut given = Vec::new();
        let address = self.sockets.given_mcp().or_else(|| self.address.clone());
        given.extend(address.map(|address| ("listen.mcp.address", address)));
        if let Some((plan::ListenerTls { cert, key, client_ca }, _)) = &self.tls {
            given.extend([("listen.mcp.tls.cert", cert.to_string()), ("listen.mcp.tls.key", key.to_string())]);
            given.extend(client_ca.iter().map(|file| ("listen.mcp.tls.client_ca", file.to_string())));
        }
        let address = self.sockets.given_admin().or_else(|| self.admin.address.clone());
        given.extend(address.map(|address| ("listen.admin.address", address)));
        given.extend(self.admin.token.iter().map(|token| ("listen.admin.token", shown(token))));
        given
    }

    /// Serves one client on stdin and stdout, without listening anywhere: what a view shows, or the whole catalog.
    /// Returns when the client has closed its end and its calls are answered, or after `stop`.
    ///
    /// # Errors
    /// When there is no such view, a reference of the topology does not resolve, or the client reads no more.
    pub fn serve_stdio(self, view: Option<&str>, stop: impl Future<Output = ()>) -> Result<(), StartError> {
        let spec = T::SPEC;
        let named = |name: &str| spec.views.iter().find(|view| view.patterns.name == name);
        let view = match view {
            Some(name) => named(name).ok_or_else(|| StartError::View(name.to_owned()))?,
            None => &spec.whole,
        };
        let (_draining, drain) = watch::channel(false);
        // No request comes by HTTP: there is no site to check, and no session to seal.
        let site = Site::new(Vec::new(), Vec::new());
        let seal_keys = worker::seal_key_of_this_process()?;
        let (tuned, overlay) = overlay::<T>(&self.provisions, 1)?;
        let crew = Crew::new::<T>(1, site, &seal_keys, self.provisions, tuned, drain)?;
        let _control = Control::start::<T>(Arc::clone(&overlay), None, crew.upstream()).map_err(StartError::Worker)?;
        let place = crew.place(0, Arc::new(Counts::new(spec.backends.len())));
        drop(crew);
        let served = place.converse::<T>(view, Tie::alone(), stop);
        overlay.end_children();
        served
    }
}

/// A secret as it may be told.
fn shown(secret: &Reference) -> String {
    if matches!(secret, Reference::Literal(_)) { "***".to_owned() } else { secret.to_string() }
}

/// What the workers go by, with who keeps it.
fn overlay<T: Topology>(
    provisions: &Provisions,
    workers: usize,
) -> Result<(Arc<Tuned>, Arc<OverlayStore>), StartError> {
    let backends = T::SPEC.backends;
    let beginning = provisions.beginning(T::SPEC.compiled())?;
    let tuned = Arc::new(Tuned::new(backends, &beginning.overlay));
    let shared = upstream::Shared::new(provisions.references.clone(), provisions.program()?, &[], &[]);
    let amender = Amender::of::<T>(shared, &tuned, workers, provisions.overlay_commands);
    let store = OverlayStore::new(T::SPEC.compiled(), amender, Arc::clone(&tuned), beginning)?;
    Ok((tuned, Arc::new(store)))
}

/// Under which names clients may ask at this address.
fn site(listen: &plan::Listen, address: &Address, tls: bool) -> Result<Site, StartError> {
    let hosts = listen.hosts.iter().map(ToString::to_string);
    let origins = listen.origins.iter().map(ToString::to_string).collect();
    match address {
        Address::Tcp(address) => Ok(Site::new(hosts.chain(listen::names(*address)).collect(), origins)),
        Address::Unix(path) if tls => Err(StartError::SocketTls(path.clone())),
        Address::Unix(_) => Ok(Site::on_socket(hosts.collect(), origins)),
    }
}

// === impl Kept ===

impl Kept {
    fn new(listeners: &[Listener], admin: Option<&admin::Bound>) -> std::io::Result<Self> {
        let listeners = listeners.iter().map(Listener::try_clone).collect::<Result<_, _>>()?;
        let admin = admin.map(admin::Bound::try_clone).transpose()?;
        Ok(Self { listeners, admin, seal_keys: Vec::new() })
    }
}

// === impl Running ===

impl Running {
    /// The address listened on. Where that is a [socket file](Self::socket_path) there is none: all zeros.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        match self.address {
            Address::Tcp(address) => address,
            Address::Unix(_) => SocketAddr::from(([0; 4], 0)),
        }
    }

    /// The file of the Unix socket listened on, if it is one.
    #[must_use]
    pub fn socket_path(&self) -> Option<&Path> {
        match &self.address {
            Address::Tcp(_) => None,
            Address::Unix(path) => Some(path),
        }
    }

    /// Reads the certificate and its key anew, if clients are served over TLS, without waiting for the next look at the
    /// files. A pair that is of no use changes nothing; the log says so.
    pub fn reload_certificate(&self) {
        if let Some(tls) = &self.tls {
            tls.look();
        }
    }

    /// What is set otherwise than compiled, and may be while the gateway runs.
    #[must_use]
    pub fn overlay(&self) -> &Arc<OverlayStore> {
        &self.overlay
    }

    /// Whether the overlay disables the backend of this index.
    pub(crate) fn is_disabled(&self, backend: usize) -> bool {
        self.overlay.is_disabled(backend)
    }

    /// The address of the admin listener, if there is one.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// The children it keeps, in the order of their backends; those of added ones come last.
    pub fn children(&self) -> impl Iterator<Item = Patient> {
        self.children.iter().cloned().chain(self.overlay.added_children()).filter(Patient::is_there)
    }

    /// The URL of the MCP endpoint; on a Unix socket `unix:` with the file, and the path behind a colon.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(&self.listen.path)
    }

    /// The URL of a view.
    #[must_use]
    pub fn view_url(&self, view: &str) -> String {
        self.url_of(&self.listen.view_path(view))
    }

    fn url_of(&self, path: &str) -> String {
        match &self.address {
            Address::Tcp(address) if self.tls.is_some() => format!("https://{address}{path}"),
            Address::Tcp(address) => format!("http://{address}{path}"),
            Address::Unix(file) => format!("unix:{}:{path}", file.display()),
        }
    }

    /// Says whether the file of its socket, if there is one, goes with it.
    pub(crate) fn own_socket(&mut self, is_own: bool) {
        if let Some(file) = &mut self.file {
            file.own(is_own);
        }
    }

    /// The same as [`stop`](Self::stop) while another gateway serves on the same sockets, that of administrators too.
    pub(crate) fn leave(mut self) {
        self.own_socket(false);
        if let Some(control) = &self.control {
            control.leave();
        }
    }

    /// Stops accepting, lets calls in flight finish within [`DRAIN_GRACE`](crate::limits::DRAIN_GRACE), ends the
    /// children. Blocks until all of that is done.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // First: who finds no file does not wait for a gateway that accepts nobody.
        self.file = None;
        // What is kept for another gateway would hold clients that nobody accepts.
        self.kept = None;
        self.draining.send_replace(true);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
        self.overlay.end_children();
    }
}
