//! From a checked topology and its lock to the plan: defaults filled in, names exposed, routes applied.

use std::collections::{HashMap, HashSet};

use crate::check::subject;
use crate::lock::{self, Item, List, Lock, Section};
use crate::names::{expose, is_exposable, matches, prefix};
use crate::param_header::{self, Violation};
use crate::plan::{
    self, Alone, Exposed, Instructions, Plan, Sources, Subject, TaskTool, ToolHeaders, View, WildcardRoute,
};
use crate::revision::Era;
use crate::topology::{
    Backend, BatchingSettings, BreakerSettings, EraChoice, HealthSettings, HedgeSettings, Names, RetrySettings, Route,
    Tools, Topology, Uris,
};
use crate::{Features, Source, features};

/// Everything that clients would see, before it is known to be unambiguous.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) tools: Vec<Found>,
    pub(crate) prompts: Vec<Found>,
    pub(crate) resources: Vec<Found>,
    pub(crate) templates: Vec<Found>,
    /// The backends of each route that leads to several.
    pub(crate) teams: Vec<plan::Team>,
    /// Tools that only their backend alone shows: a route has them under the name of another one.
    pub(crate) shadowed_tools: Vec<Found>,
    /// Prompts of which that is so.
    pub(crate) shadowed_prompts: Vec<Found>,
    /// Resources that only their backend alone shows: others have their URIs.
    shadowed_resources: Vec<Found>,
    /// Templates of which that is so.
    shadowed_templates: Vec<Found>,
    /// Tools that no client may be shown.
    pub(crate) excluded: Vec<Excluded>,
}

/// A tool whose backend annotated it as the specification forbids.
#[derive(Debug)]
pub(crate) struct Excluded {
    pub(crate) backend: String,
    pub(crate) tool: String,
    /// Its position in the list of the lock.
    pub(crate) position: usize,
    pub(crate) violation: Violation,
}

/// One item and where it comes from.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) exposed: Exposed,
    /// The name of the backend that has it; a route may lead elsewhere.
    pub(crate) origin: String,
    pub(crate) is_tool: bool,
    /// The position of the route that decides where it leads.
    pub(crate) route: Option<usize>,
}

// === impl Catalog ===

impl Catalog {
    /// Every item of every list.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Found> {
        self.lists().into_iter().flat_map(|(_, found)| found)
    }

    /// Every list, with what one of its items is called.
    pub(crate) fn lists(&self) -> [(&'static str, &[Found]); 4] {
        [
            ("tool", &self.tools),
            ("prompt", &self.prompts),
            ("resource", &self.resources),
            ("resource template", &self.templates),
        ]
    }
}

/// The backends in topology order.
pub(crate) fn backends(topology: &Topology, lock: &Lock) -> Vec<plan::Backend> {
    let defaults = &topology.defaults;
    let backend = |(name, backend): (&str, &crate::topology::Backend)| plan::Backend {
        name: name.to_owned().into(),
        transport: backend.transport.planned(backend),
        era: match backend.era {
            EraChoice::Auto => None,
            EraChoice::Pinned(era) => Some(era),
        },
        locked_era: lock.backends.get(name).map(Section::era),
        timeout_ms: backend.timeout.unwrap_or(defaults.timeout).0,
        completions: lock.backends.get(name).and_then(Section::completions),
        tells: lock.backends.get(name).map(Section::tells).unwrap_or_default().into(),
        tasks: lock.backends.get(name).is_some_and(Section::tasks),
        extensions: lock.backends.get(name).map(Section::extensions).unwrap_or_default().into(),
        beyond: lock.backends.get(name).map(Section::beyond).unwrap_or_default().into(),
        client_capabilities: backend.client_capabilities.clone().into(),
        rewrites_uris: backend.resources.uris == Uris::Rewrite,
        balance: backend.balance.as_ref().map_or(plan::Balance::RoundRobin, |balance| balance.0.clone()),
        slow_start_ms: backend.slow_start.map(|span| span.0),
        concurrency: backend.concurrency.as_ref().unwrap_or(&defaults.concurrency).planned(),
        retry: backend.retry.as_ref().unwrap_or(&defaults.retry).on().map(RetrySettings::planned),
        hedge: {
            // There has to be somewhere else.
            let inherited =
                Some(&defaults.hedge).filter(|_| backend.endpoints.len() > 1 || topology.is_one_of_several(name));
            backend.hedge.as_ref().or(inherited).and_then(|hedge| hedge.on()).map(HedgeSettings::planned)
        },
        circuit_breaker: {
            let breaker = backend.circuit_breaker.as_ref().unwrap_or(&defaults.circuit_breaker);
            breaker.on().map(BreakerSettings::planned)
        },
        health: {
            let health = backend.health.as_ref().unwrap_or(&defaults.health);
            // Of a child it is known whether it lives.
            let reached = !backend.endpoints.is_empty();
            health.on().filter(|_| reached).map(HealthSettings::planned)
        },
    };
    topology.backends.iter().map(backend).collect()
}

