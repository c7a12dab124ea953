//! Where names lead, told three ways: by the compiled tables, by the explanation of the model, and by a naive reading of
//! the topology's rules that is written here alone.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;

use only1mcp_emit::perfect;
use only1mcp_model::explain::{Kind, explain};
use only1mcp_model::lock::{Answers, Lock, Section};
use only1mcp_model::names::{fills, literal_part, matches};
use only1mcp_model::plan::{Exposed, Plan, Program, Stdio, Subject, Transport, View, visible};
use only1mcp_model::revision::Revision;
use only1mcp_model::{Features, Source, hash, load};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::value::RawValue;

/// One backend as the test draws it.
#[derive(Clone, Debug)]
struct Drawn {
    locked: bool,
    tools: Vec<String>,
    prompts: Vec<String>,
    resources: Vec<String>,
    templates: Vec<String>,
    deny: Vec<String>,
    /// What the first tools are called instead.
    rename: Vec<String>,
    /// Which of the backends behind it take over for it: the next one, the one after that, …
    fallback: [bool; 3],
}

/// A whole topology: backends `a`, `b`, …, routes as (subject, pattern, index of the backend), and views `v0`, `v1`, … as
/// what they include and exclude.
#[derive(Clone, Debug)]
struct World {
    backends: Vec<Drawn>,
    routes: Vec<(&'static str, String, usize)>,
    views: Vec<(Vec<String>, Vec<String>)>,
}

/// Where a name leads.
#[derive(Clone, Debug, PartialEq)]
struct Lead {
    backend: String,
    /// What the backend calls it.
    upstream: String,
    fallbacks: Vec<String>,
    /// Where clients can ask for it.
    views: Vec<String>,
}

const LETTERS: [&str; 4] = ["a", "b", "c", "d"];

fn own_names() -> impl Strategy<Value = Vec<String>> {
    btree_set("[xyz]|yy", 1..4).prop_map(|names| names.into_iter().collect())
}

fn uris(pattern: &'static str) -> impl Strategy<Value = Vec<String>> {
    btree_set(pattern, 0..3).prop_map(|uris| uris.into_iter().collect())
}

fn backend() -> impl Strategy<Value = Drawn> {
    let lists = (own_names(), own_names(), uris("u:[xy]{1,2}"), uris("u:[xy]?\\{[?]?[pq]\\}[xy]?"));
    let rules = (btree_set("[xyz*]{1,2}", 0..2), btree_set("[xyzr]{1,2}", 0..3));
    let fallback = prop::array::uniform3(prop::bool::weighted(0.4));
    (prop::bool::weighted(0.85), lists, rules, fallback).prop_map(
        |(locked, (tools, prompts, resources, templates), rules, fallback)| {
            let (deny, rename) = (rules.0.into_iter().collect(), rules.1.into_iter().collect());
            Drawn { locked, tools, prompts, resources, templates, deny, rename, fallback }
        },
    )
}

fn views() -> impl Strategy<Value = Vec<(Vec<String>, Vec<String>)>> {
    let wide = prop_oneof!["\\*", "\\*[xyu]\\*", "[ab]__\\*"];
    let narrow = prop_oneof!["[ab]__[xyz*]", "u:[xy*]{1,2}", "\\*[xyz}]"];
    vec((btree_set(wide, 1..3), btree_set(narrow, 0..3)), 0..3).prop_map(|views| {
        views.into_iter().map(|(in_, out)| (in_.into_iter().collect(), out.into_iter().collect())).collect()
    })
}

fn world() -> impl Strategy<Value = World> {
    let subject = select(vec!["tools", "prompts", "resources"]);
    let pattern = prop_oneof!["[ab*](__)?[xyz*]{0,2}", "u:[xy*]{1,2}", "[a-c]__[xyz]"];
    let routes = vec((subject, pattern, 0_usize..4), 0..5);
    (vec(backend(), 1..4), routes, views()).prop_map(|(backends, routes, views)| {
        let count = backends.len();
        let routes = routes.into_iter().map(|(subject, pattern, to)| (subject, pattern, to % count)).collect();
        World { backends, routes, views }
    })
}

// === impl World ===

impl World {
    fn yaml(&self) -> String {
        let quoted = |names: &[String]| names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let mut yaml = "name: drawn\nbackends:\n".to_owned();
        for (index, (letter, backend)) in LETTERS.iter().zip(&self.backends).enumerate() {
            let fallback: Vec<&str> = self.fallbacks(index).map(|other| LETTERS[other]).collect();
            let rename: Vec<String> = backend.renames().iter().map(|(own, new)| format!("{own:?}: {new:?}")).collect();
            yaml += &format!(
                "  {letter}:\n    transport: {{ stdio: {{ command: {letter} }} }}\n    tools: {{ deny: [{}], rename: {{ {} }} }}\n    fallback: [{}]\n",
                quoted(&backend.deny),
                rename.join(", "),
                fallback.join(", "),
            );
        }
        yaml += "routes:\n";
        for (subject, pattern, to) in &self.routes {
            yaml += &format!("  - {{ {subject}: {pattern:?}, to: {} }}\n", LETTERS[*to]);
        }
        if self.routes.is_empty() {
            yaml = yaml.replace("routes:\n", "");
        }
        for (index, (include, exclude)) in self.views.iter().enumerate() {
            let before = if index == 0 { "views:\n" } else { "" };
            yaml +=
                &format!("{before}  v{index}: {{ include: [{}], exclude: [{}] }}\n", quoted(include), quoted(exclude));
        }
        yaml
    }

