//! What a build makes of a topology: tables, lists, transports, features, and what is left to the process that runs.
//! `cargo build -vv` and `only1mcp topology report` show it; how it looks is in `show`.

mod open;
mod show;

use only1mcp_model::diagnostic::Diagnostic;
use only1mcp_model::plan::{Backend, Exposed, Member, Plan, Reference, Team, View};
use only1mcp_model::revision::Era;
use serde::Serialize;

use crate::lists::{Kind, Lists};
use crate::{Error, Scope, perfect, upstream};

pub use open::Open;

/// `catalog::Entry` on a target with pointers of 64 bits.
const ENTRY_BYTES: usize = 72;
/// A name and a pointer, or an index, in a `phf::Map` on such a target.
const MAP_SLOT_BYTES: usize = 24;
/// What the admin listener serves beside `/metrics`.
const ADMIN_PATH: &str = "/api/v1/admin";
/// The seed of a table.
const SEED_BYTES: usize = 8;

/// A whole topology as it is compiled. Members are only ever added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What the topology is called.
    pub name: String,
    /// SHA-256 of its text, in hex.
    pub topology_digest: String,
    /// SHA-256 of the lock's text, in hex; `null` without one.
    pub lock_digest: Option<String>,
    /// Where clients connect.
    pub listeners: Vec<ListenerLine>,
    /// In topology order.
    pub backends: Vec<BackendLine>,
    /// How many items the catalog holds.
    pub catalog: Counts,
    /// Routes for names that no list holds.
    pub wildcard_routes: usize,
    /// Routes that lead to several backends, in topology order.
    pub teams: Vec<TeamLine>,
    /// What names are looked up in.
    pub tables: Vec<TableLine>,
    /// Parts of the catalog that are served under their own path.
    pub views: Vec<ViewLine>,
    /// What `*/list` requests are answered with: those of the whole catalog, then those of each view.
    pub lists: Vec<ListLine>,
    /// Bytes of all list items; pages of both eras, of views and of backends alone share what is equal.
    pub items_bytes: usize,
    /// What the backends cost that are also served alone; `null` where none is.
    pub alone: Option<AloneLine>,
    /// The transports that are linked.
    pub transports: Vec<&'static str>,
    /// How a call gets to its transport.
    pub dispatch: String,
    /// The cargo features without which the topology does not compile, or not run.
    pub features: Vec<&'static str>,
    /// The line of `Cargo.toml` that turns them on.
    pub feature_line: String,
    /// What is doubtful.
    pub warnings: Vec<WarningLine>,
    /// What the build does not fix, and why.
    pub open: Vec<Open>,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListenerLine {
    /// What it is for.
    pub role: &'static str,
    /// `host:port`, `unix:/path`, or where that comes from.
    pub address: String,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// The path of its endpoint.
    pub path: String,
}

/// A backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackendLine {
    /// Its name.
    pub name: String,
    /// How it is reached.
    pub transport: &'static str,
    /// Which era it is taken to speak, if that is known.
    pub era: Option<&'static str>,
    /// Whether the topology says so, rather than the lock.
    pub pinned: bool,
    /// The longest a call may take.
    pub timeout_ms: u64,
    /// What leads to it.
    pub catalog: Counts,
    /// Who takes over for it, the first one first. One that by the lock has nothing of it is none.
    pub fallbacks: Vec<FallbackLine>,
}

/// A backend that takes over for another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FallbackLine {
    /// Its name.
    pub backend: String,
    /// What of the other one it takes over.
    pub catalog: Counts,
}

/// The backends of a route that leads to several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TeamLine {
    /// Each with its weight.
    pub backends: Vec<(String, u32)>,
    /// How one of them is chosen.
    pub balance: String,
    /// What leads to them.
    pub catalog: Counts,
}

/// How many there are of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Tools.
    pub tools: usize,
    /// Prompts.
    pub prompts: usize,
    /// Resources.
    pub resources: usize,
    /// Resource templates.
    pub templates: usize,
}

/// A table of names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableLine {
    /// What it holds.
    pub kind: &'static str,
    /// Names in it.
    pub names: usize,
    /// Places for names.
    pub slots: usize,
    /// Buckets, each with the pilot that sends its names to places of their own.
    pub pilots: usize,
    /// What it takes on a target with pointers of 64 bits, without the names themselves.
    pub bytes: usize,
}

