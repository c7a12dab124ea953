//! What the gateway says of itself: the results of `initialize` and `server/discover`. To who sees a part of it, the
//! gateway is that part.

use std::collections::BTreeMap;

use only1mcp_model::plan::{self, Changing, Extension, Plan, Subject};
use only1mcp_model::revision::{Era, Revision};
use only1mcp_model::{IMPLEMENTATION, SERVER_INFO};
use proc_macro2::TokenStream;
use quote::quote;

use crate::lists::Kind;
use crate::{Scope, json};

/// The `_meta` member that names the gateway in results of the modern era.
pub(crate) fn meta() -> String {
    format!(r#""_meta":{{{SERVER_INFO}}}"#)
}

/// Tasks, in the modern era.
const TASK_EXTENSION: &str = "io.modelcontextprotocol/tasks";
/// The extensions that the gateway can keep: tasks, and user interfaces, which are resources like any other.
const EXTENSIONS: [&str; 2] = [TASK_EXTENSION, "io.modelcontextprotocol/ui"];
/// What of tasks is declared in the legacy era. Not `list`: clients share sessions with servers, and would see the tasks of
/// others.
const TASKS: &str = r#""cancel":{},"requests":{"tools":{"call":{}}}"#;

/// What of the lists `capabilities` declares.
pub(crate) struct Offers {
    pub(crate) tools: bool,
    pub(crate) prompts: bool,
    pub(crate) resources: bool,
}

/// What a client is greeted with.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Greeting {
    /// The `InitializeResult` of each legacy revision.
    pub(crate) initialize: Vec<String>,
    /// The `DiscoverResult`.
    pub(crate) discover: String,
    /// What else of these is to be known when a request comes.
    pub(crate) declared: Declared,
}

/// What of the capabilities methods depend on that no list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Declared {
    /// Completions of arguments.
    pub completions: bool,
    /// Tasks of 2025-11-25.
    pub tasks: bool,
    /// Tasks of the modern era, an extension.
    pub task_extension: bool,
    /// The index of the backend that is asked what the gateway does not know: in the legacy era, in the modern one.
    pub beyond: [Option<u16>; 2],
}

impl Greeting {
    pub(crate) fn of(plan: &Plan, scope: Scope) -> Self {
        let legacy = Revision::ALL.into_iter().filter(|revision| *revision < Revision::MODERN);
        Self {
            initialize: legacy.map(|revision| initialize(plan, scope, revision)).collect(),
            discover: discover(plan, scope),
            declared: Declared::of(plan, scope),
        }
    }
}

/// The `InitializeResult` of a legacy revision.
fn initialize(plan: &Plan, scope: Scope, revision: Revision) -> String {
    let (capabilities, server_info) = (capabilities(plan, scope, revision), IMPLEMENTATION);
    let instructions = instructions(plan, scope);
    format!(
        r#"{{"protocolVersion":"{revision}","capabilities":{capabilities},"serverInfo":{server_info}{instructions}}}"#
    )
}

/// The `DiscoverResult`. Legacy revisions are left out: who reads it speaks a modern one.
fn discover(plan: &Plan, scope: Scope) -> String {
    let modern = Revision::MODERN;
    let (capabilities, instructions, ttl_ms, meta) =
        (capabilities(plan, scope, modern), instructions(plan, scope), plan.ttl_ms, meta());
    format!(
        r#"{{"resultType":"complete","supportedVersions":["{modern}"],"capabilities":{capabilities}{instructions},"ttlMs":{ttl_ms},"cacheScope":"public",{meta}}}"#
    )
}