/// Everything that the locked backends offer and the topology does not deny.
pub(crate) fn catalog(topology: &Topology, lock: &Lock, backends: &[plan::Backend]) -> Catalog {
    let routes = Routes::new(topology, backends);
    let excluded = excluded(topology, lock, backends);
    let names: HashSet<(&str, &str)> = excluded.iter().map(|each| (&*each.backend, &*each.tool)).collect();
    let list = |list| {
        let hides = |name: &str, tools: &Tools, own: &str| {
            list == List::Tools && (is_denied(tools, own) || names.contains(&(name, own)))
        };
        routes.list(topology, lock, backends, (list, &hides))
    };
    let (tools, shadowed_tools) = list(List::Tools);
    let (prompts, shadowed_prompts) = list(List::Prompts);
    let (resources, shadowed_resources) = list(List::Resources);
    let (templates, shadowed_templates) = list(List::Templates);
    Catalog {
        tools,
        prompts,
        resources,
        templates,
        teams: routes.teams,
        shadowed_tools,
        shadowed_prompts,
        shadowed_resources,
        shadowed_templates,
        excluded,
    }
}

/// The tools that clients over Streamable HTTP leave out; the gateway is one where its backend is modern and reached so.
/// Transports without headers ignore what tools say about them.
fn excluded(topology: &Topology, lock: &Lock, backends: &[plan::Backend]) -> Vec<Excluded> {
    let mut excluded = Vec::new();
    for backend in backends {
        let modern = backend.era.or(backend.locked_era) == Some(Era::Modern);
        let headers = matches!(backend.transport, plan::Transport::StreamableHttp(_));
        let (section, settings) = (lock.backends.get(&*backend.name), topology.backends.get(&backend.name));
        let (Some(section), Some(settings), true) = (section, settings, modern && headers) else { continue };
        for (position, tool) in
            section.tools.iter().enumerate().filter(|(_, tool)| !is_denied(&settings.tools, &tool.name))
        {
            if let Err(violation) = param_header::headers(tool) {
                let (backend, tool) = (backend.name.to_string(), tool.name.clone());
                excluded.push(Excluded { backend, tool, position, violation });
            }
        }
    }
    excluded
}

/// What tools want to see as headers, wherever they are: their modern clients may come over Streamable HTTP.
fn tool_headers(topology: &Topology, lock: &Lock) -> Vec<ToolHeaders> {
    let mut found = Vec::new();
    for (position, (name, settings)) in topology.backends.iter().enumerate() {
        let tools = lock.backends.get(name).map_or(&[][..], |section| &section.tools);
        for tool in tools.iter().filter(|tool| !is_denied(&settings.tools, &tool.name)) {
            let headers = param_header::headers(tool).unwrap_or_default();
            if !headers.is_empty() {
                let tool = tool.name.clone().into();
                found.push(ToolHeaders { backend: index(position), tool, headers: headers.into() });
            }
        }
    }
    found
}

/// The tools that only run as tasks; the modern era has none.
fn task_tools(topology: &Topology, lock: &Lock) -> Vec<TaskTool> {
    let mut found = Vec::new();
    for (position, (name, settings)) in topology.backends.iter().enumerate() {
        let section = lock.backends.get(name).filter(|section| section.tasks());
        let tools = section.map_or(&[][..], |section| &section.tools);
        let tools = tools.iter().filter(|tool| tool.requires_task() && !is_denied(&settings.tools, &tool.name));
        found.extend(tools.map(|tool| TaskTool { backend: index(position), tool: tool.name.clone().into() }));
    }
    found
}

/// Whether a tool of a backend is hidden.
pub(crate) fn is_denied(tools: &Tools, name: &str) -> bool {
    tools.deny.iter().any(|pattern| matches(pattern, name))
}

