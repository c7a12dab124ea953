//! Where a name leads: the compiled tables first, then templates and patterns for names that no list holds.

use std::borrow::Cow;

use only1mcp_model::names;
use only1mcp_model::uri::Uri;
use only1mcp_model::uri_prefix::backend_name;

use crate::catalog::plan::{Backend, ParamHeader, Subject};
use crate::catalog::{Alone, Catalog, Entry, Template, Topology, View};
use crate::limits;

/// The decision for one call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Route<'a> {
    /// Index of the backend; of several the first.
    pub(crate) backend: u16,
    /// Index of the team of backends that take its calls between them, where there are several.
    pub(crate) team: Option<u16>,
    /// The call goes on with what was begun at `backend`, and nowhere else.
    pub(crate) pinned: bool,
    /// The name or URI it knows.
    pub(crate) upstream: Cow<'a, str>,
    /// Indices of the backends that take over if that one cannot take the call, the first one first.
    pub(crate) fallbacks: &'static [u16],
    /// Executing the call twice does no harm, says the lock.
    pub(crate) repeatable: bool,
    /// It is of a tool that only reads, says the lock.
    pub(crate) read_only: bool,
    /// The arguments of a tool that have to be repeated as headers, by what the client has been shown of it.
    pub(crate) headers: &'static [ParamHeader],
    /// Some backend that may be asked wants to see arguments as headers.
    pub(crate) has_headers: bool,
    /// The backend whose name the URIs in the answer bear, if they do.
    pub(crate) rewrites: Option<&'static Backend>,
    /// The one of several children of the backend that has to be asked.
    pub(crate) child: Option<u16>,
}

// === impl Route ===

impl<'a> Route<'a> {
    /// There and nowhere else, under this name, which nothing is known of.
    pub(crate) const fn to(backend: u16, upstream: Cow<'a, str>) -> Self {
        Self {
            backend,
            team: None,
            pinned: false,
            upstream,
            fallbacks: &[],
            repeatable: false,
            read_only: false,
            headers: &[],
            has_headers: false,
            rewrites: None,
            child: None,
        }
    }
}

/// Where a call goes; `None` for a name nobody offers, and just so for one that the view does not show.
#[inline]
pub(crate) fn route<'a, T: Topology>(
    catalog: Catalog,
    view: &View,
    subject: Subject,
    name: &'a str,
) -> Option<Route<'a>> {
    if let Some(alone) = &view.alone {
        return own::<T>(catalog, alone, subject, name);
    }
    let entry = match subject {
        Subject::Tools => catalog.tool::<T>(name),
        Subject::Prompts => catalog.prompt::<T>(name),
        Subject::Resources => catalog.resource::<T>(name),
    };
    match entry {
        Some(entry) => view.shows(entry.views).then_some(Route {
            backend: entry.backend,
            team: entry.team,
            pinned: false,
            upstream: Cow::Borrowed(entry.upstream),
            fallbacks: entry.fallbacks,
            repeatable: entry.read_only || entry.idempotent,
            read_only: entry.read_only,
            headers: headers::<T>(catalog, entry),
            has_headers: entry.has_headers,
            // What a URI was asked under, what is in it is answered under; a tool speaks of its own.
            rewrites: rewriting::<T>(catalog, if subject == Subject::Resources { entry.origin } else { entry.backend }),
            child: None,
        }),
        None => uncatalogued::<T>(catalog, view, subject, name),
    }
}

/// The backend, if its URIs bear its name.
#[inline]
fn rewriting<T: Topology>(catalog: Catalog, backend: u16) -> Option<&'static Backend> {
    let backend = catalog.backend::<T>(backend).filter(|_| catalog.rewrites_uris::<T>());
    backend.filter(|backend| backend.rewrites_uris)
}

/// What a backend calls a URI that clients know.
fn own_uri<T: Topology>(catalog: Catalog, backend: u16, uri: &str) -> Cow<'_, str> {
    rewriting::<T>(catalog, backend).map_or(Cow::Borrowed(uri), |backend| backend.own_uri(uri))
}

/// Which arguments a tool wants to see as headers, going by the one that is listed.
#[inline]
fn headers<T: Topology>(catalog: Catalog, entry: &Entry) -> &'static [ParamHeader] {
    if entry.has_headers { catalog.spec::<T>().headers_of(entry.origin, entry.upstream) } else { &[] }
}

