//! `only1mcp start`: serves the compiled topology until a signal says to stop.

use std::future::pending;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
#[cfg(all(feature = "amendments", feature = "transport-stdio"))]
use clap::builder::BoolishValueParser;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::{Exit, counted, files, notify, print};
use crate::catalog::{Topology, plan};
use crate::gateway::{Handover, Sockets, Successor};
use crate::{Builder, Gateway, OverlayError, Running, StartError};

/// Serve the compiled topology.
#[derive(Args, Debug, Default)]
pub(super) struct Start {
    /// Listen on this host instead of the topology's.
    #[arg(long, value_name = "H")]
    host: Option<String>,
    /// Listen on this port instead of the topology's; 0 lets the system choose.
    #[arg(long, value_name = "P")]
    port: Option<u16>,
    /// Listen for administration and metrics on this port of the topology's admin host, or of 127.0.0.1 if it has none.
    #[arg(long, value_name = "P")]
    admin_port: Option<u16>,
    /// Have administrators show this token instead of the topology's: `env:NAME` or `file:PATH`.
    #[arg(long, value_name = "REF", value_parser = token)]
    admin_token: Option<plan::Reference>,
    /// Take over from the gateway that listens on this Unix socket, if one does, and let the next one take over there. No
    /// connection is lost: the two share their listeners until this one serves.
    #[arg(long, value_name = "PATH", env = "ONLY1MCP_HANDOVER")]
    handover: Option<PathBuf>,
    #[command(flatten)]
    overlay: OverlayFile,
}

/// What is set otherwise than compiled.
#[derive(Args, Debug, Default)]
pub(super) struct OverlayFile {
    /// Settings that differ from the compiled ones: `backends: { NAME: { timeout: 5s, disabled: true } }`. The file is looked
    /// after. By default `overlay.yaml` in `$XDG_CONFIG_HOME/only1mcp` or `~/.config/only1mcp`, once it is there.
    #[arg(long, value_name = "FILE", env = "ONLY1MCP_OVERLAY")]
    overlay: Option<PathBuf>,
    /// Let the overlay add backends that are started: `transport: { stdio: { command: npx } }`. Who may write its file, or has the
    /// token of administrators, may then run programs as the user of the gateway.
    #[arg(long, env = "ONLY1MCP_OVERLAY_COMMANDS", value_parser = BoolishValueParser::new())]
    #[cfg(all(feature = "amendments", feature = "transport-stdio"))]
    overlay_commands: bool,
}

// === impl OverlayFile ===

impl OverlayFile {
    /// The builder with the file's settings.
    pub(super) fn apply<T: Topology>(&self, builder: Builder<T>) -> Builder<T> {
        #[cfg(all(feature = "amendments", feature = "transport-stdio"))]
        let builder = if self.overlay_commands { builder.overlay_commands() } else { builder };
        match (&self.overlay, default_path()) {
            (Some(path), _) => builder.overlay_file(path),
            (None, Some(path)) => builder.optional_overlay_file(path),
            (None, None) => builder,
        }
    }

    /// Whether there is one to be read anew.
    fn is_there(&self) -> bool {
        self.overlay.is_some() || default_path().is_some_and(|path| path.exists())
    }
}

/// The file of the user who chose none.
pub(super) fn default_path() -> Option<PathBuf> {
    let directory = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // Relative ones are to be ignored (XDG Base Directory Specification).
    let configuration = directory("XDG_CONFIG_HOME").filter(|own| own.is_absolute());
    let configuration = configuration.or_else(|| Some(directory("HOME")?.join(".config")))?;
    Some(configuration.join("only1mcp/overlay.yaml"))
}

/// What a start comes to: an overlay that is refused is shown like any other file.
pub(super) fn refused(error: StartError) -> anyhow::Error {
    match error {
        StartError::Overlay(OverlayError::Refused { file, problems }) => files::Refused::new(&file, problems).into(),
        error => error.into(),
    }
}

/// Children run as the same user: they must not read the environment or the memory of the gateway.
pub(super) fn keep_from_children() -> anyhow::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .context("the process cannot be made non-dumpable")?;
    Ok(())
}

/// What SIGHUP asks for, beside everything else: whoever is asked what it offers may take its time.
#[derive(Debug, Default)]
struct Reloads {
    /// Ends with the one under way.
    under_way: Option<oneshot::Receiver<()>>,
    /// Whether another one was asked for meanwhile.
    again: bool,
}

