//! Every setting in force, and who set it: the compiled topology, setting by setting, with what was given at the start
//! and what the overlay says instead.

use only1mcp_model::topology::Millis;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::declined::Declined;
use super::super::endpoint::Endpoints;
use super::super::facts::Facts;
use super::super::petition::Petition;
use super::super::settings::{SetBy, Setting};
use super::super::told::Told;
use super::overlay;
use crate::catalog::plan::Backend;

/// The whole answer.
#[derive(Debug, Serialize)]
struct Config {
    topology: &'static str,
    settings: Vec<Setting>,
}

/// How long a call may take.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Timeout {
    ms: u64,
    #[serde(flatten)]
    by: SetBy,
}

pub(in super::super) fn config(endpoints: &Endpoints, _: &Petition) -> Result<Told, Declined> {
    let facts = &*endpoints.facts;
    let mut settings = facts.settings.all().to_vec();
    let mut put = |path: &str, value: Value, by: SetBy| {
        let setting = Setting { path: path.to_owned(), value, by };
        match facts.settings.position(path) {
            Some(at) => settings[at] = setting,
            None => settings.push(setting),
        }
    };
    for (path, value) in &facts.given {
        put(path, value.as_str().into(), SetBy::START);
    }
    for (_, backend) in facts.backends() {
        let name = &backend.name;
        let Timeout { ms, by } = timeout(facts, backend);
        put(&format!("backends.{name}.timeout"), Millis(ms).to_string().into(), by);
        let tuned = facts.tuned(name);
        for (key, is_on) in [("disabled", tuned.disabled), ("drain", tuned.drain)] {
            let by = if is_on { SetBy::OVERLAY } else { SetBy::NOBODY };
            put(&format!("backends.{name}.{key}"), is_on.into(), by);
        }
        // A topology has them where they count.
        for (index, weight) in tuned.weights.iter().flatten().enumerate() {
            put(&format!("backends.{name}.endpoints[{index}].weight"), (*weight).into(), SetBy::OVERLAY);
        }
    }
    let overlay = overlay::settings(&facts.overlay.current().overlay);
    for (name, own) in overlay["backends"].as_object().into_iter().flatten() {
        let is_compiled = facts.spec.backends.iter().any(|backend| backend.name == *name);
        for (key, value) in own.as_object().into_iter().flatten() {
            match key.as_str() {
                "weights" => {}
                "weight" => weigh(&mut settings, name, value.as_u64().unwrap_or_default()),
                "tools" if is_compiled => deny(&mut settings, name, &value["deny"]),
                _ => replace(&mut settings, &format!("backends.{name}.{key}"), value),
            }
        }
    }
    Ok(Told::json(&Config { topology: facts.spec.name, settings }))
}

/// Puts what the overlay says at a path in the place of everything that is compiled there.
fn replace(settings: &mut Vec<Setting>, path: &str, value: &Value) {
    let is_there = |setting: &Setting| {
        setting.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let at = settings.iter().position(is_there).unwrap_or(settings.len());
    settings.retain(|setting| !is_there(setting));
    let mut leaves = Vec::new();
    tell(path, value, &mut leaves);
    settings.splice(at..at, leaves);
}

/// Puts the tools that the overlay hides behind those that are compiled as hidden.
fn deny(settings: &mut [Setting], backend: &str, patterns: &Value) {
    let path = format!("backends.{backend}.tools.deny");
    let Some(compiled) = settings.iter_mut().find(|setting| setting.path == path) else { return };
    let both = compiled.value.as_array().into_iter().chain(patterns.as_array()).flatten();
    (compiled.value, compiled.by) = (both.cloned().collect(), SetBy::OVERLAY);
}

/// Puts the weight of a backend into every route to several that leads there.
fn weigh(settings: &mut [Setting], backend: &str, weight: u64) {
    let routes =
        settings.iter_mut().filter(|setting| setting.path.starts_with("routes[") && setting.path.ends_with(".to"));
    for Setting { value, by, .. } in routes {
        let members = value.as_array_mut().into_iter().flatten();
        for member in members.filter(|member| *member == backend || member["backend"] == backend) {
            *member = json!({ "backend": backend, "weight": weight });
            *by = SetBy::OVERLAY;
        }
    }
}

/// Every setting of what the overlay says.
fn tell(path: &str, value: &Value, leaves: &mut Vec<Setting>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| tell(&format!("{path}.{key}"), value, leaves));
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            let items = items.iter().enumerate();
            items.for_each(|(index, value)| tell(&format!("{path}[{index}]"), value, leaves));
        }
        leaf => leaves.push(Setting { path: path.to_owned(), value: leaf.clone(), by: SetBy::OVERLAY }),
    }
}

/// How long a call to a backend may take.
pub(super) fn timeout(facts: &Facts, backend: &Backend) -> Timeout {
    if let Some(timeout) = facts.tuned(&backend.name).timeout {
        return Timeout { ms: timeout.0, by: SetBy::OVERLAY };
    }
    if facts.spec.backends.iter().all(|own| own.name != backend.name) {
        return Timeout { ms: backend.timeout_ms, by: SetBy::OVERLAY };
    }
    let own = facts.settings.by(&format!("backends.{}.timeout", backend.name));
    let by = own.or_else(|| facts.settings.by("defaults.timeout")).unwrap_or(SetBy::NOBODY);
    Timeout { ms: backend.timeout_ms, by }
}
