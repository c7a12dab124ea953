//! `only1mcp start`: serves the compiled topology until a signal says to stop.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, counted, files, print};
use crate::catalog::{Topology, plan};
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
}

// === impl OverlayFile ===

impl OverlayFile {
    /// The builder with the file's settings.
    pub(super) fn apply<T: Topology>(&self, builder: Builder<T>) -> Builder<T> {
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

// === impl Start ===

impl Start {
    pub(super) fn run<T: Topology>(self) -> anyhow::Result<Exit> {
        keep_from_children()?;
        let mut builder = Gateway::<T>::builder();
        if self.host.is_some() || self.port.is_some() {
            builder = builder.address(address(&T::SPEC.listen.address, self.host.as_deref(), self.port)?);
        }
        if self.admin_port.is_some() {
            let own = T::SPEC.listen.admin.as_ref().map(|admin| &admin.address);
            let host = if own.is_none() { Some("127.0.0.1") } else { None };
            builder = builder.admin_address(address(own.unwrap_or(&T::SPEC.listen.address), host, self.admin_port)?);
        }
        if let Some(token) = self.admin_token {
            builder = builder.admin_token(token);
        }
        let builder = self.overlay.apply(builder);
        // Before the gateway starts, so that no signal finds nobody.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let _entered = runtime.enter();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let running = builder.start().map_err(refused)?;
        // Clients are served all the same.
        if let Err(error) = print(&banner::<T>(&running)) {
            tracing::warn!("{error:#}");
        }
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = terminate.recv() => return,
                    _ = interrupt.recv() => return,
                    // The terminal closed, unless there is something to be read anew.
                    _ = hangup.recv() => match T::SPEC.listen.tls {
                        None if !self.overlay.is_there() => return,
                        _ => {
                            running.reload_certificate();
                            running.overlay().reload();
                        }
                    },
                }
            }
        });
        tracing::info!("stopping");
        running.stop();
        Ok(Exit::Ok)
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