/// For how long a gateway that is to stop waits for the one that is starting in its place.
const GIVEN_MAX: Duration = Duration::from_secs(5);

// === impl Reloads ===

impl Reloads {
    /// Has everything read anew that can be.
    fn begin(&mut self, running: &Running) {
        notify::reloading();
        running.reload_certificate();
        if self.under_way.is_some() {
            self.again = true;
        } else {
            self.under_way = Some(reload(running));
        }
    }

    /// Waits for the end of one, and says so once there is no other. Cancel safe.
    async fn ended(&mut self, running: &Running) {
        let Some(under_way) = &mut self.under_way else { return pending().await };
        // It also ends where it panicked.
        drop(under_way.await);
        self.under_way = std::mem::take(&mut self.again).then(|| reload(running));
        if self.under_way.is_none() {
            notify::ready();
        }
    }
}

/// Reads the file of an overlay anew, on a thread that nobody waits for when the process ends.
fn reload(running: &Running) -> oneshot::Receiver<()> {
    let (overlay, (told, ended)) = (Arc::clone(running.overlay()), oneshot::channel());
    std::thread::spawn(move || {
        overlay.reload();
        // The process may be about to end.
        told.send(()).ok();
    });
    ended
}

// === impl Start ===

impl Start {
    pub(super) fn run<T: Topology>(self) -> anyhow::Result<Exit> {
        keep_from_children()?;
        let (builder, handover) = self.sockets(self.builder::<T>()?)?;
        // Before the gateway starts, so that no signal finds nobody.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let _entered = runtime.enter();
        let mut signals = Signals::new()?;
        let mut running = builder.start().map_err(refused)?;
        // Clients are served all the same.
        if let Err(error) = print(&banner::<T>(&running)) {
            tracing::warn!("{error:#}");
        }
        let mut successor = handover.map(|handover| handover.serves(&mut running)).transpose()?;
        notify::ready();
        let giving = successor.as_ref().map(Successor::giving).unwrap_or_default();
        let reads_anew = T::SPEC.listen.tls.is_some() || self.overlay.is_there() || notify::is_wanted();
        let mut reloads = Reloads::default();
        let is_succeeded = runtime.block_on(async {
            // One for all: a gateway that takes over is not to be left alone because of a signal that comes meanwhile.
            let mut succession = pin!(succeeded(&mut successor, &running));
            loop {
                tokio::select! {
                    biased;
                    () = &mut succession => return true,
                    heard = signals.next() => match heard {
                        Heard::Hangup if reads_anew || self.overlay.is_there() => reloads.begin(&running),
                        // Also where the terminal closed, and there is nothing to be read anew. Another one that starts in the place
                        // of this one finds its sockets as they were.
                        _ if giving.get() => return tokio::time::timeout(GIVEN_MAX, succession).await.is_ok(),
                        _ => return false,
                    },
                    () = reloads.ended(&running) => {}
                }
            }
        });
        notify::stopping();
        if is_succeeded {
            tracing::info!("another gateway serves: stopping");
            running.leave();
        } else {
            tracing::info!("stopping");
            running.stop();
        }
        Ok(Exit::Ok)
    }

    /// The gateway as the command line has it.
    fn builder<T: Topology>(&self) -> anyhow::Result<Builder<T>> {
        let mut builder = Gateway::<T>::builder();
        if self.host.is_some() || self.port.is_some() {
            builder = builder.address(address(&T::SPEC.listen.address, self.host.as_deref(), self.port)?);
        }
        if self.admin_port.is_some() {
            let own = T::SPEC.listen.admin.as_ref().map(|admin| &admin.address);
            let host = if own.is_none() { Some("127.0.0.1") } else { None };
            builder = builder.admin_address(address(own.unwrap_or(&T::SPEC.listen.address), host, self.admin_port)?);
        }
        if let Some(token) = &self.admin_token {
            builder = builder.admin_token(token.clone());
        }
        Ok(self.overlay.apply(builder))
    }

