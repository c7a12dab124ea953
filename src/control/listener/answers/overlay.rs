//! The overlay: what of it is in force, and every way to change it. What an overlay may say, and how it is kept, is not
//! decided here.

use only1mcp_model::Source;
use only1mcp_model::diagnostic;
use only1mcp_model::overlay::{OVERLAY_BYTES_MAX, Overlay};
use serde_json::{Map, Value, json};

use super::super::declined::Declined;
use super::super::endpoint::Endpoints;
use super::super::facts::Facts;
use super::super::petition::Petition;
use super::super::timestamp;
use super::super::told::Told;
use super::servers;
use crate::control::{Considered, Heard, OverlayError, Reload};

/// What is told of a change.
struct Outcome<'t> {
    result: Reload,
    dry_run: bool,
    text: &'t str,
    overlay: &'t Overlay,
}

pub(in super::super) fn overlay(endpoints: &Endpoints, _: &Petition) -> Result<Told, Declined> {
    let (spec, store) = (endpoints.facts.spec, &endpoints.facts.overlay);
    let current = store.current();
    let rejected = store.rejected().map(|rejected| {
        let declined = Declined::from(&*rejected.error);
        json!({ "at": timestamp::rfc3339(rejected.at), "message": declined.message(), "diagnostics": declined.findings() })
    });
    Ok(Told::json(&json!({
        "generation": current.generation,
        "by": current.by.as_str(),
        "since": timestamp::rfc3339(current.since),
        "file": store.file().map(|file| file.display().to_string()),
        "text": current.text,
        "settings": settings(&current.overlay),
        "changes": current.overlay.changes(spec.backends),
        "earlier": store.earlier(),
        "rejected": rejected,
    })))
}

/// The body is the whole overlay.
pub(in super::super) fn put(endpoints: &Endpoints, petition: &Petition) -> Result<Told, Declined> {
    if !petition.is_yaml() {
        // What is no JSON is told as that, with its position.
        petition.json::<Value>()?;
    }
    take(&endpoints.facts, petition.text()?, petition)
}

/// The body is what changes of the overlay: null takes something out of it (RFC 7396).
pub(in super::super) fn patch(endpoints: &Endpoints, petition: &Petition) -> Result<Told, Declined> {
    let change = Value::from(petition.json::<Map<_, _>>()?);
    merge(&endpoints.facts, |_| Ok(change.clone()), petition)
}

/// The body is what changes of the settings of one server.
pub(in super::super) fn patch_server(endpoints: &Endpoints, petition: &Petition) -> Result<Told, Declined> {
    let (facts, name) = (&*endpoints.facts, petition.name());
    servers::find(facts, name)?;
    let change: Map<String, Value> = petition.json()?;
    merge(facts, |_| Ok(json!({ "backends": { name: &change } })), petition)
}

/// The body is a server that is added: its name, and what a topology says of one.
pub(in super::super) fn add_server(endpoints: &Endpoints, petition: &Petition) -> Result<Told, Declined> {
    let facts = &*endpoints.facts;
    let mut server: Map<String, Value> = petition.json()?;
    let Some(Value::String(name)) = server.remove("name") else {
        return Err(Declined::Unexpected("member `name` is missing, or no text".to_owned()));
    };
    if !server.get("transport").is_some_and(Value::is_object) {
        return Err(Declined::Unexpected("member `transport` is missing, or no object".to_owned()));
    }
    let is_compiled = servers::find(facts, &name).is_ok_and(|own| !own.is_added());
    let add = |current: &Overlay| {
        // Another one may have come by this name while this one was asked what it offers.
        if is_compiled || current.added.get(&name).is_some() {
            return Err(Declined::Conflict("server is there already: `PATCH` changes what the overlay has of it"));
        }
        Ok(json!({ "backends": { &name: &server } }))
    };
    merge(facts, add, petition)
}

pub(in super::super) fn remove_server(endpoints: &Endpoints, petition: &Petition) -> Result<Told, Declined> {
    let (facts, name) = (&*endpoints.facts, petition.name());
    if !servers::find(facts, name)?.is_added() {
        return Err(Declined::Conflict("server is compiled: it may be disabled, and is not taken out"));
    }
    merge(facts, |_| Ok(json!({ "backends": { name: null } })), petition)
}

pub(in super::super) fn rollback(endpoints: &Endpoints, _: &Petition) -> Result<Told, Declined> {
    let facts = &*endpoints.facts;
    let published = facts.overlay.rollback().map_err(|error| Declined::from(&error))?;
    let (text, overlay) = (&published.text, &published.overlay);
    Ok(told(facts, &Outcome { result: Reload::Applied, dry_run: false, text, overlay }))
}

