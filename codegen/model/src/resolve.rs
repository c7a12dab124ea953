//! From a checked topology and its lock to the plan: defaults filled in, names exposed, routes applied.

use std::collections::{HashMap, HashSet};

use crate::check::subject;
use crate::lock::{Item, List, Lock, Section};
use crate::names::{expose, matches, prefix};
use crate::plan::{self, Exposed, Instructions, Plan, Subject, View, WildcardRoute};
use crate::topology::{EraChoice, Names, Topology};
use crate::{Source, digest};

/// Everything that clients would see, before it is known to be unambiguous.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) tools: Vec<Found>,
    pub(crate) prompts: Vec<Found>,
    pub(crate) resources: Vec<Found>,
    pub(crate) templates: Vec<Found>,
}

/// One item and where it comes from.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) exposed: Exposed,
    /// The name of the backend that has it; a route may lead elsewhere.
    pub(crate) origin: String,
    pub(crate) is_tool: bool,
}

// === impl Catalog ===

impl Catalog {
    /// Every item of every list.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Found> {
        [&self.tools, &self.prompts, &self.resources, &self.templates].into_iter().flatten()
    }
}

/// The backends in topology order.
pub(crate) fn backends(topology: &Topology, lock: &Lock) -> Vec<plan::Backend> {
    let backend = |(name, backend): (&str, &crate::topology::Backend)| plan::Backend {
        name: name.to_owned().into(),
        transport: backend.transport.planned(backend),
        era: match backend.era {
            EraChoice::Auto => None,
            EraChoice::Pinned(era) => Some(era),
        },
        locked_era: lock.backends.get(name).map(Section::era),
        timeout_ms: backend.timeout.unwrap_or(topology.defaults.timeout).0,
    };
    topology.backends.iter().map(backend).collect()
}

/// Everything that the locked backends offer and the topology does not deny.
pub(crate) fn catalog(topology: &Topology, lock: &Lock, backends: &[plan::Backend]) -> Catalog {
    let routes = Routes::new(topology, backends);
    let list = |list| routes.list(topology, lock, backends, list);
    Catalog {
        tools: list(List::Tools),
        prompts: list(List::Prompts),
        resources: list(List::Resources),
        templates: list(List::Templates),
    }
}

/// Puts the parts together.
pub(crate) fn plan(
    topology: &Topology,
    lock: &Lock,
    backends: Vec<plan::Backend>,
    catalog: Catalog,
    sources: (&Source, Option<&Source>),
) -> Plan {
    let mcp = &topology.listen.mcp;
    let table = |texts: &[String]| texts.iter().map(|text| text.clone().into()).collect();
    let exposed = |found: Vec<Found>| -> Vec<Exposed> { found.into_iter().map(|found| found.exposed).collect() };
    let wildcards = Routes::new(topology, &backends).wildcards(topology, &catalog);
    Plan {
        name: topology.name.clone(),
        topology_digest: digest::hex(sources.0.text.as_bytes()),
        lock_digest: sources.1.map(|lock| digest::hex(lock.text.as_bytes())).unwrap_or_default(),
        listen: plan::Listen {
            address: mcp.address.clone(),
            path: mcp.path.clone().into(),
            origins: table(&mcp.origins),
            hosts: table(&mcp.hosts),
        },
        wildcards,
        offers: offers(lock, &catalog),
        instructions: instructions(topology, lock),
        views: views(topology),
        tools: exposed(catalog.tools),
        prompts: exposed(catalog.prompts),
        resources: exposed(catalog.resources),
        templates: exposed(catalog.templates),
        page_items: topology.catalog.page_items,
        ttl_ms: topology.catalog.ttl.0,
        backends,
    }
}

fn offers(lock: &Lock, catalog: &Catalog) -> (bool, bool, bool) {
    let declared = |key| lock.backends.values().any(|section| section.capabilities.tree().member(key).is_some());
    (
        declared("tools") || !catalog.tools.is_empty(),
        declared("prompts") || !catalog.prompts.is_empty(),
        declared("resources") || !catalog.resources.is_empty() || !catalog.templates.is_empty(),
    )
}

/// The instructions of every backend under its name; those of a transparent backend alone.
fn instructions(topology: &Topology, lock: &Lock) -> Vec<Instructions> {
    let own = |(position, (name, _))| {
        let text = lock.backends.get(name)?.instructions.as_deref()?.trim();
        let text = match topology.names {
            _ if text.is_empty() => return None,
            Names::None => text.to_owned(),
            Names::Prefixed(_) => format!("# {name}\n\n{text}"),
        };
        Some(Instructions { backend: index(position), text })
    };
    topology.backends.iter().enumerate().filter_map(own).collect()
}

/// The views in the order of the topology.
pub(crate) fn views(topology: &Topology) -> Vec<View> {
    let table = |patterns: &[String]| patterns.iter().map(|pattern| pattern.clone().into()).collect();
    let view = |(name, view): (&str, &crate::topology::View)| View {
        name: name.to_owned().into(),
        include: table(&view.include),
        exclude: table(&view.exclude),
    };
    topology.views.iter().map(view).collect()
}

/// The routes whose backend exists: exact names first, then patterns, each in topology order.
struct Routes<'a>(Vec<(Subject, &'a str, u16)>);

// === impl Routes ===