    fn lock(&self) -> String {
        let locked = LETTERS.iter().zip(&self.backends).filter(|(_, backend)| backend.locked);
        let backends = locked.map(|(letter, backend)| ((*letter).to_owned(), backend.section(letter))).collect();
        Lock { backends }.render()
    }

    /// The backends that a backend names as its fallbacks.
    fn fallbacks(&self, index: usize) -> impl Iterator<Item = usize> {
        (index + 1..self.backends.len()).filter(move |other| self.backends[index].fallback[other - index - 1])
    }

    /// Where the routes of a subject send a name.
    fn routed(&self, subject: &str, name: &str) -> Option<usize> {
        let routes = || self.routes.iter().filter(|route| route.0 == subject);
        let exact = routes().find(|route| !route.1.contains('*') && route.1 == name);
        exact.or_else(|| routes().find(|route| route.1.contains('*') && glob(&route.1, name))).map(|route| route.2)
    }

    /// Those of the fallbacks of a backend that have an item of this name and do not deny it.
    fn taking_over(&self, backend: usize, list: fn(&Drawn) -> &[String], own: &str, is_tool: bool) -> Vec<String> {
        let takes = |other: &usize| {
            let other = &self.backends[*other];
            let denied = is_tool && other.deny.iter().any(|pattern| glob(pattern, own));
            other.locked && list(other).iter().any(|name| name == own) && !denied
        };
        self.fallbacks(backend).filter(takes).map(|other| LETTERS[other].to_owned()).collect()
    }

    /// The views that show all of these.
    fn showing(&self, names: &[&str]) -> Vec<String> {
        let any = |patterns: &[String], name: &str| patterns.iter().any(|pattern| glob(pattern, name));
        let shows = |(include, exclude): &(Vec<String>, Vec<String>)| {
            names.iter().all(|name| any(include, name) && !any(exclude, name))
        };
        let indices = (0..self.views.len()).filter(|index| shows(&self.views[*index]));
        indices.map(|index| format!("v{index}")).collect()
    }

    /// The template that speaks for a URI, and the backend it leads to.
    fn template(&self, uri: &str) -> Option<(usize, &str)> {
        let locked = self.backends.iter().enumerate().filter(|(_, backend)| backend.locked);
        let mut fitting: Vec<(usize, &str)> = locked
            .flat_map(|(index, backend)| backend.templates.iter().map(move |template| (index, template.as_str())))
            .filter(|(_, template)| expands(template, uri))
            .collect();
        fitting.sort_by_key(|(_, template)| std::cmp::Reverse(template.find('{')));
        let (index, template) = *fitting.first()?;
        // What a route says of a template is said of its text.
        Some((self.routed("resources", template).unwrap_or(index), template))
    }

