//! Why a name leads where it does: the rules of the topology that decided, each with its place, and the contract that
//! the lock holds. The decision itself is the plan's; here are only its reasons. Why a name leads nowhere is in
//! `absent`.

mod absent;
mod show;

use serde::Serialize;

use crate::diagnostic::{Diagnostic, Origin, Problems, listed};
use crate::lock::{self, List, Lock, Section, era_word};
use crate::names::{expose, fills, literal_part, matches, prefix};
use crate::plan::{self, Exposed, Plan, Subject, WildcardRoute};
use crate::resolve::{self, Catalog, Found};
use crate::topology::{Millis, Names, Topology};
use crate::uri::Uri;
use crate::uri_prefix::backend_name;
use crate::yaml::{Document, Place, steps};
use crate::{Features, Source, check, decode::Decode as _};

/// What a name means to clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The name, or URI, that was asked about.
    pub name: String,
    /// The path of the topology.
    pub topology: String,
    /// Where it leads: as a tool, as a prompt, as a resource. Empty when nobody offers it.
    pub decisions: Vec<Decision>,
    /// Why it leads nowhere; empty when it leads somewhere.
    pub reasons: Vec<Step>,
    /// Names there are that were perhaps meant.
    pub near: Vec<String>,
}

/// Where a name leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// What it is the name of.
    pub kind: Kind,
    /// What decided on the backend.
    pub rule: Rule,
    /// The backend that calls go to, of several the first.
    pub backend: String,
    /// Those that take them between them, where there are several.
    pub team: Option<Team>,
    /// The name that clients use.
    pub exposed: String,
    /// The name that the backend uses.
    pub upstream: String,
    /// How it came to be, in order.
    pub steps: Vec<Step>,
    /// How long a call may take.
    pub timeout: Timeout,
    /// The backends that take over a call it cannot take, the first one first.
    pub fallbacks: Vec<String>,
    /// The views in which clients can ask for it. Without any it is served at the path of the whole catalog alone.
    pub views: Vec<String>,
    /// What the lock says of it; `null` when its backend is not locked.
    pub contract: Option<Contract>,
}

/// Several backends that calls go to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Team {
    /// Each with its weight.
    pub members: Vec<(String, u32)>,
    /// How one of them is chosen.
    pub balance: String,
}

/// What is asked for by a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `tools/call`
    Tool,
    /// `prompts/get`
    Prompt,
    /// `resources/read`
    Resource,
}

/// What decides over names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The backend that offers it.
    Backend,
    /// `names`: what stands before its own name.
    Prefix,
    /// `tools.rename`
    Rename,
    /// `names.max_length`, or letters that clients do not take.
    Shortened,
    /// An entry of `routes` about a name of the catalog.
    Route,
    /// An entry of `routes` about a name that no list holds.
    WildcardRoute,
    /// A resource template.
    Template,
    /// `tools.deny`
    Deny,
    /// The lock does not know.
    Unlocked,
}

/// One rule at work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Which.
    pub rule: Rule,
    /// What it does, in words.
    pub text: String,
    /// Where it stands; `null` for what holds without being written.
    pub place: Option<Origin>,
}

/// How long a call may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timeout {
    /// In milliseconds.
    pub ms: u64,
    /// Who says so.
    pub set_by: SetBy,
    /// Where; `null` where nobody does.
    pub place: Option<Origin>,
}

/// Who sets a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SetBy {
    /// The backend itself.
    Backend,
    /// `defaults`
    Defaults,
    /// Nobody: it is the value of an absent key.
    Nobody,
}

/// What the lock recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contract {
    /// The backend whose section it is.
    pub backend: String,
    /// `legacy` or `modern`.
    pub era: &'static str,
    /// The revision it spoke.
    pub revision: &'static str,
    /// Of the item; `null` for a name that no list holds.
    pub digest: Option<String>,
    /// `annotations.readOnlyHint` of a tool.
    pub read_only: bool,
    /// `annotations.idempotentHint` of a tool.
    pub idempotent: bool,
}