/// A view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ViewLine {
    /// Its name.
    pub name: String,
    /// The path of its endpoint.
    pub path: String,
    /// What it shows.
    pub catalog: Counts,
    /// About how many tokens of a model's context its tools take.
    pub tokens: usize,
}

/// The pages of a list for an era.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListLine {
    /// The view that it belongs to; `null` for the whole catalog.
    pub view: Option<String>,
    /// What it lists.
    pub kind: &'static str,
    /// Whose clients it is for.
    pub era: &'static str,
    /// How many pages it has.
    pub pages: usize,
    /// What all its answers take, items included.
    pub bytes: usize,
}

/// The backends alone, each under its own path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AloneLine {
    /// How many there are.
    pub paths: usize,
    /// How many of [`Report::items_bytes`] stand there for them only: items whose names were shortened, or that no other
    /// list holds.
    pub items_bytes: usize,
    /// Places in the items at which the catalog's prefix is left out, four bytes each.
    pub cuts: usize,
}

/// A warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WarningLine {
    /// Its code.
    pub code: &'static str,
    /// What it says.
    pub message: String,
}

/// Reports what `plan` becomes; `found` are the warnings that came with it.
///
/// # Errors
/// As [`crate::emit`].
pub fn report(plan: &Plan, found: &[Diagnostic]) -> Result<Report, Error> {
    let lists = Lists::of(plan)?;
    let transports: Vec<&str> = upstream::used(plan).iter().map(|kind| kind.key).collect();
    let quoted: Vec<String> = plan.features.iter().map(|feature| format!("\"{feature}\"")).collect();
    let warning = |found: &Diagnostic| WarningLine { code: found.code.as_str(), message: found.message.clone() };
    Ok(Report {
        name: plan.name.clone(),
        topology_digest: plan.topology_digest.clone(),
        lock_digest: Some(plan.lock_digest.clone()).filter(|digest| !digest.is_empty()),
        listeners: listeners(plan),
        backends: (0..).zip(&plan.backends).map(|(index, backend)| backend_line(plan, index, backend)).collect(),
        catalog: counts(plan, |_| true),
        wildcard_routes: plan.wildcards.len(),
        teams: (0..).zip(&plan.teams).map(|(index, team)| team_line(plan, index, team)).collect(),
        tables: tables(plan)?,
        views: plan.views.iter().map(|view| view_line(plan, view)).collect(),
        lists: list_lines(&lists, plan),
        items_bytes: lists.blob.len(),
        alone: (!plan.alone.is_empty()).then(|| AloneLine {
            paths: plan.alone.len(),
            items_bytes: lists.blob.len() - lists.shared_bytes,
            cuts: lists.cuts(),
        }),
        dispatch: match &transports[..] {
            [one] => format!("alias of {one}"),
            several => format!("enum of {}", several.join(", ")),
        },
        transports,
        feature_line: format!("topology-{} = [{}]", plan.name, quoted.join(", ")),
        features: plan.features.clone(),
        warnings: found.iter().map(warning).collect(),
        open: open::all(plan),
    })
}

fn listeners(plan: &Plan) -> Vec<ListenerLine> {
    let mcp = &plan.listen;
    let line = |role, address: &Reference, tls, path: &str| ListenerLine {
        role,
        address: address.to_string(),
        tls,
        path: path.to_owned(),
    };
    let admin = mcp.admin.iter().map(|admin| line("admin", &admin.address, false, ADMIN_PATH));
    [line("mcp", &mcp.address, mcp.tls.is_some(), &mcp.path)].into_iter().chain(admin).collect()
}

fn view_line(plan: &Plan, view: &View) -> ViewLine {
    let shown = plan.size(Some(view));
    ViewLine {
        name: view.name.to_string(),
        path: plan.listen.view_path(&view.name),
        catalog: Counts {
            tools: shown.tools,
            prompts: shown.prompts,
            resources: shown.resources,
            templates: shown.templates,
        },
        tokens: shown.tokens,
    }
}