/// Reads the file anew, or only looks whether it would be taken.
pub(in super::super) fn reload(endpoints: &Endpoints, petition: &Petition) -> Result<Told, Declined> {
    let (facts, store) = (&*endpoints.facts, &*endpoints.facts.overlay);
    let Some(file) = store.file() else {
        return Err(Declined::Conflict("gateway has no overlay file: there is nothing to be read anew"));
    };
    if petition.is_dry_run()? {
        let unreadable =
            |error| Declined::Overlay(format!("overlay `{}` cannot be read: {error}", file.display()), Vec::new());
        let source = Source::read(file, OVERLAY_BYTES_MAX).map_err(unreadable)?;
        let considered = consider(facts, &source.text, &Heard::default())?;
        store.foresee(&considered).map_err(|error| Declined::from(&error))?;
        let result = if store.current().text == source.text { Reload::Unchanged } else { Reload::Applied };
        return Ok(told(facts, &Outcome { result, dry_run: true, text: &source.text, overlay: &considered.overlay }));
    }
    let result = store.reload();
    if let Some(rejected) = store.rejected().filter(|_| result == Reload::Rejected) {
        return Err(Declined::from(&*rejected.error));
    }
    let current = store.current();
    Ok(told(facts, &Outcome { result, dry_run: false, text: &current.text, overlay: &current.overlay }))
}

/// Checks a document without changing anything. Backends that it adds are asked what they offer, unless that was `heard`.
fn consider(facts: &Facts, text: &str, heard: &Heard) -> Result<Considered, Declined> {
    facts.overlay.consider(text, heard).map_err(|error| match error {
        // Of what was sent, and not of the file.
        OverlayError::Refused { problems, file } => {
            let file = Source { path: "overlay".to_owned(), ..file };
            let findings = diagnostic::findings(&problems, &file);
            Declined::Overlay("overlay does not pass its checks".to_owned(), findings)
        }
        error => Declined::from(&error),
    })
}

/// What an overlay sets, as JSON.
pub(super) fn settings(overlay: &Overlay) -> Value {
    serde_json::from_str(&overlay.json()).expect("the model writes JSON")
}

/// Puts what changes of the overlay in force, or only checks it. All that stays of its text stays as it is written.
fn merge(
    facts: &Facts,
    change: impl Fn(&Overlay) -> Result<Value, Declined>,
    petition: &Petition,
) -> Result<Told, Declined> {
    let mut heard = Heard::default();
    loop {
        let current = facts.overlay.current();
        let mut whole = settings(&current.overlay);
        apply(&mut whole, change(&current.overlay)?);
        if let Some(backends) = whole["backends"].as_object_mut() {
            backends.retain(|_, settings| settings != &json!({}));
        }
        // Once more where somebody else has changed it meanwhile, or what they did would be undone.
        let meant = consider(facts, &whole.to_string(), &heard)?;
        heard = meant.heard();
        let text = meant.overlay.written_over(&current.text, facts.spec.compiled());
        // What is in force is in the order of what is written.
        let considered = consider(facts, &text, &heard)?;
        if let Some(told) = take_over(facts, (&text, considered), petition, Some(current.generation))? {
            return Ok(told);
        }
    }
}

/// RFC 7396.
fn apply(target: &mut Value, change: Value) {
    let Value::Object(change) = change else {
        *target = change;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(members) = target else { return };
    for (name, value) in change {
        if value.is_null() {
            members.remove(&name);
        } else {
            apply(members.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// Puts a document in force, or only checks it. One that was JSON is written as overlays are.
fn take(facts: &Facts, text: &str, petition: &Petition) -> Result<Told, Declined> {
    let considered = consider(facts, text, &Heard::default())?;
    let written = if petition.is_yaml() { text.to_owned() } else { considered.overlay.to_string() };
    let told = take_over(facts, (&written, considered), petition, None)?;
    told.ok_or(Declined::Internal("overlay of any generation was not taken"))
}

/// The same, unless another overlay is in force than that of this generation.
fn take_over(
    facts: &Facts,
    (text, considered): (&str, Considered),
    petition: &Petition,
    generation: Option<u64>,
) -> Result<Option<Told>, Declined> {
    let (store, overlay) = (&facts.overlay, considered.overlay.clone());
    let result = if text == store.current().text { Reload::Unchanged } else { Reload::Applied };
    let dry_run = petition.is_dry_run()?;
    if dry_run {
        store.foresee(&considered).map_err(|error| Declined::from(&error))?;
    } else if result == Reload::Applied || store.rejected().is_some() {
        // What is in force already may not stand in the file.
        let applied = store.apply_over(text, considered, generation).map_err(|error| Declined::from(&error))?;
        if applied.is_none() {
            return Ok(None);
        }
    }
    Ok(Some(told(facts, &Outcome { result, dry_run, text, overlay: &overlay })))
}

fn told(facts: &Facts, outcome: &Outcome<'_>) -> Told {
    Told::json(&json!({
        "result": outcome.result.as_str(),
        "dry_run": outcome.dry_run,
        "generation": facts.overlay.current().generation,
        "text": outcome.text,
        "changes": outcome.overlay.changes(facts.spec.backends),
    }))
}
