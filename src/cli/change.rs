//! `only1mcp reload` and `only1mcp backend`: a gateway that runs is set otherwise, by way of its overlay.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin::{Admin, shown};
use super::{Exit, print};
use crate::catalog::Topology;

/// Read the file of the overlay anew.
#[derive(Args, Debug)]
pub(super) struct Reload {
    #[command(flatten)]
    admin: Admin,
    /// Only tell what would be.
    #[arg(long)]
    dry_run: bool,
}

/// Add a backend, take one out of service and back, or weigh its endpoints.
#[derive(Debug, Subcommand)]
pub(super) enum Backend {
    /// Add one to those that are compiled.
    ///
    /// `only1mcp backend add wiki --url http://10.0.0.9/mcp` adds one that runs already, `only1mcp backend add files -- npx -y
    /// @modelcontextprotocol/server-filesystem /data` one that the gateway starts.
    Add(Added),
    /// Take one out that was added.
    Remove(Named),
    /// Let calls to it go again.
    Enable(Named),
    /// Refuse all calls to it.
    Disable(Named),
    /// Refuse new calls to it, and go on with what was begun.
    Drain(Named),
    /// Set how much of its calls each of its endpoints gets, or how much it gets of those of routes to several.
    Weight(Weighed),
}

/// A backend that is added.
#[derive(Args, Debug)]
pub(super) struct Added {
    #[command(flatten)]
    named: Named,
    /// Where it is reached, or `env:NAME` of the gateway; several are endpoints of one backend.
    #[arg(long = "url", required_unless_present = "command")]
    urls: Vec<String>,
    /// How it is reached; by default `websocket` for `ws:` and `wss:`, else `streamable_http`.
    #[arg(long, value_parser = ["streamable_http", "legacy_sse", "websocket"])]
    transport: Option<String>,
    /// What it is shown, `env:NAME` or `file:PATH` of the gateway.
    #[arg(long)]
    bearer: Option<String>,
    /// A variable that the command is given: text, or `env:NAME` or `file:PATH` of the gateway.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable, requires = "command")]
    variables: Vec<(String, String)>,
    /// The directory that the command is started in.
    #[arg(long, value_name = "DIR", requires = "command")]
    cwd: Option<String>,
    /// A program that the gateway starts and speaks with over stdio, and its arguments, instead of a URL. The gateway has to be
    /// one that was started with `--overlay-commands`.
    #[arg(last = true, conflicts_with_all = ["urls", "transport", "bearer"])]
    command: Vec<String>,
}

/// The weights of a backend.
#[derive(Args, Debug)]
pub(super) struct Weighed {
    #[command(flatten)]
    named: Named,
    /// A number from 0 to 1000 for each endpoint, in the order of the topology; none: as everything is compiled.
    weights: Vec<u32>,
    /// Its weight on routes to several backends, from 0 to 1000, instead of those of its endpoints.
    #[arg(long, value_name = "WEIGHT", conflicts_with = "weights")]
    in_routes: Option<u32>,
}

/// Which backend of which gateway.
#[derive(Args, Debug)]
pub(super) struct Named {
    /// The name of the backend.
    name: String,
    #[command(flatten)]
    admin: Admin,
    /// Only tell what would be.
    #[arg(long)]
    dry_run: bool,
}

// === impl Reload ===

impl Reload {
    pub(super) fn run<T: Topology>(&self) -> anyhow::Result<Exit> {
        let place = self.admin.place::<T>()?;
        let outcome = place.change("POST", &format!("/reload{}", query(self.dry_run)), None)?;
        print(&shown(&outcome))?;
        Ok(Exit::Ok)
    }
}

// === impl Weighed ===

impl Weighed {
    fn settings(&self) -> Value {
        match (&self.weights[..], self.in_routes) {
            (_, Some(weight)) => json!({ "weight": weight }),
            ([], None) => json!({ "weights": null, "weight": null }),
            (weights, None) => json!({ "weights": weights }),
        }
    }
}

// === impl Backend ===

impl Backend {
    pub(super) fn run<T: Topology>(&self) -> anyhow::Result<Exit> {
        let (named, settings) = match self {
            Self::Add(added) => return added.named.change::<T>("POST", "/servers", Some(&added.server())),
            Self::Remove(named) => return named.change::<T>("DELETE", &named.path(), None),
            Self::Enable(named) => (named, json!({ "disabled": null, "drain": null })),
            Self::Disable(named) => (named, json!({ "disabled": true, "drain": null })),
            Self::Drain(named) => (named, json!({ "disabled": null, "drain": true })),
            Self::Weight(weighed) => (&weighed.named, weighed.settings()),
        };
        named.change::<T>("PATCH", &named.path(), Some(&settings))
    }
}

impl Named {
    /// Names of backends have no letters that a path could not; what is none is not found.
    fn path(&self) -> String {
        let letter = |byte: u8| match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        };
        format!("/servers/{}", self.name.bytes().map(letter).collect::<String>())
    }

    fn change<T: Topology>(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Exit> {
        let place = self.admin.place::<T>()?;
        let outcome = place.change(method, &format!("{path}{}", query(self.dry_run)), body)?;
        print(&shown(&outcome))?;
        Ok(Exit::Ok)
    }
}

// === impl Added ===

impl Added {
    /// As a topology would have it, with its name.
    fn server(&self) -> Value {
        if let [command, arguments @ ..] = &self.command[..] {
            let mut stdio = json!({ "command": command, "args": arguments });
            if !self.variables.is_empty() {
                stdio["env"] = self.variables.iter().cloned().collect::<BTreeMap<_, _>>().into_iter().collect();
            }
            if let Some(cwd) = &self.cwd {
                stdio["cwd"] = cwd.as_str().into();
            }
            return json!({ "name": self.named.name, "transport": { "stdio": stdio } });
        }
        let is_socket = |url: &String| url.starts_with("ws:") || url.starts_with("wss:");
        let by_url = if self.urls.iter().any(is_socket) { "websocket" } else { "streamable_http" };
        let transport = self.transport.as_deref().unwrap_or(by_url);
        let settings = self.bearer.as_ref().map_or_else(|| json!({}), |bearer| json!({ "auth": { "bearer": bearer } }));
        let endpoints: Vec<Value> = self.urls.iter().map(|url| json!({ "url": url })).collect();
        json!({ "name": self.named.name, "transport": { transport: settings }, "endpoints": endpoints })
    }
}

/// A name and what it stands for.
fn variable(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("write `NAME=VALUE`")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn query(dry_run: bool) -> &'static str {
    if dry_run { "?dry_run=1" } else { "" }
}
