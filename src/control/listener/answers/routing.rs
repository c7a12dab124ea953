//! Where a name leads, as the workers decide it, and which rule says so. Why the topology has that rule is explained by
//! `only1mcp topology explain`, which has its text.

use only1mcp_model::names;
use serde_json::{Value, json};

use super::super::declined::Declined;
use super::super::endpoint::Endpoints;
use super::super::facts::Facts;
use super::super::petition::Petition;
use super::super::told::Told;
use super::catalog;
use crate::catalog::View;
use crate::catalog::plan::Subject;
use crate::proxy::Route;

const SUBJECTS: [Subject; 3] = [Subject::Tools, Subject::Prompts, Subject::Resources];

pub(in super::super) fn explain(endpoints: &Endpoints, asked: &Petition) -> Result<Told, Declined> {
    let (facts, name) = (&*endpoints.facts, asked.name());
    let view = catalog::view(facts, asked)?;
    let decide =
        |subject: Subject| Some(decision(facts, subject, name, (facts.routing)(facts.catalog(), view, subject, name)?));
    let decisions: Vec<Value> = SUBJECTS.into_iter().filter_map(decide).collect();
    if decisions.is_empty() {
        return Err(Declined::Nothing("name", name.to_owned()));
    }
    Ok(Told::json(&json!({ "name": name, "view": view.patterns.name, "decisions": decisions })))
}

fn decision(facts: &Facts, subject: Subject, name: &str, route: Route<'_>) -> Value {
    let (rule, by) = rule(facts, subject, name);
    let leads = |view: &&View| (facts.routing)(facts.catalog(), view, subject, name).is_some();
    let views = facts.current().views.iter().filter(leads).map(|view| &*view.patterns.name);
    json!({
        "subject": catalog::word(subject),
        "rule": rule,
        "by": by,
        "from": facts.from(route.backend.into()),
        "server": facts.name_of(route.backend),
        "upstream": route.upstream,
        "balanced": catalog::balanced(facts, route.team),
        "fallbacks": catalog::names(facts, route.fallbacks),
        "views": views.collect::<Vec<_>>(),
        "repeatable": route.repeatable,
    })
}

/// Which rule leads a name that leads somewhere, and as it stands in the topology or the lock.
fn rule(facts: &Facts, subject: Subject, name: &str) -> (&'static str, Option<&'static str>) {
    let spec = facts.current();
    let entries = match subject {
        Subject::Tools => spec.tools,
        Subject::Prompts => spec.prompts,
        Subject::Resources => spec.resources,
    };
    if let Some(entry) = entries.iter().find(|entry| entry.name == name) {
        return ("exact", Some(entry.name));
    }
    let mut wildcards = spec.wildcards.iter().filter(|route| route.subject == subject);
    if let Some(route) = wildcards.find(|route| names::matches(&route.pattern, name)) {
        return ("pattern", Some(&route.pattern));
    }
    match spec.templates.iter().find(|template| names::fills(template.uri_template, name)) {
        Some(template) => ("template", Some(template.uri_template)),
        None => ("prefix", None),
    }
}
