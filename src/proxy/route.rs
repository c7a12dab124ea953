//! Where a name leads: the compiled tables first, then templates and patterns for names that no list holds.

use only1mcp_model::names;
use only1mcp_model::uri::Uri;

use crate::catalog::{Topology, View, plan};
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

#[cold]
fn uncatalogued<'a, T: Topology>(view: &View, kind: CallKind, name: &'a str) -> Option<Route<'a>> {
    let length_max = if kind == CallKind::Resource { limits::URI_BYTES_MAX } else { limits::NAME_BYTES_MAX };
    if name.len() > length_max || !is_shown::<T>(view, kind, name) {
        return None;
    }
    let subject = match kind {
        CallKind::Tool => plan::Subject::Tools,
        CallKind::Prompt => plan::Subject::Prompts,
        CallKind::Resource => plan::Subject::Resources,
    };
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
