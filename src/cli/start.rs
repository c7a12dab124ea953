//! `only1mcp start`: serves the compiled topology until a signal says to stop.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, files, print};
use crate::catalog::Topology;
use crate::{Gateway, Running};

/// Serve the compiled topology.
#[derive(Args, Debug, Default)]
pub(super) struct Start {
    /// Stay in the foreground, as it does without being told.
    #[arg(short, long)]
    foreground: bool,
    /// Listen on this host instead of the topology's.
    #[arg(long, value_name = "H")]
    host: Option<String>,
    /// Listen on this port instead of the topology's; 0 lets the system choose.
    #[arg(long, value_name = "P")]
    port: Option<u16>,
    /// Settings that differ from the compiled ones: `backends: { NAME: { timeout: 5s, disabled: true } }`.
    #[arg(long, value_name = "FILE")]
    overlay: Option<PathBuf>,
}

impl Start {
    pub(super) fn run<T: Topology>(self) -> anyhow::Result<Exit> {
        // Children run as the same user: they must not read the environment or the memory of the gateway.
        #[cfg(target_os = "linux")]
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
            .context("the process cannot be made non-dumpable")?;
        let mut builder = Gateway::<T>::builder();
        if self.host.is_some() || self.port.is_some() {
            builder = builder.address(self.address::<T>()?);
        }
        if let Some(path) = &self.overlay {
            let source = files::read(path)?;
            match only1mcp_model::overlay::load(&source, T::SPEC.backends) {
                Ok(overlay) => builder = builder.overlay(overlay),
                Err(problems) => {
                    files::show(&problems, &source);
                    return Ok(Exit::Invalid);
                }
            }
        }
        // Before the gateway starts, so that no signal finds nobody.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let _entered = runtime.enter();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let running = builder.start()?;
        print(&banner::<T>(&running));
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        tracing::info!("stopping");
        running.stop();
        Ok(Exit::Ok)
    }

    /// The topology's address with the host or port replaced.
    fn address<T: Topology>(&self) -> anyhow::Result<String> {
        let address = crate::references::References::default().resolve(&T::SPEC.listen.address);
        let (host, port) = match (&self.host, self.port) {
            (Some(host), Some(port)) => (host.clone(), port),
            (host, port) => {
                let address = address?;
                let (own_host, own_port) = address.rsplit_once(':').context("listen address has no port")?;
                let own_port = own_port.parse().context("listen address has no port")?;
                (host.clone().unwrap_or_else(|| own_host.to_owned()), port.unwrap_or(own_port))
            }
        };
        Ok(if host.contains(':') && !host.starts_with('[') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        })
    }
}

/// What is served, where.
fn banner<T: Topology>(running: &Running) -> String {
    let spec = T::SPEC;
    let mut text = format!(
        "only1mcp {} · topology {} ({}) · {} backends · {} tools · {} prompts · {} resources\nlistening  {}\n",
        env!("CARGO_PKG_VERSION"),
        spec.name,
        &spec.topology_digest[..spec.topology_digest.len().min(12)],
        spec.backends.len(),
        spec.tools.len(),
        spec.prompts.len(),
        spec.resources.len(),
        running.url(),
    );
    let names =
        spec.backends.iter().map(|backend| &backend.name).chain(spec.views.iter().map(|view| &view.patterns.name));
    let width = names.map(|name| name.len()).max().unwrap_or_default();
    for (index, backend) in spec.backends.iter().enumerate() {
        let tools = spec.tools.iter().filter(|tool| usize::from(tool.backend) == index).count();
        text += &format!("backend    {:width$}  {tools:>5} tools  {}\n", backend.name, backend.transport.place());
    }
    for view in spec.views {
        let tools = spec.tools.iter().filter(|tool| view.shows(tool.views)).count();
        let (name, tokens) = (&view.patterns.name, view.tokens);
        text += &format!("view       {name:width$}  {tools:>5} tools  ~{tokens} tokens  {}\n", running.view_url(name));
    }
    text
}
