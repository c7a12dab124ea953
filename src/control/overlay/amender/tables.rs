//! The tables of a catalog, as generated code has them for the compiled one. They are kept for good.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use only1mcp_emit::{Named, Page, Parts, Shown};
use only1mcp_model::plan::{self, Plan, TaskTool, ToolHeaders, WildcardRoute};

use crate::catalog::{
    self, Alone, Amended, Declared, Digests, Entry, ListKind, NOBODY, NameTable, Revision, Spec, Template, View,
};

/// The indices that the backends of a plan have while the gateway runs: compiled ones their own, others the places that they
/// were given.
#[derive(Clone, Copy)]
struct Places<'p> {
    compiled: usize,
    added: &'p [usize],
}

/// About how many bytes the tables of these parts come to.
pub(super) fn bytes(parts: &Parts<'_>) -> usize {
    let lists = [&parts.tools, &parts.prompts, &parts.resources, &parts.templates];
    let entries = lists.into_iter().flatten().map(|own| 128 + own.item.name.len() + own.item.upstream.len());
    let shown = [&parts.whole].into_iter().chain(&parts.views).chain(&parts.alone).map(|shown| {
        let pages = shown.lists.iter().flatten().flatten();
        let pages = pages.map(|page| 128 + page.head.len() + page.tail.len() + 4 * page.cuts.1.len());
        512 + shown.discover.len() + shown.initialize.iter().map(String::len).sum::<usize>() + pages.sum::<usize>()
    });
    parts.items.len() + entries.sum::<usize>() + shown.sum::<usize>()
}

/// The tables of a plan, whose backends are those of the compiled one and behind them others, each at its place.
pub(super) fn amended(compiled: &'static Spec, plan: &Plan, parts: Parts<'_>, places: &[usize]) -> Amended {
    let places = Places { compiled: compiled.backends.len(), added: places };
    let tools = entries(&parts.tools, places);
    let slots = parts.tool_names.slots.iter().map(|index| tools[*index]).collect();
    let names = NameTable { seed: parts.tool_names.seed, pilots: parts.tool_names.pilots.clone(), slots };
    let (prompts, resources) = (entries(&parts.prompts, places), entries(&parts.resources, places));
    let by_name = |entries: &'static [Entry]| entries.iter().map(|entry| (entry.name, entry)).collect();
    let (offers_tools, offers_prompts, offers_resources) = parts.offers;
    let alone = (0..).zip(parts.alone.iter().zip(&plan.alone)).map(|(index, (shown, alone))| {
        let mut view = view(shown, places);
        let uris = |items: &[plan::Exposed]| kept(items.iter().map(|item| text(&item.name)).collect());
        let (resources, templates) = (uris(&alone.resources), uris(&alone.templates));
        let [tools, prompts] = shown
            .renamed
            .each_ref()
            .map(|names| kept(names.iter().map(|(own, upstream)| (text(own), text(upstream))).collect()));
        let (backend, prefix) = (places.of(index), text(&alone.prefix));
        view.alone = Some(Alone { backend, prefix, tools, prompts, resources, templates });
        view
    });
    let wildcards = plan.wildcards.iter();
    let wildcards = wildcards.map(|own| WildcardRoute { backend: places.of(own.backend), ..own.clone() });
    let headers = plan.tool_headers.iter();
    let mut headers: Vec<_> =
        headers.map(|own| ToolHeaders { backend: places.of(own.backend), ..own.clone() }).collect();
    headers.sort_by(|one, other| (one.backend, &one.tool).cmp(&(other.backend, &other.tool)));
    let task_tools = plan.task_tools.iter();
    let mut task_tools: Vec<_> =
        task_tools.map(|own| TaskTool { backend: places.of(own.backend), ..own.clone() }).collect();
    task_tools.sort_by(|one, other| (one.backend, &one.tool).cmp(&(other.backend, &other.tool)));
    let nobody = || plan::Backend { name: NOBODY.into(), tells: [].as_slice().into(), ..plan.backends[0].clone() };
    let spec = Spec {
        name: compiled.name,
        topology_digest: compiled.topology_digest,
        lock_digest: compiled.lock_digest,
        listen: compiled.listen.clone(),
        sessions: compiled.sessions.clone(),
        limits: compiled.limits,
        coalesce: compiled.coalesce.clone(),
        batching: compiled.batching,
        // Routes are compiled, and so are the backends that they lead to.
        teams: compiled.teams,
        backends: places.arrange(plan.backends.iter().cloned(), nobody),
        wildcards: kept(wildcards.collect()),
        templates: kept(parts.templates.iter().map(|named| template(named, places)).collect()),
        tools,
        prompts,
        resources,
        tool_headers: kept(headers),
        task_tools: kept(task_tools),
        items: kept(parts.items),
        whole: view(&parts.whole, places),
        views: kept(parts.views.iter().map(|shown| view(shown, places)).collect()),
        alone: if plan.alone.is_empty() { &[] } else { places.arrange(alone, || View::bare(NOBODY, 0)) },
        name_bytes_max: plan.name_bytes_max,
        offers_tools,
        offers_prompts,
        offers_resources,
    };
    let (digests, compiled) = (digests(&spec), digests(compiled));
    Amended { spec, tools: names, prompts: by_name(prompts), resources: by_name(resources), digests, compiled }
}

