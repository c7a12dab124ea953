//! `only1mcp topology explain`: why a name leads where it does. The reasons are the model's.

use clap::Args;
use only1mcp_model::explain::explain;

use super::{Exit, complain, files, print, print_json};
use crate::catalog::Topology;

/// Say why a tool, prompt or resource leads where it does.
#[derive(Args, Debug)]
pub(in crate::cli) struct Explain {
    /// The name of a tool or prompt as clients use it, or the URI of a resource.
    name: String,
    /// The topology, by name in `topologies/` or by path; by default the one compiled in.
    #[arg(long, value_name = "NAME|PATH")]
    topology: Option<String>,
    /// Print the explanation as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl Explain {
    pub(in crate::cli) fn run<T: Topology>(self) -> anyhow::Result<Exit> {
        let (path, topology) = files::read_topology::<T>(self.topology.as_deref())?;
        let lock = files::read_lock(&path)?;
        let explanation = explain(&topology, lock.as_ref(), &self.name);
        let explanation = explanation.map_err(|problems| files::Refused::new(&topology, problems))?;
        let offered = !explanation.decisions.is_empty();
        if self.json {
            print_json(&explanation)?;
        } else if offered {
            print(&explanation.to_string())?;
        } else {
            complain(&format!("error: {explanation}"));
        }
        Ok(if offered { Exit::Ok } else { Exit::Failed })
    }
}
