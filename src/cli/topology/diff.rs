//! `only1mcp topology diff`: compares what backends offer with what was recorded.

use clap::Args;
use only1mcp_model::lock::diff;

use super::{Asked, Chosen, Exit, Opened, ask, complain, complain_left_out, print, print_json};
use crate::catalog::Topology;

/// Compare live backends with the lock, field by field.
#[derive(Args, Debug)]
pub(in crate::cli) struct Diff {
    #[command(flatten)]
    chosen: Chosen,
    /// Print the changes as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl Diff {
    pub(in crate::cli) fn run<T: Topology>(self) -> anyhow::Result<Exit> {
        let (Opened { backends, .. }, lock) = self.chosen.open::<T>()?;
        let lock = lock.map_err(|damaged| damaged.error)?;
        let (mut differs, mut unreachable) = (false, false);
        let mut report = serde_json::Map::new();
        for Asked { name, outcome, left_out } in ask(&backends)? {
            complain_left_out(&name, &left_out);
            let found = match outcome {
                Err(why) => {
                    unreachable = true;
                    complain(&format!("error: backend `{name}` could not be reached: {why}"));
                    serde_json::json!({ "unreachable": why })
                }
                Ok(live) => match lock.backends.get(&name) {
                    None => {
                        differs = true;
                        if !self.json {
                            print(&format!("{name}: has no section in the lock\n"))?;
                        }
                        serde_json::json!({ "locked": false })
                    }
                    Some(locked) => {
                        let changes = diff(locked, &live);
                        differs |= !changes.is_empty();
                        if !self.json && !changes.is_empty() {
                            let lines: String = changes.iter().map(|change| format!("  {change}\n")).collect();
                            print(&format!("{name}:\n{lines}"))?;
                        }
                        serde_json::json!({ "locked": true, "changes": changes })
                    }
                },
            };
            report.insert(name, found);
        }
        let known = |name: &str| backends.iter().any(|backend| backend.name == name);
        for name in lock.backends.keys().filter(|name| !known(name)) {
            differs = true;
            if !self.json {
                print(&format!("{name}: is in the lock, and no more in the topology\n"))?;
            }
            report.insert(name.clone(), serde_json::json!({ "locked": true, "gone": true }));
        }
        if self.json {
            print_json(&report)?;
        } else if !differs && !unreachable {
            print("every backend offers what the lock says\n")?;
        }
        Ok(match (differs, unreachable) {
            (true, _) => Exit::Differs,
            (false, true) => Exit::Unreachable,
            (false, false) => Exit::Ok,
        })
    }
}