/// What the lists of everybody come to: tools, prompts, resources with their templates.
fn digests(spec: &Spec) -> HashMap<String, Digests> {
    let all = std::iter::once(&spec.whole).chain(spec.views).chain(spec.alone);
    all.map(|view| {
        let of = |kinds: &[ListKind]| {
            let mut hasher = DefaultHasher::new();
            for kind in kinds {
                for revision in [Revision::LEGACY, Revision::MODERN] {
                    let pages = view.lists[*kind as usize][revision as usize].iter();
                    pages.flat_map(|page| spec.items(page)).for_each(|piece| hasher.write(piece));
                    view.lists[*kind as usize][revision as usize].len().hash(&mut hasher);
                }
            }
            hasher.finish()
        };
        let resources = of(&[ListKind::Resources, ListKind::Templates]);
        (view.patterns.name.to_string(), [of(&[ListKind::Tools]), of(&[ListKind::Prompts]), resources])
    })
    .collect()
}

fn entries(items: &[Named<'_>], places: Places<'_>) -> &'static [Entry] {
    let entry = |named: &Named<'_>| Entry {
        name: text(&named.item.name),
        upstream: text(&named.item.upstream),
        views: named.views,
        fallbacks: places.all(&named.item.fallbacks),
        team: named.item.team,
        backend: places.of(named.item.backend),
        origin: places.of(named.item.origin),
        shortened: named.shortened,
        read_only: named.item.read_only,
        idempotent: named.item.idempotent,
        has_headers: named.has_headers,
    };
    kept(items.iter().map(entry).collect())
}

fn template(named: &Named<'_>, places: Places<'_>) -> Template {
    let item = named.item;
    let (uri_template, fallbacks) = (text(&item.name), places.all(&item.fallbacks));
    let (backend, origin) = (places.of(item.backend), places.of(item.origin));
    Template { uri_template, backend, team: item.team, origin, fallbacks, views: named.views }
}

fn view(shown: &Shown, places: Places<'_>) -> View {
    let only1mcp_emit::Declared { completions, tasks, task_extension, beyond } = shown.declared;
    let mut initialize = [""; 4];
    initialize.iter_mut().zip(&shown.initialize).for_each(|(place, own)| *place = text(own));
    View {
        patterns: shown.patterns.clone(),
        bit: shown.bit,
        tokens: shown.tokens,
        initialize,
        discover: text(&shown.discover),
        declared: Declared {
            completions,
            tasks,
            task_extension,
            beyond: beyond.map(|own| own.map(|own| places.of(own))),
        },
        lists: shown.lists.each_ref().map(|[legacy, modern]| {
            let (legacy, modern) = (pages(legacy), pages(modern));
            [legacy, legacy, legacy, legacy, modern]
        }),
        alone: None,
    }
}

fn pages(pages: &[Page]) -> &'static [catalog::Page] {
    let page = |own: &Page| catalog::Page {
        cursor: text(&own.cursor),
        head: text(&own.head),
        items: own.items,
        cuts: (own.cuts.0, kept(own.cuts.1.clone())),
        tail: text(&own.tail),
    };
    kept(pages.iter().map(page).collect())
}

// === impl Places ===

impl Places<'_> {
    /// That of the backend with this index in the plan.
    fn of(self, index: u16) -> u16 {
        let added = usize::from(index).checked_sub(self.compiled).and_then(|position| self.added.get(position));
        added.and_then(|place| u16::try_from(*place).ok()).unwrap_or(index)
    }

    fn all(self, indices: &[u16]) -> &'static [u16] {
        kept(indices.iter().map(|index| self.of(*index)).collect())
    }

    /// What belongs to each backend of the plan, at its place; elsewhere what belongs to nobody.
    fn arrange<T>(self, own: impl Iterator<Item = T>, nobody: impl Fn() -> T) -> &'static [T] {
        let count = self.added.iter().map(|place| place + 1).max().unwrap_or(self.compiled);
        let mut arranged: Vec<T> = (0..count).map(|_| nobody()).collect();
        for (index, own) in (0..).zip(own) {
            arranged[usize::from(self.of(index))] = own;
        }
        kept(arranged)
    }
}

fn text(text: &str) -> &'static str {
    if text.is_empty() { "" } else { Box::leak(text.into()) }
}

fn kept<T>(list: Vec<T>) -> &'static [T] {
    Box::leak(list.into_boxed_slice())
}
