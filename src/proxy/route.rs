//! Where a name leads: the compiled tables first, then templates and patterns for names that no list holds.

use std::borrow::Cow;

use only1mcp_model::names;
use only1mcp_model::uri::Uri;

use crate::catalog::{Alone, Topology, View, plan};
use crate::limits;
use crate::mcp::method::CallKind;

/// The decision for one call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Route<'a> {
    /// Index of the backend.
    pub(crate) backend: u16,
    /// The name or URI it knows.
    pub(crate) upstream: &'a str,
    /// Indices of the backends that take over if that one cannot take the call, the first one first.
    pub(crate) fallbacks: &'static [u16],
    /// Executing the call twice does no harm, says the lock.
    pub(crate) repeatable: bool,
}

/// Where a call goes; `None` for a name nobody offers, and just so for one that the view does not show.
#[inline]
pub(crate) fn route<'a, T: Topology>(view: &View, kind: CallKind, name: &'a str) -> Option<Route<'a>> {
    if let Some(alone) = &view.alone {
        return own::<T>(alone, kind, name);
    }
    let entry = match kind {
        CallKind::Tool => T::tool(name),
        CallKind::Prompt => T::prompt(name),
        CallKind::Resource => T::resource(name),
    };
    match entry {
        Some(entry) => view.shows(entry.views).then_some(Route {
            backend: entry.backend,
            upstream: entry.upstream,
            fallbacks: entry.fallbacks,
            repeatable: entry.read_only || entry.idempotent,
        }),
        None => uncatalogued::<T>(view, kind, name),
    }
}

/// Where a name leads of which its backend alone is asked: there or nowhere. It is looked up as the catalog has it,
/// whoever the catalog would send it to.
fn own<'a, T: Topology>(alone: &Alone, kind: CallKind, name: &'a str) -> Option<Route<'a>> {
    let &Alone { backend, prefix, resources, templates } = alone;
    let length_max = if kind == CallKind::Resource { limits::URI_BYTES_MAX } else { limits::NAME_BYTES_MAX };
    if name.len() > length_max {
        return None;
    }
    let prefixed = match kind {
        CallKind::Tool | CallKind::Prompt if !prefix.is_empty() => Cow::Owned([prefix, name].concat()),
        _ => Cow::Borrowed(name),
    };
    let shortened =
        !prefix.is_empty() && kind != CallKind::Resource && !names::is_exposable(&prefixed, T::SPEC.name_bytes_max);
    let entry = match kind {
        CallKind::Tool if shortened => T::tool(&names::fit(prefixed.to_string(), T::SPEC.name_bytes_max)),
        CallKind::Prompt if shortened => T::prompt(&names::fit(prefixed.to_string(), T::SPEC.name_bytes_max)),
        CallKind::Tool => T::tool(&prefixed),
        CallKind::Prompt => T::prompt(&prefixed),
        CallKind::Resource => T::resource(name),
    };
    // Prefixes may begin alike, and what a shortened name looks like may be somebody's own.
    let entry =
        entry.filter(|entry| entry.origin == backend && (kind == CallKind::Resource || entry.shortened == shortened));
    let unlisted = || {
        let mut wildcards = T::SPEC.wildcards.iter().filter(|route| route.subject == subject(kind));
        wildcards.any(|route| {
            route.backend == backend && names::matches(&route.pattern, &prefixed) && route.upstream(&prefixed).is_some()
        })
    };
    let template = || {
        let of_catalog = T::SPEC.templates.iter().filter(|template| template.origin == backend);
        let mut all = of_catalog.map(|template| template.uri_template).chain(templates.iter().copied());
        kind == CallKind::Resource && (resources.contains(&name) || all.any(|template| names::fills(template, name)))
    };
    let upstream = match entry {
        Some(entry) => entry.upstream,
        None if template() || unlisted() => name,
        None => return None,
    };
    Some(Route { backend, upstream, fallbacks: &[], repeatable: false })
}

fn subject(kind: CallKind) -> plan::Subject {
    match kind {
        CallKind::Tool => plan::Subject::Tools,
        CallKind::Prompt => plan::Subject::Prompts,
        CallKind::Resource => plan::Subject::Resources,
    }
}

#[cold]
fn uncatalogued<'a, T: Topology>(view: &View, kind: CallKind, name: &'a str) -> Option<Route<'a>> {
    let length_max = if kind == CallKind::Resource { limits::URI_BYTES_MAX } else { limits::NAME_BYTES_MAX };
    if name.len() > length_max || !is_shown::<T>(view, kind, name) {
        return None;
    }
    let subject = subject(kind);
    // The most specific template decides, also where the view does not show it: a wider one would lead elsewhere.
    let mut templates = T::SPEC.templates.iter().filter(|_| kind == CallKind::Resource);
    let template = templates.find(|template| names::fills(template.uri_template, name));
    if template.is_some_and(|template| !view.shows(template.views)) {
        return None;
    }
    let mut wildcards = T::SPEC.wildcards.iter().filter(|wildcard| wildcard.subject == subject);
    let wildcard = wildcards.find(|wildcard| names::matches(&wildcard.pattern, name));
    let (backend, upstream) = match (wildcard, template) {
        (Some(wildcard), _) => (wildcard.backend, wildcard.upstream(name)?),
        (None, Some(template)) => (template.backend, name),
        (None, None) => return None,
    };
    // Of a name that no lock holds, and no template leads to, nobody knows who else has it.
    let fallbacks = template.filter(|own| own.backend == backend).map_or(&[][..], |own| own.fallbacks);
    Some(Route { backend, upstream, fallbacks, repeatable: false })
}

/// Whether a view shows a name that no list holds. A URI gets one verdict however it is spelled: its backend may decode
/// it. So do templates, of which the most specific one has to be shown under every spelling.
fn is_shown<T: Topology>(view: &View, kind: CallKind, name: &str) -> bool {
    if view.is_whole() {
        return true;
    }
    if kind != CallKind::Resource {
        return view.patterns.shows(name);
    }
    let uri = Uri::new(name);
    let template = T::SPEC.templates.iter().find(|template| uri.fills(template.uri_template));
    view.patterns.shows_unlisted(&uri) && template.is_none_or(|template| view.shows(template.views))
}