fn backend_line(plan: &Plan, index: u16, backend: &Backend) -> BackendLine {
    BackendLine {
        name: backend.name.to_string(),
        transport: backend.transport.kind().key,
        era: backend.era.or(backend.locked_era).map(era_word),
        pinned: backend.era.is_some(),
        timeout_ms: backend.timeout_ms,
        catalog: counts(plan, |item| plan.leads(item, index)),
        fallbacks: fallbacks(plan, index),
    }
}

fn team_line(plan: &Plan, index: u16, team: &Team) -> TeamLine {
    let member = |own: &Member| (plan.backends[usize::from(own.backend)].name.to_string(), own.weight);
    TeamLine {
        backends: team.members.iter().map(member).collect(),
        balance: team.balance.to_string(),
        catalog: counts(plan, |item| item.team == Some(index)),
    }
}

fn fallbacks(plan: &Plan, index: u16) -> Vec<FallbackLine> {
    let items = [&plan.tools, &plan.prompts, &plan.resources, &plan.templates].into_iter().flatten();
    let mut order: Vec<u16> = Vec::new();
    for item in items.filter(|item| plan.leads(item, index)) {
        // The fallbacks of an item are those of the backend without some of them, in their order.
        for (at, fallback) in item.fallbacks.iter().enumerate() {
            if !order.contains(fallback) {
                let next = order.iter().position(|known| item.fallbacks[at..].contains(known));
                order.insert(next.unwrap_or(order.len()), *fallback);
            }
        }
    }
    let line = |fallback: u16| FallbackLine {
        backend: plan.backends[usize::from(fallback)].name.to_string(),
        catalog: counts(plan, |item| plan.leads(item, index) && item.fallbacks.contains(&fallback)),
    };
    order.into_iter().map(line).collect()
}

fn counts(plan: &Plan, counted: impl Fn(&Exposed) -> bool) -> Counts {
    let count = |items: &[Exposed]| items.iter().filter(|item| counted(item)).count();
    Counts {
        tools: count(&plan.tools),
        prompts: count(&plan.prompts),
        resources: count(&plan.resources),
        templates: count(&plan.templates),
    }
}

fn tables(plan: &Plan) -> Result<Vec<TableLine>, Error> {
    let names = |items: &'_ [Exposed]| items.iter().map(|item| item.name.clone()).collect::<Vec<_>>();
    let tools = names(&plan.tools);
    let perfect = perfect(&tools.iter().map(String::as_str).collect::<Vec<_>>())?;
    let (slots, pilots) = (perfect.slots.len(), perfect.pilots.len());
    // No tools, no table.
    let seed = if tools.is_empty() { 0 } else { SEED_BYTES };
    let bytes = seed + size_of::<u32>() * pilots + ENTRY_BYTES * slots;
    let backends: Vec<String> = plan.backends.iter().map(|backend| backend.name.to_string()).collect();
    Ok(vec![
        TableLine { kind: "tools", names: tools.len(), slots, pilots, bytes },
        map_line("prompts", &names(&plan.prompts)),
        map_line("resources", &names(&plan.resources)),
        map_line("backends", &backends),
    ])
}

/// A `phf::Map`, as phf's own generator fills it.
fn map_line(kind: &'static str, names: &[String]) -> TableLine {
    if names.is_empty() {
        return TableLine { kind, names: 0, slots: 0, pilots: 0, bytes: 0 };
    }
    let found = phf_generator::generate_hash(names);
    let (slots, pilots) = (found.map.len(), found.disps.len());
    let bytes = SEED_BYTES + size_of::<(u32, u32)>() * pilots + MAP_SLOT_BYTES * slots;
    TableLine { kind, names: names.len(), slots, pilots, bytes }
}

fn list_lines(lists: &Lists, plan: &Plan) -> Vec<ListLine> {
    let mut lines = Vec::new();
    for view in [None].into_iter().chain((0..plan.views.len()).map(Some)) {
        let scope = view.map_or(Scope::Whole, Scope::View);
        for kind in Kind::ALL {
            for era in [Era::Legacy, Era::Modern] {
                let (pages, bytes) = lists.size(kind, era, scope);
                let view = view.map(|index| plan.views[index].name.to_string());
                lines.push(ListLine { view, kind: kind.noun(), era: era_word(era), pages, bytes });
            }
        }
    }
    lines
}

fn era_word(era: Era) -> &'static str {
    match era {
        Era::Legacy => "legacy",
        Era::Modern => "modern",
    }
}