/// Why a completion leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unroutable {
    /// Nobody offers what it names, or the view does not show it.
    Unknown,
    /// The same, and the view offers no completions at all.
    NotOffered,
    /// Whoever offers what it names completes no arguments.
    NoCompletions,
}

/// Where the arguments of a prompt, a resource or a template are completed: at whoever would be asked for it. A template
/// is named as it is listed.
pub(crate) fn completion<'a, T: Topology>(
    catalog: Catalog,
    view: &View,
    subject: Subject,
    name: &'a str,
) -> Result<Route<'a>, Unroutable> {
    let is_listed = |template: &&Template| subject == Subject::Resources && template.uri_template == name;
    let listed = catalog.spec::<T>().templates.iter().find(is_listed).filter(|_| view.alone.is_none());
    let route = match listed {
        Some(&Template { backend, team, origin, views, fallbacks, .. }) => {
            let upstream = own_uri::<T>(catalog, origin, name);
            let route = Route { team, fallbacks, repeatable: true, ..Route::to(backend, upstream) };
            view.shows(views).then_some(route)
        }
        None => route::<T>(catalog, view, subject, name),
    };
    let route = route.ok_or(if view.declared.completions { Unroutable::Unknown } else { Unroutable::NotOffered })?;
    let completes = |backend: &u16| {
        let backend = catalog.backend::<T>(*backend);
        backend.is_some_and(|backend| backend.completions != Some(false))
    };
    // Who has the item need not complete its arguments.
    let (backend, team) = match catalog.spec::<T>().led(route.backend, route.team).find(completes) {
        None => return Err(Unroutable::NoCompletions),
        Some(first) => (
            first,
            route.team.filter(|_| catalog.spec::<T>().led(route.backend, route.team).all(|own| completes(&own))),
        ),
    };
    let fallbacks = if route.fallbacks.iter().all(completes) { route.fallbacks } else { &[] };
    Ok(Route { backend, team, fallbacks, repeatable: true, ..route })
}

/// Where a name leads of which its backend alone is asked: there or nowhere. It is looked up as the catalog has it,
/// whoever the catalog would send it to.
fn own<'a, T: Topology>(catalog: Catalog, alone: &Alone, subject: Subject, name: &'a str) -> Option<Route<'a>> {
    let &Alone { backend, prefix, tools, prompts, resources, templates } = alone;
    let length_max = if subject == Subject::Resources { limits::URI_BYTES_MAX } else { limits::NAME_BYTES_MAX };
    if name.len() > length_max {
        return None;
    }
    let prefixed = match subject {
        Subject::Tools | Subject::Prompts if !prefix.is_empty() => Cow::Owned([prefix, name].concat()),
        Subject::Tools | Subject::Prompts => Cow::Borrowed(name),
        Subject::Resources => {
            rewriting::<T>(catalog, backend).map_or(Cow::Borrowed(name), |backend| backend.exposed_uri(name))
        }
    };
    let shortened = !prefix.is_empty()
        && subject != Subject::Resources
        && !names::is_exposable(&prefixed, catalog.spec::<T>().name_bytes_max);
    let entry = match subject {
        Subject::Tools if shortened => {
            catalog.tool::<T>(&names::fit(prefixed.to_string(), catalog.spec::<T>().name_bytes_max))
        }
        Subject::Prompts if shortened => {
            catalog.prompt::<T>(&names::fit(prefixed.to_string(), catalog.spec::<T>().name_bytes_max))
        }
        Subject::Tools => catalog.tool::<T>(&prefixed),
        Subject::Prompts => catalog.prompt::<T>(&prefixed),
        Subject::Resources => catalog.resource::<T>(&prefixed),
    };
    // Prefixes may begin alike, and what a shortened name looks like may be somebody's own.
    let entry = entry
        .filter(|entry| entry.origin == backend && (subject == Subject::Resources || entry.shortened == shortened));
    let unlisted = || {
        let mut wildcards = catalog.spec::<T>().wildcards.iter().filter(|route| route.subject == subject);
        wildcards.any(|route| {
            catalog.spec::<T>().led(route.backend, route.team).any(|own| own == backend)
                && names::matches(&route.pattern, &prefixed)
                && route.upstream(&prefixed).is_some()
        })
    };
    let template = || {
        let of_catalog = catalog.spec::<T>().templates.iter().filter(|template| template.origin == backend);
        let mut all = of_catalog.map(|template| template.uri_template).chain(templates.iter().copied());
        // As listed, it is named by who wants its arguments completed; nothing fills it so.
        let leads = |template: &str| template == prefixed || names::fills(template, &prefixed);
        // What bears its name is its own, be it listed or not.
        let bears = prefixed != name;
        subject == Subject::Resources && (bears || resources.contains(&name) || all.any(leads))
    };
    let shared = match subject {
        Subject::Tools => tools,
        Subject::Prompts => prompts,
        Subject::Resources => &[],
    };
    let shared = || shared.binary_search_by_key(&name, |(own, _)| own).ok().map(|index| shared[index].1);
    let (upstream, headers) = match entry {
        Some(entry) => (entry.upstream, headers::<T>(catalog, entry)),
        None => match shared() {
            Some(upstream) => (upstream, catalog.spec::<T>().headers_of(backend, upstream)),
            None if template() || unlisted() => (name, &[][..]),
            None => return None,
        },
    };
    let has_headers = subject == Subject::Tools;
    Some(Route { headers, has_headers, ..Route::to(backend, Cow::Borrowed(upstream)) })
}

