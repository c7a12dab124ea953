//! Where a name leads: the compiled tables first, then templates and patterns for names that no list holds.

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
    if name.len() > length_max || !view.patterns.shows(name) {
        return None;
    }
    let subject = match kind {
        CallKind::Tool => plan::Subject::Tools,
        CallKind::Prompt => plan::Subject::Prompts,
        CallKind::Resource => plan::Subject::Resources,
    };
    // The most specific template decides, also where the view does not show it: a wider one would lead elsewhere.
    let mut templates = T::SPEC.templates.iter().filter(|_| kind == CallKind::Resource);
    let template = templates.find(|template| fills(template.uri_template, name));
    if template.is_some_and(|template| !view.shows(template.views)) {
        return None;
    }
    let mut wildcards = T::SPEC.wildcards.iter().filter(|wildcard| wildcard.subject == subject);
    let wildcard = wildcards.find(|wildcard| only1mcp_model::names::matches(&wildcard.pattern, name));
    let (backend, upstream) = match (wildcard, template) {
        (Some(wildcard), _) => (wildcard.backend, name.strip_prefix(&*wildcard.prefix).unwrap_or(name)),
        (None, Some(template)) => (template.backend, name),
        (None, None) => return None,
    };
    // Of a name that no lock holds, and no template leads to, nobody knows who else has it.
    let fallbacks = template.filter(|own| own.backend == backend).map_or(&[][..], |own| own.fallbacks);
    Some(Route { backend, upstream, fallbacks, repeatable: false })
}

/// Whether a URI can come of a template (RFC 6570): it has the template's literal parts in order, and something in the
/// place of every expression. Which values the expressions take is the backend's to judge.
fn fills(template: &str, uri: &str) -> bool {
    let mut parts = template.split('{');
    let Some(mut rest) = uri.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let Some((_expression, literal)) = part.split_once('}') else { return false };
        let after_expression = match parts.peek() {
            None => rest.strip_suffix(literal).filter(|value| !value.is_empty()).map(|_| ""),
            Some(_) => rest.char_indices().skip(1).find_map(|(at, _)| rest[at..].strip_prefix(literal)),
        };
        let Some(after_expression) = after_expression else { return false };
        rest = after_expression;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::fills;

    #[test]
    fn a_template_matches_what_it_can_expand_to() {
        for (template, uri, expected) in [
            ("data://tables/{table}", "data://tables/planets", true),
            ("data://tables/{table}", "data://tables/", false),
            ("data://tables/{table}/rows/{row}", "data://tables/planets/rows/3", true),
            ("data://tables/{table}/rows/{row}", "data://tables/planets", false),
            ("data://tables/{table}/rows", "data://tables/planets/rows", true),
            ("data://tables/{table}/rows", "data://tables/planets/rows/3", false),
            ("test://template/{id}/data", "test://template/123/data", true),
            ("file:///{path}", "http://evil/", false),
            ("plain://x", "plain://x", true),
            ("plain://x", "plain://xy", false),
            ("broken://{x", "broken://y", false),
        ] {
            assert_eq!(fills(template, uri), expected, "{template} {uri}");
        }
    }
}
