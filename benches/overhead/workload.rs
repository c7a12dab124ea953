//! What is measured: the list of workloads of a run.

use serde::{Deserialize, Serialize};

use crate::mcp::Era;
use crate::options::Options;

/// One kind of load on one number of connections.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    /// Which protocol the clients speak.
    pub(crate) era: Era,
    /// What they ask.
    pub(crate) ask: Ask,
    /// How many ask at once, each on a connection of its own.
    pub(crate) connections: u16,
    /// Whether the call ends in the gateway's stdio backend, which nothing beside the gateway can reach.
    pub(crate) stdio: bool,
}

/// The request a client repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// `tools/call`, answered by a text of so many bytes.
    Call(u32),
    /// `tools/list`, first page.
    List,
}

impl Workload {
    /// The workloads of a run, in the order they are measured.
    pub(crate) fn all(options: &Options) -> Vec<Self> {
        let short = options.short();
        let connections = if options.connections.is_empty() { vec![1, 16, 64] } else { options.connections.clone() };
        let bytes = if options.bytes.is_empty() { vec![100, 10_240, 1_048_576] } else { options.bytes.clone() };
        let middle = connections.get(connections.len() / 2).copied().unwrap_or(16);
        let smallest = bytes.iter().min().copied().unwrap_or(100);
        let modern = |ask, connections| Self { era: Era::Modern, ask, connections, stdio: false };

        let mut all = Vec::new();
        for &bytes in &bytes {
            for &connections in &connections {
                if !short || connections == middle || bytes == smallest && connections == 1 {
                    all.push(modern(Ask::Call(bytes), connections));
                }
            }
        }
        all.push(Self { era: Era::Legacy, ..modern(Ask::Call(smallest), middle) });
        all.push(modern(Ask::List, middle));
        for &connections in connections.iter().filter(|&&connections| !short || connections == middle) {
            all.push(Self { stdio: true, ..modern(Ask::Call(smallest), connections) });
        }
        all
    }

    /// A line that names it.
    pub(crate) fn title(&self) -> String {
        let ask = match self.ask {
            Ask::Call(bytes) => format!("tools/call, {} answered", size(bytes)),
            Ask::List => "tools/list".to_owned(),
        };
        let era = if self.era == Era::Modern { "modern" } else { "legacy session" };
        let stdio = if self.stdio { ", one stdio child behind the gateway" } else { "" };
        let plural = if self.connections == 1 { "" } else { "s" };
        format!("{ask}, {era}, {} connection{plural}{stdio}", self.connections)
    }
}

fn size(bytes: u32) -> String {
    match bytes {
        bytes if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MB", bytes >> 20),
        bytes if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KB", bytes >> 10),
        bytes => format!("{bytes} B"),
    }
}
