//! Where a name leads: the compiled tables first, then templates and patterns for names that no list holds.

use only1mcp_model::names;

use crate::catalog::{Topology, plan};
use crate::limits;
use crate::mcp::method::CallKind;

/// The decision for one call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Route<'a> {
    /// Index of the backend.
    pub(crate) backend: u16,
    /// The name or URI it knows.
    pub(crate) upstream: &'a str,
}

/// Where a call goes; `None` for a name nobody offers.
#[inline]
pub(crate) fn route<'a, T: Topology>(kind: CallKind, name: &'a str) -> Option<Route<'a>> {
    let entry = match kind {
        CallKind::Tool => T::tool(name),
        CallKind::Prompt => T::prompt(name),
        CallKind::Resource => T::resource(name),
    };
    match entry {
        Some(entry) => Some(Route { backend: entry.backend, upstream: entry.upstream }),
        None => uncatalogued::<T>(kind, name),
    }
}

#[cold]
fn uncatalogued<T: Topology>(kind: CallKind, name: &str) -> Option<Route<'_>> {
    let length_max = if kind == CallKind::Resource { limits::URI_BYTES_MAX } else { limits::NAME_BYTES_MAX };
    if name.len() > length_max {
        return None;
    }
    let subject = match kind {
        CallKind::Tool => plan::Subject::Tools,
        CallKind::Prompt => plan::Subject::Prompts,
        CallKind::Resource => plan::Subject::Resources,
    };
    let wildcards = T::SPEC.wildcards.iter().filter(|wildcard| wildcard.subject == subject);
    for wildcard in wildcards {
        if names::matches(&wildcard.pattern, name) {
            return Some(Route { backend: wildcard.backend, upstream: wildcard.upstream(name) });
        }
    }
    if kind == CallKind::Resource {
        let template = T::SPEC.templates.iter().find(|template| names::fills(template.uri_template, name))?;
        return Some(Route { backend: template.backend, upstream: name });
    }
    None
}