/// Puts the parts together.
pub(crate) fn plan(
    topology: &Topology,
    lock: &Lock,
    backends: Vec<plan::Backend>,
    catalog: Catalog,
    (sources, features): ((&Source, Option<&Source>), &Features),
) -> Plan {
    let mcp = &topology.listen.mcp;
    let table = |texts: &[String]| texts.iter().map(|text| text.clone().into()).collect();
    let exposed = |found: Vec<Found>| -> Vec<Exposed> { found.into_iter().map(|found| found.exposed).collect() };
    let wildcards = Routes::new(topology, &backends).wildcards(topology, &catalog);
    Plan {
        name: topology.name.clone(),
        topology_digest: sources.0.digest(),
        lock_digest: sources.1.map(Source::digest).unwrap_or_default(),
        sources: Sources { topology: sources.0.text.clone(), lock: sources.1.map(|lock| lock.text.clone()) },
        relists: features.has(features::AMENDMENTS),
        listen: plan::Listen {
            address: mcp.address.clone(),
            tls: mcp.tls.as_ref().map(|tls| plan::ListenerTls {
                cert: tls.cert.clone(),
                key: tls.key.clone(),
                client_ca: tls.client_ca.clone(),
            }),
            path: mcp.path.clone().into(),
            origins: table(&mcp.origins),
            hosts: table(&mcp.hosts),
            backends: mcp.backends,
            admin: topology.listen.admin.as_ref().map(|admin| plan::AdminListener {
                address: admin.address.clone(),
                token: admin.token.clone(),
                hosts: table(&admin.hosts),
            }),
        },
        sessions: plan::Sessions { seal_key: topology.sessions.seal_key.clone() },
        limits: topology.limits.planned(),
        batching: topology.batching.as_ref().map(BatchingSettings::planned),
        coalesce: topology.coalesce.planned(catalog.tools.iter().map(|found| &found.exposed), &catalog.teams),
        wildcards,
        tool_headers: tool_headers(topology, lock),
        task_tools: task_tools(topology, lock),
        offers: offers(lock, &catalog),
        alone: if mcp.backends { alone(topology, lock, &catalog) } else { Vec::new() },
        name_bytes_max: match &topology.names {
            Names::None => usize::MAX,
            Names::Prefixed(prefixed) => prefixed.max_length,
        },
        instructions: instructions(topology, lock),
        views: views(topology),
        tools: exposed(catalog.tools),
        prompts: exposed(catalog.prompts),
        resources: exposed(catalog.resources),
        templates: exposed(catalog.templates),
        teams: catalog.teams,
        features: features::needs(topology),
        settings: Vec::new(),
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

/// Every backend alone.
fn alone(topology: &Topology, lock: &Lock, catalog: &Catalog) -> Vec<Alone> {
    let declared = |name: &str, key| {
        lock.backends.get(name).is_some_and(|section| section.capabilities.tree().member(key).is_some())
    };
    let of = |name: &str, found: &[Found]| -> Vec<Exposed> {
        found.iter().filter(|found| found.origin == name).map(|found| found.exposed.clone()).collect()
    };
    let alone = |(name, _): (&str, &Backend)| Alone {
        prefix: prefix(&topology.names, name),
        offers: (declared(name, "tools"), declared(name, "prompts"), declared(name, "resources")),
        tools: of(name, &catalog.shadowed_tools),
        prompts: of(name, &catalog.shadowed_prompts),
        resources: of(name, &catalog.shadowed_resources),
        templates: of(name, &catalog.shadowed_templates),
    };
    topology.backends.iter().map(alone).collect()
}

/// The instructions of every backend under its name; those of a transparent backend alone.
fn instructions(topology: &Topology, lock: &Lock) -> Vec<Instructions> {
    let own = |(position, (name, _)): (usize, (&str, &Backend))| {
        let text = lock.backends.get(name)?.instructions.as_deref()?.trim();
        let title = match topology.names {
            _ if text.is_empty() => return None,
            Names::None => None,
            Names::Prefixed(_) => Some(name.to_owned()),
        };
        Some(Instructions { backend: index(position), title, text: text.to_owned() })
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

/// The routes of which some backend exists.
struct Routes<'a> {
    /// Exact names, then patterns, each in topology order.
    all: Vec<Resolved<'a>>,
    /// The first route for each exact name.
    exact: HashMap<(Subject, &'a str), Resolved<'a>>,
    /// How many of them are patterns.
    patterns: usize,
    /// The backends of those that lead to several, in topology order.
    teams: Vec<plan::Team>,
}

#[derive(Clone, Copy)]
struct Resolved<'a> {
    subject: Subject,
    pattern: &'a str,
    /// Of several the first.
    backend: u16,
    /// The index of its team, where it leads to several.
    team: Option<u16>,
    /// Its position in the topology.
    position: usize,
}

/// Whether a backend, by its name and rules for tools, has an item of this name that no client may ask for.
type Hides<'a> = dyn Fn(&str, &Tools, &str) -> bool + 'a;

/// Where items come from.
#[derive(Clone, Copy)]
struct Origin<'a> {
    names: &'a Names,
    backend: &'a plan::Backend,
    position: u16,
    settings: &'a Backend,
}

// === impl Routes ===

impl<'a> Routes<'a> {
    fn new(topology: &'a Topology, backends: &[plan::Backend]) -> Self {
        let positions: HashMap<&str, u16> =
            backends.iter().enumerate().map(|(position, backend)| (&*backend.name, index(position))).collect();
        let mut teams = Vec::new();
        let resolved = topology.routes.iter().enumerate().filter_map(|(position, route)| {
            let (subject, _, pattern) = subject(route)?;
            let members = members(route, &positions);
            let backend = members.first()?.backend;
            let team = (members.len() > 1).then(|| index(teams.len()));
            if team.is_some() {
                let balance = route.balance.as_ref().map_or(plan::Balance::RoundRobin, |balance| balance.0.clone());
                teams.push(plan::Team { members: members.into(), balance });
            }
            Some(Resolved { subject, pattern, backend, team, position })
        });
        let (exact, patterns): (Vec<_>, Vec<_>) = resolved.partition(|route| !route.pattern.contains('*'));
        // The first of several goes in last.
        let by_name = exact.iter().rev().map(|route| ((route.subject, route.pattern), *route)).collect();
        Self { patterns: patterns.len(), all: [exact, patterns].concat(), exact: by_name, teams }
    }

    /// The backends that take the calls of a route between them, where it leads to several.
    fn team(&self, route: Resolved<'a>) -> Option<&plan::Team> {
        self.teams.get(usize::from(route.team?))
    }

    /// The route to several backends, this one among them, that knows a tool or prompt by its own name. It is known by that
    /// to clients as well: it is of no backend in particular.
    fn shared(&self, origin: Origin<'_>, subject: Subject, own: &str) -> Option<Resolved<'a>> {
        let length_max = match origin.names {
            Names::None => return None,
            Names::Prefixed(prefixed) => prefixed.max_length,
        };
        let route = self.find(subject, own).filter(|_| is_exposable(own, length_max))?;
        self.team(route).filter(|team| team.has(origin.position)).map(|_| route)
    }

    /// The route of a name.
    fn find(&self, subject: Subject, name: &str) -> Option<Resolved<'a>> {
        let patterns = || &self.all[self.all.len() - self.patterns..];
        let by_pattern = || patterns().iter().find(|route| route.subject == subject && matches(route.pattern, name));
        self.exact.get(&(subject, name)).or_else(by_pattern).copied()
    }

    /// One list of all backends, and what was left out of it because others have its URIs.
    fn list(
        &self,
        topology: &Topology,
        lock: &Lock,
        backends: &[plan::Backend],
        (list, hides): (List, &Hides<'_>),
    ) -> (Vec<Found>, Vec<Found>) {
        let mut found: Vec<Found> = Vec::new();
        for (position, backend) in backends.iter().enumerate() {
            let (section, settings) = (lock.backends.get(&*backend.name), topology.backends.get(&backend.name));
            let (Some(section), Some(settings)) = (section, settings) else { continue };
            let origin = Origin { names: &topology.names, backend, position: index(position), settings };
            let shown = section.list(list).iter().filter(|item| !hides(&backend.name, &settings.tools, &item.name));
            found.extend(shown.map(|item| self.item(origin, item, list)));
        }
        let shadowed = match list {
            List::Resources | List::Templates => self.keep_routed(&mut found),
            List::Tools | List::Prompts => self.keep_shared(&mut found),
        };
        for Found { exposed, .. } in &mut found {
            exposed.fallbacks = self.fallbacks(topology, lock, backends, (list, hides), exposed);
            // Whoever has the call executes it.
            for led in plan::led(&self.teams, exposed.backend, exposed.team) {
                let section = lock.backends.get(&*backends[usize::from(led)].name);
                let own = section.and_then(|section| lock::find(section.list(list), &exposed.upstream));
                exposed.read_only &= own.is_some_and(|own| own.has_hint("readOnlyHint"));
                exposed.idempotent &= own.is_some_and(|own| own.has_hint("idempotentHint"));
            }
        }
        (found, shadowed)
    }

    /// Of items with one URI that routes send to the same backends, keeps that of one of these, or else the first. Returns
    /// the others.
    fn keep_routed(&self, found: &mut Vec<Found>) -> Vec<Found> {
        let own = |item: &Found| {
            let Exposed { origin, backend, team, .. } = item.exposed;
            backend == origin || team.is_some_and(|team| self.teams[usize::from(team)].has(origin))
        };
        let mut kept: HashMap<(&str, u16, Option<u16>), usize> = HashMap::new();
        for (position, item) in found.iter().enumerate() {
            let Exposed { name, backend, team, .. } = &item.exposed;
            let winner = kept.entry((name, *backend, *team)).or_insert(position);
            if own(item) && !own(&found[*winner]) {
                *winner = position;
            }
        }
        let kept: HashSet<usize> = kept.into_values().collect();
        split(found, |position| kept.contains(&position))
    }

    /// Of tools, or prompts, that a route sends to several backends, keeps that of the first of them that has it. What the
    /// others have is the same, unless another route is for it. Returns the others.
    fn keep_shared(&self, found: &mut Vec<Found>) -> Vec<Found> {
        if self.teams.is_empty() {
            return Vec::new();
        }
        // By its team and own name, what is kept: its rank in the team, and its position.
        let mut kept: HashMap<(u16, &str), (usize, usize)> = HashMap::new();
        for (position, Found { exposed, .. }) in found.iter().enumerate() {
            let Some(team) = exposed.team else { continue };
            let mut members = self.teams[usize::from(team)].members.iter();
            let rank = members.position(|member| member.backend == exposed.origin).unwrap_or(usize::MAX);
            let first = kept.entry((team, &exposed.upstream)).or_insert((rank, position));
            *first = (*first).min((rank, position));
        }
        let is_shared = |position: usize, Found { exposed, route, .. }: &Found| {
            let of_team =
                |team: usize| self.teams[team].has(exposed.origin) && exposed.team.is_none_or(|own| own == index(team));
            let kept =
                |team: usize| kept.get(&(index(team), &exposed.upstream)).is_some_and(|(_, first)| *first != position);
            (route.is_none() || exposed.team.is_some()) && (0..self.teams.len()).any(|team| of_team(team) && kept(team))
        };
        let shared: HashSet<usize> =
            found.iter().enumerate().filter(|(position, item)| is_shared(*position, item)).map(|(at, _)| at).collect();
        split(found, |position| !shared.contains(&position))
    }

    fn item(&self, origin: Origin<'_>, item: &Item, list: List) -> Found {
        let tools = &origin.settings.tools;
        let is_tool = list == List::Tools;
        let renamed = is_tool.then(|| tools.rename.get(&item.name)).flatten().unwrap_or(&item.name);
        let subject = match list {
            List::Tools => Subject::Tools,
            List::Prompts => Subject::Prompts,
            List::Resources | List::Templates => Subject::Resources,
        };
        let shared = self.shared(origin, subject, renamed).filter(|_| subject != Subject::Resources);
        let name = match subject {
            Subject::Resources => origin.backend.exposed_uri(&item.name).into_owned(),
            Subject::Tools | Subject::Prompts if shared.is_some() => renamed.clone(),
            Subject::Tools | Subject::Prompts => expose(origin.names, &origin.backend.name, renamed),
        };
        let route = shared.or_else(|| self.find(subject, &name));
        let uri = |uri: &str| origin.backend.exposed_uri(uri).into_owned();
        let alone = match list {
            List::Tools => item.json.with_interface(&uri).map(|_| item.json.with_member(list.name_key(), renamed)),
            List::Prompts => None,
            List::Resources | List::Templates => (name != item.name).then(|| item.json.as_str().to_owned()),
        };
        let with_interface = item.json.with_interface(&uri).filter(|_| is_tool);
        let exposed = Exposed {
            backend: route.map_or(origin.position, |route| route.backend),
            team: route.and_then(|route| route.team),
            item: with_interface.as_ref().unwrap_or(&item.json).with_member(list.name_key(), &name),
            alone,
            upstream: item.name.clone(),
            own: renamed.clone(),
            origin: origin.position,
            read_only: is_tool && item.has_hint("readOnlyHint"),
            idempotent: is_tool && item.has_hint("idempotentHint"),
            fallbacks: Vec::new(),
            name,
        };
        Found { exposed, origin: origin.backend.name.to_string(), is_tool, route: route.map(|route| route.position) }
    }

    /// Routes that are needed when a call comes: patterns, and exact names that no catalog holds.
    fn wildcards(&self, topology: &Topology, catalog: &Catalog) -> Vec<WildcardRoute> {
        let backends: Vec<(&str, &Backend)> = topology.backends.iter().collect();
        let lists = [
            (Subject::Tools, &catalog.tools),
            (Subject::Prompts, &catalog.prompts),
            (Subject::Resources, &catalog.resources),
        ];
        let catalogued: HashSet<(Subject, &str)> = lists
            .into_iter()
            .flat_map(|(subject, found)| found.iter().map(move |found| (subject, found.exposed.name.as_str())))
            .collect();
        self.all
            .iter()
            .filter(|route| !catalogued.contains(&(route.subject, route.pattern)))
            .map(|route| {
                let team = self.team(*route).map(|team| team.members.iter().map(|member| member.backend).collect());
                let own: Vec<u16> = team.unwrap_or_else(|| vec![route.backend]);
                let own = || own.iter().map(|index| backends[usize::from(*index)]);
                let of_tools = own().filter(|_| route.subject == Subject::Tools);
                let named = own().filter(|_| route.subject != Subject::Resources);
                WildcardRoute {
                    subject: route.subject,
                    pattern: route.pattern.to_owned().into(),
                    backend: route.backend,
                    team: route.team,
                    prefixes: named.map(|(name, _)| prefix(&topology.names, name).into()).collect(),
                    deny: of_tools.flat_map(|(_, own)| &own.tools.deny).map(|pattern| pattern.clone().into()).collect(),
                }
            })
            .collect()
    }

    /// The backends that take over calls of an item: those its backends name, as far as they are locked with one of that
    /// upstream name and show it.
    fn fallbacks(
        &self,
        topology: &Topology,
        lock: &Lock,
        backends: &[plan::Backend],
        (list, hides): (List, &Hides<'_>),
        exposed: &Exposed,
    ) -> Vec<u16> {
        let team = exposed.team.map(|team| &self.teams[usize::from(team)]);
        let members = team.map_or(&[][..], |team| &team.members).iter().map(|member| member.backend);
        let own = members.chain(Some(exposed.backend).filter(|_| team.is_none()));
        let named = own.filter_map(|own| topology.backends.get(&backends[usize::from(own)].name));
        let offers = |name: &&String| {
            let (section, settings) = (lock.backends.get(*name), topology.backends.get(name));
            section.is_some_and(|section| lock::find(section.list(list), &exposed.upstream).is_some())
                && settings.is_some_and(|settings| !hides(name, &settings.tools, &exposed.upstream))
        };
        let position = |name: &String| backends.iter().position(|backend| backend.name == *name).map(index);
        let mut found = Vec::new();
        for fallback in named.flat_map(|own| &own.fallback).filter(offers).filter_map(position) {
            if !found.contains(&fallback) && !team.is_some_and(|team| team.has(fallback)) {
                found.push(fallback);
            }
        }
        found
    }
}

/// The backends of a route that exist, each once.
fn members(route: &Route, positions: &HashMap<&str, u16>) -> Vec<plan::Member> {
    let mut members: Vec<plan::Member> = Vec::new();
    for settings in &route.to.members {
        let known = positions.get(&*settings.backend);
        if let Some(own) = known.filter(|known| !members.iter().any(|member| member.backend == **known)) {
            members.push(settings.planned(*own));
        }
    }
    members
}

/// Leaves those at the positions that are kept, and returns the others.
fn split(found: &mut Vec<Found>, kept: impl Fn(usize) -> bool) -> Vec<Found> {
    let mut position = 0..;
    found.extract_if(.., |_| !position.next().is_some_and(&kept)).collect()
}

fn index(position: usize) -> u16 {
    u16::try_from(position).expect("a mapping of the schema has at most 1024 entries")
}