    /// The same with the sockets that there are already: of a service manager, or of the gateway before.
    fn sockets<T: Topology>(&self, builder: Builder<T>) -> anyhow::Result<(Builder<T>, Option<Handover>)> {
        let given = Sockets::of_service_manager().map_err(StartError::from)?;
        let places = [
            (given.given_mcp(), "--host", self.host.is_some()),
            (given.given_mcp(), "--port", self.port.is_some()),
            (given.given_admin(), "--admin-port", self.admin_port.is_some()),
            (given.given_mcp(), "--handover", self.handover.is_some()),
        ];
        for (place, option, is_set) in places {
            if let Some(place) = place.filter(|_| is_set) {
                anyhow::bail!("service manager gives a socket at `{place}`, which leaves no room for `{option}`");
            }
        }
        let Some(path) = &self.handover else { return Ok((builder.sockets(given), None)) };
        let (handover, inherited) = Handover::meet(path)?;
        Ok((builder.sockets(inherited).succeeded(), Some(handover)))
    }
}

/// What a signal asks for.
enum Heard {
    End,
    /// The terminal closed, or something is to be read anew.
    Hangup,
}

/// The signals that a gateway hears.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let [terminate, interrupt, hangup] =
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
        Ok(Self { terminate: terminate?, interrupt: interrupt?, hangup: hangup? })
    }

    /// The next one.
    async fn next(&mut self) -> Heard {
        tokio::select! {
            _ = self.terminate.recv() => Heard::End,
            _ = self.interrupt.recv() => Heard::End,
            _ = self.hangup.recv() => Heard::Hangup,
        }
    }
}

/// Ready once another gateway serves in the place of this one.
async fn succeeded(successor: &mut Option<Successor>, running: &Running) {
    match successor {
        Some(successor) => successor.serves(running).await,
        None => std::future::pending().await,
    }
}

/// Where a token is found. One that is written out is seen by everyone who lists processes.
pub(super) fn token(text: &str) -> Result<plan::Reference, &'static str> {
    match text.split_once(':') {
        Some(("env", name)) if !name.is_empty() => Ok(plan::Reference::Env(name.to_owned().into())),
        Some(("file", path)) if !path.is_empty() => Ok(plan::Reference::File(path.to_owned().into())),
        _ => Err("command lines are no secret: write `env:NAME` or `file:PATH`"),
    }
}

/// An address of the topology with the host or port replaced.
fn address(own: &plan::Reference, host: Option<&str>, port: Option<u16>) -> anyhow::Result<String> {
    let (host, port) = match (host, port) {
        (Some(host), Some(port)) => (host.to_owned(), port),
        (host, port) => {
            let own = crate::references::References::default().resolve(own)?;
            if own.starts_with("unix:") {
                anyhow::bail!("listen address `{own}` has neither host nor port: give both, `--host` and `--port`");
            }
            let (own_host, own_port) = own.rsplit_once(':').context("listen address has no port")?;
            let own_port = own_port.parse().context("listen address has no port")?;
            (host.unwrap_or(own_host).to_owned(), port.unwrap_or(own_port))
        }
    };
    Ok(if host.contains(':') && !host.starts_with('[') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

/// What is served, where.
fn banner<T: Topology>(running: &Running) -> String {
    let spec = T::SPEC;
    let mut text = format!(
        "only1mcp {} · topology {} ({}) · {} · {} · {} · {}\nlistening  {}\n",
        env!("CARGO_PKG_VERSION"),
        spec.name,
        &spec.topology_digest[..spec.topology_digest.len().min(12)],
        counted(spec.backends.len(), "backend"),
        counted(spec.tools.len(), "tool"),
        counted(spec.prompts.len(), "prompt"),
        counted(spec.resources.len(), "resource"),
        running.url(),
    );
    if let Some(address) = running.admin_address() {
        text += &format!("admin      http://{address}\n");
    }
    let names =
        spec.backends.iter().map(|backend| &backend.name).chain(spec.views.iter().map(|view| &view.patterns.name));
    let width = names.map(|name| name.len()).max().unwrap_or_default();
    for (index, backend) in spec.backends.iter().enumerate() {
        let tools = spec.tools.iter().filter(|tool| spec.leads((tool.backend, tool.team), index)).count();
        let place = if running.is_disabled(index) { "disabled".to_owned() } else { backend.transport.place() };
        text += &format!("backend    {:width$}  {tools:>5} tools  {place}\n", backend.name);
    }
    for view in spec.views {
        let tools = spec.tools.iter().filter(|tool| view.shows(tool.views)).count();
        let (name, tokens) = (&view.patterns.name, view.tokens);
        text += &format!("view       {name:width$}  {tools:>5} tools  ~{tokens} tokens  {}\n", running.view_url(name));
    }
    text
}