/// Explains a name under a topology and its lock.
///
/// # Errors
/// Every diagnostic of a topology that does not compile.
pub fn explain(topology: &Source, lock: Option<&Source>, name: &str) -> Result<Explanation, Vec<Diagnostic>> {
    let (plan, _warnings) = crate::load(topology, lock, &Features::all())?;
    let document = Document::parse(&topology.text).map_err(|refused| vec![*refused])?;
    let mut problems = Problems::default();
    let Some(decoded) = Topology::decode(&document.root, &mut problems) else {
        return Err(problems.locate(&document, lock));
    };
    let contracts = lock.map(|lock| Lock::parse(&lock.text).unwrap_or_default());
    let catalog = resolve::catalog(&decoded, contracts.as_ref().unwrap_or(&Lock::default()), &plan.backends);
    let asked =
        Asked { name, path: &topology.path, document: &document, topology: &decoded, contracts, plan: &plan, catalog };
    let decisions: Vec<Decision> = Kind::ALL.into_iter().filter_map(|kind| asked.decide(kind)).collect();
    Ok(Explanation {
        name: name.to_owned(),
        topology: topology.path.clone(),
        reasons: if decisions.is_empty() { asked.why_absent() } else { Vec::new() },
        near: if decisions.is_empty() { asked.near() } else { Vec::new() },
        decisions,
    })
}

/// A name and all that decides over it.
struct Asked<'a> {
    name: &'a str,
    path: &'a str,
    document: &'a Document<'a>,
    topology: &'a Topology,
    /// `None` without a lock.
    contracts: Option<Lock>,
    plan: &'a Plan,
    catalog: Catalog,
}

// === impl Asked ===