/// In the legacy eras the gateway itself keeps a level for every session; a modern request names its own.
fn capabilities(plan: &Plan, scope: Scope, revision: Revision) -> String {
    let Offers { tools, prompts, resources } = Offers::of(plan, scope);
    let Declared { completions, .. } = Declared::of(plan, scope);
    let logging = revision.era() == Era::Legacy && (tools || prompts || resources);
    let told = |kinds: &[Kind], change: Changing, member: &str| {
        let told = kinds.iter().any(|kind| tells(plan, scope, *kind, change));
        if told { format!(r#""{member}":true"#) } else { String::new() }
    };
    let resources_told = [
        told(&[Kind::Resources, Kind::Templates], Changing::Resources, "listChanged"),
        told(&[Kind::Resources, Kind::Templates], Changing::Contents, "subscribe"),
    ];
    let (declared, extensions) = (Declared::of(plan, scope), extensions(plan, scope, revision));
    let resources_told: Vec<String> = resources_told.into_iter().filter(|member| !member.is_empty()).collect();
    let offered = [
        ("logging", logging, String::new()),
        // 2024-11-05 has the method and no capability for it.
        ("completions", completions && revision > Revision::V2024_11_05, String::new()),
        ("tools", tools, told(&[Kind::Tools], Changing::Tools, "listChanged")),
        ("prompts", prompts, told(&[Kind::Prompts], Changing::Prompts, "listChanged")),
        ("resources", resources, resources_told.join(",")),
        ("tasks", declared.tasks && revision == Revision::V2025_11_25, TASKS.to_owned()),
        ("extensions", !extensions.is_empty(), extensions.join(",")),
    ];
    let offered = offered.iter().filter(|(_, offered, _)| *offered);
    let known = offered.map(|(name, _, told)| format!(r#""{name}":{{{told}}}"#));
    let beyond = beyond(plan, scope, revision.era()).map(|index| &plan.backends[usize::from(index)].beyond[..]);
    let members: Vec<String> = known.chain(beyond.unwrap_or_default().iter().map(member)).collect();
    format!("{{{}}}", members.join(","))
}

fn member(Extension { name, settings }: &Extension) -> String {
    format!("{}:{settings}", json::string(name))
}

/// The backend that clients of an era ask what the gateway does not know: the only one shown to them that declares
/// something beyond what the gateway knows, in that era. Where several do, nobody could say whose method one is.
pub(crate) fn beyond(plan: &Plan, scope: Scope, era: Era) -> Option<u16> {
    let declares = |backend: &plan::Backend| {
        backend.locked_era == Some(era) && (!backend.beyond.is_empty() || unknown(backend).next().is_some())
    };
    let mut declaring = (0..).zip(&plan.backends).filter(|(index, own)| declares(own) && is_shown(plan, scope, *index));
    match (declaring.next(), declaring.next()) {
        (Some((index, _)), None) => Some(index),
        _ => None,
    }
}

/// The extensions of a backend that the gateway does not know.
fn unknown(backend: &plan::Backend) -> impl Iterator<Item = &Extension> {
    backend.extensions.iter().filter(|own| !EXTENSIONS.contains(&&*own.name))
}

/// Whether something leads to a backend; to one of the whole catalog, and to one alone, its own path does.
fn is_shown(plan: &Plan, scope: Scope, index: u16) -> bool {
    match scope {
        Scope::Whole => true,
        Scope::Backend(own) => own == index,
        Scope::View(_) => {
            let mut listed = Kind::ALL.into_iter().flat_map(|kind| scope.items(plan, kind));
            listed.any(|item| plan.leads(item, index)) || routed(plan, |_| true, |backend| backend == index)
        }
    }
}

/// Whether a route for names that no list holds, about one of these subjects, leads to one of these backends.
fn routed(plan: &Plan, about: impl Fn(Subject) -> bool, to: impl Fn(u16) -> bool) -> bool {
    let mut routes = plan.wildcards.iter().filter(|route| about(route.subject));
    routes.any(|route| plan.led(route.backend, route.team).any(&to))
}

/// Whether a backend declares that it tells of this; of a view one of which it shows something of this kind.
fn tells(plan: &Plan, scope: Scope, kind: Kind, change: Changing) -> bool {
    let declares = |backend: u16| plan.backends[usize::from(backend)].tells.contains(&change);
    // The lists are the gateway's own; what a resource holds is not.
    if plan.relists && change != Changing::Contents {
        return true;
    }
    match scope {
        Scope::Whole => plan.backends.iter().any(|backend| backend.tells.contains(&change)),
        Scope::Backend(index) => declares(index),
        Scope::View(_) => scope.items(plan, kind).iter().any(|item| plan.led(item.backend, item.team).any(declares)),
    }
}

/// The member with its leading comma, or nothing.
fn instructions(plan: &Plan, scope: Scope) -> String {
    let text = match scope {
        Scope::Whole => plan.instructions(None),
        Scope::View(index) => plan.instructions(Some(&plan.views[index])),
        Scope::Backend(index) => plan.instructions.iter().find(|own| own.backend == index).map(|own| own.text.clone()),
    };
    text.map_or_else(String::new, |text| format!(r#","instructions":{}"#, json::string(&text)))
}

// === impl Offers ===

impl Offers {
    /// What is listed, what a wildcard route can reach and, of the whole catalog and of a backend alone, what a backend
    /// declares although it lists nothing.
    pub(crate) fn of(plan: &Plan, scope: Scope) -> Self {
        let reaches = |backend| match scope {
            Scope::Whole | Scope::View(_) => true,
            Scope::Backend(own) => own == backend,
        };
        let routed = |subject| routed(plan, |own| own == subject, reaches);
        let (tools, prompts, resources) = match scope {
            Scope::Whole => plan.offers,
            Scope::View(_) => (false, false, false),
            Scope::Backend(index) => plan.alone[usize::from(index)].offers,
        };
        let lists = |kind| !scope.items(plan, kind).is_empty();
        Self {
            tools: tools || lists(Kind::Tools) || routed(Subject::Tools),
            prompts: prompts || lists(Kind::Prompts) || routed(Subject::Prompts),
            resources: resources || lists(Kind::Resources) || lists(Kind::Templates) || routed(Subject::Resources),
        }
    }
}

// === impl Declared ===

impl Declared {
    fn of(plan: &Plan, scope: Scope) -> Self {
        let backends = with_tools(plan, scope);
        let extends = |backend: &plan::Backend| {
            backend.locked_era == Some(Era::Modern) && backend.extensions.iter().any(|own| own.name == TASK_EXTENSION)
        };
        Self {
            completions: completions(plan, scope),
            tasks: backends.iter().any(|backend| backend.tasks),
            task_extension: backends.iter().any(|backend| extends(backend)),
            beyond: [Era::Legacy, Era::Modern].map(|era| beyond(plan, scope, era)),
        }
    }

    /// As an expression.
    pub(crate) fn expression(self) -> TokenStream {
        let Self { completions, tasks, task_extension, beyond } = self;
        let [legacy, modern] = beyond.map(|backend| match backend {
            Some(index) => quote! { ::core::option::Option::Some(#index) },
            None => quote! { ::core::option::Option::None },
        });
        quote! {
            ::only1mcp::catalog::Declared {
                completions: #completions,
                tasks: #tasks,
                task_extension: #task_extension,
                beyond: [#legacy, #modern],
            }
        }
    }
}

/// The extensions of which something is shown. Those that the gateway knows are of the modern era, each as the first backend
/// that has it declares it; of others those of the one backend that is asked about them.
fn extensions(plan: &Plan, scope: Scope, revision: Revision) -> Vec<String> {
    let era = revision.era();
    let backends = with_tools(plan, scope).into_iter().filter(|backend| backend.locked_era == Some(Era::Modern));
    let known = backends.filter(|_| era == Era::Modern).flat_map(|backend| backend.extensions.iter());
    let known = known.filter(|extension| EXTENSIONS.contains(&&*extension.name));
    let beyond = beyond(plan, scope, era).map(|index| unknown(&plan.backends[usize::from(index)]));
    let mut found = BTreeMap::new();
    for extension in known.chain(beyond.into_iter().flatten()) {
        found.entry(&*extension.name).or_insert(extension);
    }
    found.into_values().map(member).collect()
}

/// The backends that tools lead to; of the whole catalog and of a backend alone also those that list none.
fn with_tools(plan: &Plan, scope: Scope) -> Vec<&plan::Backend> {
    let all = (0..).zip(&plan.backends);
    let led = |index: u16| match scope {
        Scope::Whole => true,
        Scope::Backend(own) => own == index,
        Scope::View(_) => {
            let listed = scope.items(plan, Kind::Tools);
            listed.iter().any(|item| plan.leads(item, index))
                || routed(plan, |subject| subject == Subject::Tools, |backend| backend == index)
        }
    };
    all.filter(|(index, _)| led(*index)).map(|(_, backend)| backend).collect()
}

/// Whether a backend declares that it completes arguments; of a view one that something leads to that has any.
fn completions(plan: &Plan, scope: Scope) -> bool {
    let declares = |backend: u16| plan.backends[usize::from(backend)].completions == Some(true);
    match scope {
        Scope::Whole => plan.backends.iter().any(|backend| backend.completions == Some(true)),
        Scope::Backend(index) => declares(index),
        Scope::View(_) => {
            let kinds = [Kind::Prompts, Kind::Resources, Kind::Templates];
            let mut listed = kinds.into_iter().flat_map(|kind| scope.items(plan, kind));
            listed.any(|item| plan.led(item.backend, item.team).any(declares))
                || routed(plan, |subject| subject != Subject::Tools, declares)
        }
    }
}