#[cold]
fn uncatalogued<'a, T: Topology>(catalog: Catalog, view: &View, subject: Subject, name: &'a str) -> Option<Route<'a>> {
    let length_max = if subject == Subject::Resources { limits::URI_BYTES_MAX } else { limits::NAME_BYTES_MAX };
    if name.len() > length_max || !is_shown::<T>(catalog, view, subject, name) {
        return None;
    }
    // The most specific template decides, also where the view does not show it: a wider one would lead elsewhere.
    let mut templates = catalog.spec::<T>().templates.iter().filter(|_| subject == Subject::Resources);
    let template = templates.find(|template| names::fills(template.uri_template, name));
    if template.is_some_and(|template| !view.shows(template.views)) {
        return None;
    }
    let mut wildcards = catalog.spec::<T>().wildcards.iter().filter(|wildcard| wildcard.subject == subject);
    let wildcard = wildcards.find(|wildcard| names::matches(&wildcard.pattern, name));
    let (backend, team, upstream) = match (wildcard, template) {
        (Some(wildcard), _) => (wildcard.backend, wildcard.team, wildcard.upstream(name)?),
        (None, Some(template)) => (template.backend, template.team, name),
        (None, None) if subject == Subject::Resources => (bearing::<T>(catalog, name)?, None, name),
        (None, None) => return None,
    };
    // A template is spelled as its origin has it, wherever it leads.
    let origin = template.filter(|_| wildcard.is_none()).map_or(backend, |template| template.origin);
    let upstream =
        if subject == Subject::Resources { own_uri::<T>(catalog, origin, upstream) } else { upstream.into() };
    // Of a name that no lock holds, and no template leads to, nobody knows who else has it.
    let fallbacks = template.filter(|own| own.backend == backend).map_or(&[][..], |own| own.fallbacks);
    // Nobody was shown what the tool wants; it may be one that the lock has under another name.
    let has_headers = subject == Subject::Tools;
    Some(Route {
        team,
        fallbacks,
        has_headers,
        rewrites: rewriting::<T>(catalog, origin),
        ..Route::to(backend, upstream)
    })
}

/// The backend whose name a URI bears: what it speaks of without listing it leads back to it.
fn bearing<T: Topology>(catalog: Catalog, uri: &str) -> Option<u16> {
    let backend = catalog.index_of::<T>(backend_name(uri).filter(|_| catalog.rewrites_uris::<T>())?)?;
    rewriting::<T>(catalog, backend).map(|_| backend)
}

/// Whether a view shows a name that no list holds. A URI gets one verdict however it is spelled: its backend may decode
/// it. So do templates, of which the most specific one has to be shown under every spelling.
fn is_shown<T: Topology>(catalog: Catalog, view: &View, subject: Subject, name: &str) -> bool {
    if view.is_whole() {
        return true;
    }
    if subject != Subject::Resources {
        return view.patterns.shows(name);
    }
    let uri = Uri::new(name);
    let template = catalog.spec::<T>().templates.iter().find(|template| uri.fills(template.uri_template));
    view.patterns.shows_unlisted(&uri) && template.is_none_or(|template| view.shows(template.views))
}