impl Asked<'_> {
    /// As the gateway routes: the catalog, then patterns, then templates.
    fn decide(&self, kind: Kind) -> Option<Decision> {
        if let Some(found) = self.found(kind).iter().find(|found| found.exposed.name == self.name) {
            return Some(self.listed(kind, found));
        }
        if let Some(route) = self.wildcard(kind) {
            let upstream = route.upstream(self.name)?;
            let upstream = match kind {
                Kind::Resource => self.plan.backends[usize::from(route.backend)].own_uri(upstream),
                Kind::Tool | Kind::Prompt => upstream.into(),
            };
            return Some(self.by_pattern(kind, route, &upstream));
        }
        let by_template = self.template(kind).map(|template| self.by_template(template));
        by_template.or_else(|| self.by_name(kind))
    }

    /// The backend whose name a URI bears.
    fn by_name(&self, kind: Kind) -> Option<Decision> {
        let name = backend_name(self.name).filter(|_| kind == Kind::Resource)?;
        let bears = |(_, backend): &(u16, &plan::Backend)| backend.rewrites_uris && backend.name == name;
        let (index, backend) = (0..).zip(&self.plan.backends).find(bears)?;
        let upstream = backend.own_uri(self.name);
        let (steps, contract) = (vec![self.rewritten(name)], self.contract(name, None));
        Some(self.decision(kind, Rule::Prefix, (index, None), &upstream, (steps, contract)))
    }

    /// How the URIs of a backend came to bear its name.
    fn rewritten(&self, backend: &str) -> Step {
        let place = self.document.value(steps!["backends", backend, "resources", "uris"]);
        self.step(Rule::Prefix, format!("`{backend}/` goes behind its scheme"), Some(place))
    }

    /// The most specific template that can become the name.
    fn template(&self, kind: Kind) -> Option<&Found> {
        self.most_specific(|template| fills(template, self.name)).filter(|_| kind == Kind::Resource)
    }

    fn most_specific(&self, speaks: impl Fn(&str) -> bool) -> Option<&Found> {
        let mut templates: Vec<&Found> = self.catalog.templates.iter().collect();
        templates.sort_by_key(|found| std::cmp::Reverse(literal_part(&found.exposed.name).len()));
        templates.into_iter().find(|found| speaks(&found.exposed.name))
    }

    /// What is listed under the name, or the template that speaks for it.
    fn speaker(&self, kind: Kind) -> Option<&Found> {
        let listed = self.found(kind).iter().find(|found| found.exposed.name == self.name);
        listed.or_else(|| self.template(kind))
    }

    /// The route that decides over the name if no list holds it.
    fn wildcard(&self, kind: Kind) -> Option<&WildcardRoute> {
        let mut wildcards = self.plan.wildcards.iter().filter(|route| route.subject == kind.subject());
        wildcards.find(|route| matches(&route.pattern, self.name))
    }

    fn found(&self, kind: Kind) -> &[Found] {
        match kind {
            Kind::Tool => &self.catalog.tools,
            Kind::Prompt => &self.catalog.prompts,
            Kind::Resource => &self.catalog.resources,
        }
    }

    fn listed(&self, kind: Kind, found: &Found) -> Decision {
        let Exposed { upstream, backend, .. } = &found.exposed;
        let mut steps = vec![self.offered(kind.noun(), found)];
        steps.extend(self.naming(kind, found));
        steps.extend(found.route.map(|index| self.routed(Rule::Route, kind, index)));
        let rule = if found.route.is_some() { Rule::Route } else { Rule::Backend };
        let contract = self.contract(&found.origin, Some((kind.list(), upstream)));
        self.decision(kind, rule, (*backend, found.exposed.team), upstream, (steps, contract))
    }

    fn by_pattern(&self, kind: Kind, route: &WildcardRoute, upstream: &str) -> Decision {
        let index = self.topology.routes.iter().position(|other| {
            check::subject(other)
                .is_some_and(|(subject, _, pattern)| subject == route.subject && pattern == route.pattern)
        });
        let mut steps: Vec<Step> =
            index.map(|index| self.routed(Rule::WildcardRoute, kind, index)).into_iter().collect();
        if upstream != self.name {
            steps.push(match kind {
                Kind::Resource => self.rewritten(&self.plan.backends[usize::from(route.backend)].name),
                Kind::Tool | Kind::Prompt => {
                    let taken = &self.name[..self.name.len() - upstream.len()];
                    let text = format!("`{taken}` is taken off its front");
                    self.step(Rule::Prefix, text, self.names_place())
                }
            });
        }
        let name = &*self.plan.backends[usize::from(route.backend)].name;
        let contract = self.contract(name, None);
        self.decision(kind, Rule::WildcardRoute, (route.backend, route.team), upstream, (steps, contract))
    }

    fn by_template(&self, found: &Found) -> Decision {
        let mut steps = vec![self.offered("resource template", found)];
        let text = format!("`{}` can be expanded to it", found.exposed.name);
        steps.push(self.step(Rule::Template, text, None));
        steps.extend(found.route.map(|index| self.routed(Rule::Route, Kind::Resource, index)));
        let contract = self.contract(&found.origin, Some((List::Templates, &found.exposed.upstream)));
        let upstream = self.plan.backends[usize::from(found.exposed.origin)].own_uri(self.name);
        if upstream != self.name {
            steps.insert(1, self.rewritten(&found.origin));
        }
        let to = (found.exposed.backend, found.exposed.team);
        self.decision(Kind::Resource, Rule::Template, to, &upstream, (steps, contract))
    }

    fn decision(
        &self,
        kind: Kind,
        rule: Rule,
        (backend, team): (u16, Option<u16>),
        upstream: &str,
        (steps, contract): (Vec<Step>, Option<Contract>),
    ) -> Decision {
        let speaker = self.speaker(kind).map(|found| &found.exposed);
        // As the gateway judges: a URI that no list holds under every spelling.
        let unlisted = kind == Kind::Resource && matches!(rule, Rule::WildcardRoute | Rule::Template | Rule::Prefix);
        let uri = unlisted.then(|| Uri::new(self.name));
        let template = uri.as_ref().and_then(|uri| self.most_specific(|template| uri.fills(template)));
        let speakers = [speaker, template.map(|found| &found.exposed)];
        let shows = |view: &&plan::View| {
            uri.as_ref().map_or_else(|| view.shows(self.name), |uri| view.shows_unlisted(uri))
                && speakers.iter().flatten().all(|speaker| view.shows(&speaker.name))
        };
        let fallbacks = speaker.filter(|speaker| speaker.backend == backend).map_or(&[][..], |own| &own.fallbacks);
        let name_of = |index: &u16| self.plan.backends[usize::from(*index)].name.to_string();
        let backend = &self.plan.backends[usize::from(backend)];
        Decision {
            kind,
            rule,
            backend: backend.name.to_string(),
            team: team.map(|team| self.team(&self.plan.teams[usize::from(team)])),
            exposed: self.name.to_owned(),
            upstream: upstream.to_owned(),
            steps,
            timeout: self.timeout(backend),
            fallbacks: fallbacks.iter().map(name_of).collect(),
            views: self.plan.views.iter().filter(shows).map(|view| view.name.to_string()).collect(),
            contract,
        }
    }

    fn team(&self, team: &plan::Team) -> Team {
        let member = |own: &plan::Member| (self.plan.backends[usize::from(own.backend)].name.to_string(), own.weight);
        Team { members: team.members.iter().map(member).collect(), balance: team.balance.to_string() }
    }

    fn offered(&self, noun: &str, found: &Found) -> Step {
        let text = format!("backend `{}` offers {noun} `{}`", found.origin, found.exposed.upstream);
        self.step(Rule::Backend, text, Some(self.document.key(steps!["backends", &found.origin])))
    }

    /// How the backend's own name became the exposed one.
    fn naming(&self, kind: Kind, found: &Found) -> Vec<Step> {
        let mut steps = Vec::new();
        let own = &found.exposed.upstream;
        if kind == Kind::Resource {
            return if found.exposed.name == *own { steps } else { vec![self.rewritten(&found.origin)] };
        }
        let rename = self.rename(kind, &found.origin, own);
        if let Some(new) = rename {
            let place = self.document.value(steps!["backends", &found.origin, "tools", "rename", own]);
            steps.push(self.step(Rule::Rename, format!("`{own}` is renamed to `{new}`"), Some(place)));
        }
        let before = prefix(&self.topology.names, &found.origin);
        if found.exposed.team.is_some() && found.exposed.name == found.exposed.own && !before.is_empty() {
            let text = "without a prefix: it is of several backends, and the route has it by its own name".to_owned();
            steps.push(self.step(Rule::Prefix, text, None));
            return steps;
        }
        let text = match &self.topology.names {
            Names::None => "names are exposed as the backend has them".to_owned(),
            Names::Prefixed(_) => format!("`{before}` goes before it"),
        };
        steps.push(self.step(Rule::Prefix, text, self.names_place()));
        let whole = before + rename.unwrap_or(own);
        if whole != found.exposed.name {
            let text = format!("`{whole}` is longer than clients take, or has other letters: its head and a digest");
            steps.push(self.step(Rule::Shortened, text, self.names_place()));
        }
        steps
    }

    fn rename(&self, kind: Kind, backend: &str, own: &str) -> Option<&str> {
        let tools = &self.topology.backends.get(backend)?.tools;
        tools.rename.get(own).filter(|_| kind == Kind::Tool).map(String::as_str)
    }

    fn routed(&self, rule: Rule, kind: Kind, index: usize) -> Step {
        let route = &self.topology.routes[index];
        let pattern = check::subject(route).map_or("", |(_, _, pattern)| pattern);
        let how = if rule == Rule::Route { "" } else { ", which no list holds," };
        let (noun, to) = (kind.noun(), listed(route.to.names()));
        let backends = if route.to.members.len() == 1 { "backend" } else { "backends" };
        let text = format!("route for {noun}s `{pattern}` sends it{how} to {backends} {to}");
        self.step(rule, text, Some(self.document.value(steps!["routes", index])))
    }

    fn timeout(&self, backend: &plan::Backend) -> Timeout {
        let own = steps!["backends", &*backend.name, "timeout"];
        let defaults = steps!["defaults", "timeout"];
        let (set_by, place) = if self.document.has(own) {
            (SetBy::Backend, Some(self.document.value(own)))
        } else if self.document.has(defaults) {
            (SetBy::Defaults, Some(self.document.value(defaults)))
        } else {
            (SetBy::Nobody, None)
        };
        Timeout { ms: backend.timeout_ms, set_by, place: place.map(|place| self.origin(place)) }
    }

    fn contract(&self, backend: &str, item: Option<(List, &str)>) -> Option<Contract> {
        let section = self.section(backend)?;
        let item = item.and_then(|(list, own)| lock::find(section.list(list), own));
        let hint = |hint| item.is_some_and(|item| item.has_hint(hint));
        Some(Contract {
            backend: backend.to_owned(),
            era: era_word(section.era()),
            revision: section.revision.as_str(),
            digest: item.map(|item| item.digest.clone()),
            read_only: hint("readOnlyHint"),
            idempotent: hint("idempotentHint"),
        })
    }

    fn section(&self, backend: &str) -> Option<&Section> {
        self.contracts.as_ref()?.backends.get(backend)
    }

    /// Where `names` stands, if it is written.
    fn names_place(&self) -> Option<Place> {
        self.document.has(steps!["names"]).then(|| self.document.value(steps!["names"]))
    }

    fn step(&self, rule: Rule, text: String, place: Option<Place>) -> Step {
        Step { rule, text, place: place.map(|place| self.origin(place)) }
    }

    fn origin(&self, place: Place) -> Origin {
        let (line, column) = self.document.lines().line_and_column(self.document.locate(place).start);
        Origin { path: self.path.to_owned(), line, column }
    }
}

// === impl Kind ===

impl Kind {
    const ALL: [Self; 3] = [Self::Tool, Self::Prompt, Self::Resource];

    const fn noun(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Prompt => "prompt",
            Self::Resource => "resource",
        }
    }

    const fn subject(self) -> Subject {
        match self {
            Self::Tool => Subject::Tools,
            Self::Prompt => Subject::Prompts,
            Self::Resource => Subject::Resources,
        }
    }

    const fn list(self) -> List {
        match self {
            Self::Tool => List::Tools,
            Self::Prompt => List::Prompts,
            Self::Resource => List::Resources,
        }
    }
}

#[cfg(test)]
mod tests;
