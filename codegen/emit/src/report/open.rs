//! What a build leaves open, and why: names that are matched when a call comes, values that are read at start, servers
//! of which nothing is known.

use std::collections::BTreeMap;

use only1mcp_model::plan::{Backend, Plan, Reference, Subject};
use only1mcp_model::revision::Era;
use serde::Serialize;

use crate::{Scope, greeting};

/// One thing that is decided when the gateway runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Open {
    /// What.
    pub what: String,
    /// Why, and when it is decided.
    pub why: String,
}

/// Everything, in the order of the topology.
pub(super) fn all(plan: &Plan) -> Vec<Open> {
    let mut open = Vec::new();
    open.extend(reference("address of the listener", &plan.listen.address));
    if let Some(tls) = &plan.listen.tls {
        open.extend(reference("certificate of the listener", &tls.cert));
        open.extend(reference("private key of the listener", &tls.key));
        open.extend(tls.client_ca.as_ref().and_then(|ca| reference("authorities of clients of the listener", ca)));
    }
    if let Some(admin) = &plan.listen.admin {
        open.extend(reference("address of the admin listener", &admin.address));
        open.extend(admin.token.as_ref().and_then(|token| reference("token of the admin listener", token)));
    }
    for backend in &plan.backends {
        let references = backend.transport.references();
        let named = references.iter().map(|(what, from)| (format!("{what} of backend `{}`", backend.name), *from));
        open.extend(named.filter_map(|(what, from)| reference(&what, from)));
        contract(backend, &mut open);
    }
    beyond(plan, &mut open);
    for route in &plan.wildcards {
        let subject = match route.subject {
            Subject::Tools => "tools",
            Subject::Prompts => "prompts",
            Subject::Resources => "resources",
        };
        let led = plan.led(route.backend, route.team);
        let names: Vec<String> = led.map(|index| format!("`{}`", plan.backends[usize::from(index)].name)).collect();
        let to = if names.len() == 1 { "backend" } else { "backends" };
        let why = format!("names that no list holds: matched when a call comes, lead to {to} {}", names.join(", "));
        open.push(Open { what: format!("{subject} `{}`", route.pattern), why });
    }
    for template in &plan.templates {
        let why = "its URIs are in no list: matched when a read comes".to_owned();
        open.push(Open { what: format!("resource template `{}`", template.name), why });
    }
    open
}

fn reference(what: &str, reference: &Reference) -> Option<Open> {
    let why = match reference {
        Reference::Literal(_) => return None,
        Reference::Env(_) | Reference::File(_) => format!("`{reference}`: read at start"),
    };
    Some(Open { what: what.to_owned(), why })
}

/// Whom methods lead to that the gateway does not know.
fn beyond(plan: &Plan, open: &mut Vec<Open>) {
    for era in [Era::Legacy, Era::Modern] {
        let mut led: BTreeMap<u16, Vec<String>> = BTreeMap::new();
        for scope in Scope::all(plan) {
            if let Some(backend) = greeting::beyond(plan, scope, era) {
                led.entry(backend).or_default().push(scope.path(plan));
            }
        }
        for (backend, paths) in led {
            let (name, era) = (&plan.backends[usize::from(backend)].name, super::era_word(era));
            let what = format!("methods that the gateway does not know, of {era} clients");
            let paths = paths.join("`, `");
            open.push(Open { what, why: format!("passed on to backend `{name}` as they come, at `{paths}`") });
        }
    }
}

fn contract(backend: &Backend, open: &mut Vec<Open>) {
    let name = &backend.name;
    if backend.locked_era.is_none() {
        let why = "it is not in the lock: nothing that it offers is in a table or a list".to_owned();
        open.push(Open { what: format!("catalog of backend `{name}`"), why });
        if backend.era.is_none() {
            let why = "neither pinned nor locked: found out on first contact".to_owned();
            open.push(Open { what: format!("era of backend `{name}`"), why });
        }
    }
}