impl<'a> Routes<'a> {
    fn new(topology: &'a Topology, backends: &[plan::Backend]) -> Self {
        let resolved = topology.routes.iter().filter_map(|route| {
            let (subject, _, pattern) = subject(route)?;
            let backend = index(backends.iter().position(|backend| backend.name == route.to)?);
            Some((subject, pattern, backend))
        });
        let (exact, patterns): (Vec<_>, Vec<_>) = resolved.partition(|(_, pattern, _)| !pattern.contains('*'));
        Self([exact, patterns].concat())
    }

    /// The backend that a name is routed to.
    fn find(&self, subject: Subject, name: &str) -> Option<u16> {
        self.0.iter().find(|(other, pattern, _)| *other == subject && matches(pattern, name)).map(|route| route.2)
    }

    /// One list of all backends.
    fn list(&self, topology: &Topology, lock: &Lock, backends: &[plan::Backend], list: List) -> Vec<Found> {
        let mut found: Vec<Found> = Vec::new();
        for (position, backend) in backends.iter().enumerate() {
            let Some(section) = lock.backends.get(&*backend.name) else { continue };
            for item in section.list(list) {
                if let Some(item) = self.item(topology, &backend.name, index(position), item, list) {
                    found.push(item);
                }
            }
        }
        if matches!(list, List::Resources | List::Templates) {
            keep_routed(&mut found, backends);
        }
        for Found { exposed, .. } in &mut found {
            exposed.fallbacks = fallbacks(topology, lock, backends, list, exposed);
        }
        found
    }

    fn item(&self, topology: &Topology, origin: &str, own: u16, item: &Item, list: List) -> Option<Found> {
        if is_denied(topology, origin, list, &item.name) {
            return None;
        }
        let tools = &topology.backends.get(origin)?.tools;
        let is_tool = list == List::Tools;
        let renamed = is_tool.then(|| tools.rename.get(&item.name)).flatten().unwrap_or(&item.name);
        let (subject, name) = match list {
            List::Tools => (Subject::Tools, expose(&topology.names, origin, renamed)),
            List::Prompts => (Subject::Prompts, expose(&topology.names, origin, &item.name)),
            List::Resources | List::Templates => (Subject::Resources, item.name.clone()),
        };
        let exposed = Exposed {
            backend: self.find(subject, &name).unwrap_or(own),
            item: item.json.with_member(list.name_key(), &name),
            upstream: item.name.clone(),
            read_only: is_tool && item.has_hint("readOnlyHint"),
            idempotent: is_tool && item.has_hint("idempotentHint"),
            fallbacks: Vec::new(),
            name,
        };
        Some(Found { exposed, origin: origin.to_owned(), is_tool })
    }

    /// Routes that are needed when a call comes: patterns, and exact names that no catalog holds.
    fn wildcards(&self, topology: &Topology, catalog: &Catalog) -> Vec<WildcardRoute> {
        let names: Vec<&str> = topology.backends.iter().map(|(name, _)| name).collect();
        let holds = |found: &[Found], name: &str| found.iter().any(|found| found.exposed.name == name);
        let catalogued = |subject, name: &str| match subject {
            Subject::Tools => holds(&catalog.tools, name),
            Subject::Prompts => holds(&catalog.prompts, name),
            Subject::Resources => holds(&catalog.resources, name),
        };
        self.0
            .iter()
            .filter(|(subject, pattern, _)| !catalogued(*subject, pattern))
            .map(|(subject, pattern, backend)| WildcardRoute {
                subject: *subject,
                pattern: (*pattern).to_owned().into(),
                backend: *backend,
                prefix: match subject {
                    Subject::Resources => "".into(),
                    _ => prefix(&topology.names, names[usize::from(*backend)]).into(),
                },
            })
            .collect()
    }
}

/// The backends that take over calls of an item: those its backend names, as far as they are locked with one of that
/// upstream name and do not deny it.
fn fallbacks(topology: &Topology, lock: &Lock, backends: &[plan::Backend], list: List, exposed: &Exposed) -> Vec<u16> {
    let own = &backends[usize::from(exposed.backend)].name;
    let named = topology.backends.get(own).into_iter().flat_map(|backend| &backend.fallback);
    let offers = |name: &&String| {
        let section = lock.backends.get(*name);
        section.is_some_and(|section| section.list(list).iter().any(|item| item.name == exposed.upstream))
            && !is_denied(topology, name, list, &exposed.upstream)
    };
    let position = |name: &String| backends.iter().position(|backend| backend.name == *name).map(index);
    named.filter(offers).filter_map(position).collect()
}

/// Whether the topology hides an item of a backend.
fn is_denied(topology: &Topology, backend: &str, list: List, name: &str) -> bool {
    let deny = topology.backends.get(backend).map_or(&[][..], |backend| &backend.tools.deny);
    list == List::Tools && deny.iter().any(|pattern| matches(pattern, name))
}

/// Of items with one URI that routes send to one backend, keeps that of the backend itself, or else the first.
fn keep_routed(found: &mut Vec<Found>, backends: &[plan::Backend]) {
    let own = |item: &Found| backends[usize::from(item.exposed.backend)].name == item.origin;
    let mut kept: HashMap<(&str, u16), usize> = HashMap::new();
    for (position, item) in found.iter().enumerate() {
        let winner = kept.entry((&item.exposed.name, item.exposed.backend)).or_insert(position);
        if own(item) && !own(&found[*winner]) {
            *winner = position;
        }
    }
    let kept: HashSet<usize> = kept.into_values().collect();
    let mut position = 0..;
    found.retain(|_| position.next().is_some_and(|position| kept.contains(&position)));
}

fn index(position: usize) -> u16 {
    u16::try_from(position).expect("a mapping of the schema has at most 1024 entries")
}
