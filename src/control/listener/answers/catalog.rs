//! What is compiled in: tools, and every rule that leads a name to a server.

use serde_json::{Value, json};

use super::super::declined::Declined;
use super::super::endpoint::Endpoints;
use super::super::facts::Facts;
use super::super::petition::Petition;
use super::super::told::Told;
use super::servers;
use super::window::Window;
use crate::catalog::plan::{Member, Subject, WildcardRoute};
use crate::catalog::{Entry, Template, View};

/// Which of a list are asked for.
#[derive(Clone, Copy, Debug)]
struct Choice<'f> {
    view: &'f View,
    server: Option<usize>,
    subject: Option<Subject>,
}

/// One rule, in the order in which they are asked.
#[derive(Clone, Copy, Debug)]
enum Rule {
    Exact(Subject, &'static Entry),
    Pattern(&'static WildcardRoute),
    Template(&'static Template),
}

const SUBJECTS: [(&str, Subject); 3] =
    [("tools", Subject::Tools), ("prompts", Subject::Prompts), ("resources", Subject::Resources)];

pub(in super::super) fn tools(endpoints: &Endpoints, asked: &Petition) -> Result<Told, Declined> {
    let facts = &*endpoints.facts;
    let filter = Choice::of(facts, asked)?;
    let shown = |tool: &&Entry| filter.view.shows(tool.views) && filter.leads(facts, tool.backend, tool.team);
    let part = Window::of(asked)?.cut(facts.current().tools.iter().filter(shown), |tool| {
        json!({
            "name": tool.name,
            "from": facts.from(tool.origin.into()),
            "server": facts.name_of(tool.backend),
            "origin": facts.name_of(tool.origin),
            "upstream": tool.upstream,
            "balanced": balanced(facts, tool.team),
            "fallbacks": names(facts, tool.fallbacks),
            "views": views(facts, tool.views),
            "read_only": tool.read_only,
            "idempotent": tool.idempotent,
            "shortened": tool.shortened,
        })
    });
    Ok(Told::json(&part))
}

pub(in super::super) fn routes(endpoints: &Endpoints, asked: &Petition) -> Result<Told, Declined> {
    let facts = &*endpoints.facts;
    let filter = Choice::of(facts, asked)?;
    let spec = facts.current();
    let exact = |(subject, entries): (Subject, &'static [Entry])| entries.iter().map(move |e| Rule::Exact(subject, e));
    let exact = [(Subject::Tools, spec.tools), (Subject::Prompts, spec.prompts), (Subject::Resources, spec.resources)]
        .into_iter()
        .flat_map(exact);
    let patterns = spec.wildcards.iter().map(Rule::Pattern);
    let all = exact.chain(patterns).chain(spec.templates.iter().map(Rule::Template));
    let part = Window::of(asked)?.cut(all.filter(|rule| filter.takes(facts, *rule)), |rule| rule.told(facts));
    Ok(Told::json(&part))
}

/// The view that is asked about; the whole catalog where none is.
pub(super) fn view(facts: &Facts, asked: &Petition) -> Result<&'static View, Declined> {
    match asked.parameter("view") {
        None => Ok(&facts.current().whole),
        Some(name) => facts.current().view(name).ok_or_else(|| Declined::Nothing("view", name.to_owned())),
    }
}

/// The names of the views that show what has these bits.
pub(super) fn views(facts: &Facts, bits: u64) -> Vec<&'static str> {
    facts.current().views.iter().filter(|view| view.shows(bits)).map(|view| &*view.patterns.name).collect()
}

/// The names of backends.
pub(super) fn names(facts: &Facts, backends: &[u16]) -> Vec<&'static str> {
    backends.iter().map(|backend| facts.name_of(*backend)).collect()
}

/// The backends that take calls between them, each with the weight that it has now, and how one of them is chosen; null where
/// there is one.
pub(super) fn balanced(facts: &Facts, team: Option<u16>) -> Value {
    let Some(team) = team.and_then(|team| facts.spec.teams.get(usize::from(team))) else { return Value::Null };
    let overlay = &facts.overlay.current().overlay;
    let member = |own: &Member| {
        let server = facts.name_of(own.backend);
        let compiled = usize::try_from(own.weight).unwrap_or(usize::MAX);
        let weight = overlay.backends.get(server).and_then(|tuned| tuned.weight).unwrap_or(compiled);
        json!({ "server": server, "weight": weight })
    };
    json!({ "by": team.balance.to_string(), "servers": team.members.iter().map(member).collect::<Vec<_>>() })
}

/// Its word.
pub(super) fn word(subject: Subject) -> &'static str {
    match subject {
        Subject::Tools => "tools",
        Subject::Prompts => "prompts",
        Subject::Resources => "resources",
    }
}

// === impl Choice ===

impl<'f> Choice<'f> {
    fn of(facts: &'f Facts, asked: &Petition) -> Result<Self, Declined> {
        let server = asked.parameter("server").map(|name| servers::find(facts, name).map(|server| server.index()));
        let subject = asked.parameter("subject").map(|word| {
            let found = SUBJECTS.into_iter().find(|(known, _)| *known == word).map(|(_, subject)| subject);
            found.ok_or_else(|| Declined::Query("`subject` is none of `tools`, `prompts`, `resources`".to_owned()))
        });
        Ok(Self { view: view(facts, asked)?, server: server.transpose()?, subject: subject.transpose()? })
    }

    fn leads(&self, facts: &Facts, backend: u16, team: Option<u16>) -> bool {
        self.server.is_none_or(|server| facts.spec.leads((backend, team), server))
    }

    fn takes(&self, facts: &Facts, rule: Rule) -> bool {
        let (subject, to, shown) = match rule {
            Rule::Exact(subject, own) => (subject, (own.backend, own.team), self.view.shows(own.views)),
            // Whether a view shows a name that a pattern takes is known once there is the name.
            Rule::Pattern(own) => (own.subject, (own.backend, own.team), true),
            Rule::Template(own) => (Subject::Resources, (own.backend, own.team), self.view.shows(own.views)),
        };
        shown && self.leads(facts, to.0, to.1) && self.subject.is_none_or(|wanted| wanted == subject)
    }
}

// === impl Rule ===

impl Rule {
    fn told(self, facts: &Facts) -> Value {
        let (subject, rule, name, (server, team), upstream) = match self {
            Self::Exact(subject, own) => (subject, "exact", own.name, (own.backend, own.team), Some(own.upstream)),
            Self::Pattern(own) => (own.subject, "pattern", &*own.pattern, (own.backend, own.team), None),
            Self::Template(own) => (Subject::Resources, "template", own.uri_template, (own.backend, own.team), None),
        };
        json!({
            "subject": word(subject),
            "rule": rule,
            "name": name,
            "from": facts.from(server.into()),
            "server": facts.name_of(server),
            "balanced": balanced(facts, team),
            "upstream": upstream,
        })
    }
}