    /// Where a name leads by the rules as the documentation has them.
    fn naive(&self, kind: Kind, name: &str) -> Option<Lead> {
        let (subject, list): (_, fn(&Drawn) -> &[String]) = match kind {
            Kind::Tool => ("tools", |backend| &backend.tools),
            Kind::Prompt => ("prompts", |backend| &backend.prompts),
            Kind::Resource => ("resources", |backend| &backend.resources),
        };
        let lead = |backend: usize, upstream: &str, fallbacks, shown: &[&str]| {
            let (backend, upstream) = (LETTERS[backend].to_owned(), upstream.to_owned());
            Some(Lead { backend, upstream, fallbacks, views: self.showing(shown) })
        };
        let routed = self.routed(subject, name);
        for (index, backend) in self.backends.iter().enumerate().filter(|(_, backend)| backend.locked) {
            if let Some(own) = backend.exposed(kind, LETTERS[index]).get(name) {
                let to = routed.unwrap_or(index);
                return lead(to, own, self.taking_over(to, list, own, kind == Kind::Tool), &[name]);
            }
        }
        let template = self.template(name).filter(|_| kind == Kind::Resource);
        let shown = [Some(name), template.map(|(_, text)| text)].into_iter().flatten().collect::<Vec<_>>();
        let to = routed.or(template.map(|(to, _)| to))?;
        let speaks = template.filter(|(own, _)| *own == to);
        let fallbacks =
            speaks.map_or_else(Vec::new, |(_, text)| self.taking_over(to, |other| &other.templates, text, false));
        let before = format!("{}__", LETTERS[to]);
        let upstream = if kind == Kind::Resource { name } else { name.strip_prefix(&before).unwrap_or(name) };
        let denied = kind == Kind::Tool && self.backends[to].deny.iter().any(|pattern| glob(pattern, upstream));
        lead(to, upstream, fallbacks, &shown).filter(|_| !denied)
    }
}

// === impl Drawn ===

impl Drawn {
    fn renames(&self) -> Vec<(&String, &String)> {
        if self.locked { self.tools.iter().zip(&self.rename).collect() } else { Vec::new() }
    }

    /// Own names by exposed names.
    fn exposed(&self, kind: Kind, letter: &str) -> HashMap<String, String> {
        let named = |own: &String, new: &String| (format!("{letter}__{new}"), own.clone());
        match kind {
            Kind::Tool => {
                let shown = self.tools.iter().filter(|own| !self.deny.iter().any(|pattern| glob(pattern, own)));
                let renames: HashMap<&String, &String> = self.renames().into_iter().collect();
                shown.map(|own| named(own, renames.get(own).copied().unwrap_or(own))).collect()
            }
            Kind::Prompt => self.prompts.iter().map(|own| named(own, own)).collect(),
            Kind::Resource => self.resources.iter().map(|uri| (uri.clone(), uri.clone())).collect(),
        }
    }

    fn section(&self, command: &str) -> Section {
        let raw = |value: serde_json::Value| RawValue::from_string(value.to_string()).unwrap();
        let list = |member: &str, key: &str, names: &[String]| {
            let items: Vec<_> = names.iter().map(|name| serde_json::json!({ key: name })).collect();
            [raw(serde_json::json!({ member: items }))]
        };
        let program = Program::Named(command.to_owned().into());
        let stdio = Stdio { program, ..Stdio::default() };
        Section::new(&Answers {
            transport: &Transport::Stdio(stdio),
            revision: Revision::LEGACY,
            greeting: &raw(serde_json::json!({ "capabilities": {} })),
            tools: &list("tools", "name", &self.tools),
            prompts: &list("prompts", "name", &self.prompts),
            resources: &list("resources", "uri", &self.resources),
            templates: &list("resourceTemplates", "uriTemplate", &self.templates),
        })
        .unwrap()
        .0
    }
}

/// Whether a pattern matches, tried out.
fn glob(pattern: &str, name: &str) -> bool {
    match pattern.split_at_checked(1) {
        None => name.is_empty(),
        Some(("*", rest)) => (0..=name.len()).any(|taken| name.is_char_boundary(taken) && glob(rest, &name[taken..])),
        Some((letter, rest)) => name.strip_prefix(letter).is_some_and(|name| glob(rest, name)),
    }
}

/// Whether a template with one expression can become a URI.
fn expands(template: &str, uri: &str) -> bool {
    let (before, after) = template.split_once('{').unwrap();
    let (expression, after) = after.split_once('}').unwrap();
    let length_min = before.len() + after.len() + usize::from(!expression.starts_with('?'));
    uri.len() >= length_min && uri.starts_with(before) && uri.ends_with(after)
}

/// Where the compiled tables lead.
fn compiled(plan: &Plan, kind: Kind, name: &str) -> Option<Lead> {
    let (items, subject): (&[Exposed], _) = match kind {
        Kind::Tool => (&plan.tools, Subject::Tools),
        Kind::Prompt => (&plan.prompts, Subject::Prompts),
        Kind::Resource => (&plan.resources, Subject::Resources),
    };
    let names: Vec<&str> = items.iter().map(|item| item.name.as_str()).collect();
    let table = perfect(&names).unwrap();
    let slot = hash::slot(table.seed, &table.pilots, table.slots.len(), name.as_bytes());
    let name_of = |backend: u16| plan.backends[usize::from(backend)].name.to_string();
    let lead = |backend: u16, upstream: &str, speaker: Option<&Exposed>| {
        let shown = |view: &&View| view.shows(name) && speaker.is_none_or(|speaker| view.shows(&speaker.name));
        let fallbacks = speaker.filter(|speaker| speaker.backend == backend).map_or(&[][..], |own| &own.fallbacks);
        Lead {
            backend: name_of(backend),
            upstream: upstream.to_owned(),
            fallbacks: fallbacks.iter().map(|fallback| name_of(*fallback)).collect(),
            views: plan.views.iter().filter(shown).map(|view| view.name.to_string()).collect(),
        }
    };
    if let Some(item) = table.slots.get(slot).map(|index| &items[*index]).filter(|item| item.name == name) {
        return Some(lead(item.backend, &item.upstream, Some(item)));
    }
    let mut templates: Vec<&Exposed> = plan.templates.iter().filter(|_| kind == Kind::Resource).collect();
    templates.sort_by_key(|template| std::cmp::Reverse(literal_part(&template.name).len()));
    let template = templates.into_iter().find(|template| fills(&template.name, name));
    let mut wildcards = plan.wildcards.iter().filter(|route| route.subject == subject);
    if let Some(route) = wildcards.find(|route| matches(&route.pattern, name)) {
        return route.upstream(name).map(|upstream| lead(route.backend, upstream, template));
    }
    template.map(|template| lead(template.backend, name, Some(template)))
}

fn source(path: &str, text: String) -> Source {
    Source { path: path.to_owned(), text }
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 20_000, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn tables_explanation_and_rules_lead_to_the_same_place(
        world in world(),
        strangers in btree_map("[abc]__[xyzr]{1,2}|u:[xy]{1,3}|[xyz]{1,2}", Just(()), 0..12),
    ) {
        let (topology, lock) = (source("t.yaml", world.yaml()), source("t.lock.json", world.lock()));
        let loaded = load(&topology, Some(&lock), &Features::all());
        prop_assert_eq!(loaded.is_ok(), explain(&topology, Some(&lock), "").is_ok());
        // Names that are not unique are refused.
        prop_assume!(loaded.is_ok());
        let (plan, _warnings) = loaded.unwrap();
        let lists = [&plan.tools, &plan.prompts, &plan.resources].into_iter().flatten();
        let known = lists.map(|item| item.name.clone());
        for view in &plan.views {
            for items in [&plan.tools, &plan.prompts, &plan.resources, &plan.templates] {
                let listed: Vec<&str> = visible(items, Some(view)).map(|item| item.name.as_str()).collect();
                let shown = items.iter().map(|item| item.name.as_str());
                let shown: Vec<&str> = shown.filter(|name| world.showing(&[name]).contains(&view.name.to_string())).collect();
                prop_assert_eq!(listed, shown, "view `{}` of\n{}", &view.name, &topology.text);
            }
        }
        for name in known.chain(strangers.into_keys()) {
            let explained = explain(&topology, Some(&lock), &name).unwrap();
            for kind in [Kind::Tool, Kind::Prompt, Kind::Resource] {
                let decision = explained.decisions.iter().find(|decision| decision.kind == kind);
                let by_explanation = decision.map(|found| Lead {
                    backend: found.backend.clone(),
                    upstream: found.upstream.clone(),
                    fallbacks: found.fallbacks.clone(),
                    views: found.views.clone(),
                });
                let by_tables = compiled(&plan, kind, &name);
                prop_assert_eq!(&by_explanation, &by_tables, "{:?} `{}` in\n{}", kind, &name, &topology.text);
                prop_assert_eq!(&world.naive(kind, &name), &by_tables, "{:?} `{}` in\n{}", kind, &name, &topology.text);
            }
        }
    }
}
