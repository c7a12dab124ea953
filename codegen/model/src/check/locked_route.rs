//! Whether routes lead to something, going by the lock: what no backend offers, and what is sent to one that has not.
//!
//! What routes are in themselves is checked in [`super::route`].

use super::Check;
use super::route::subject;
use crate::diagnostic::{Code, listed, quoted};
use crate::lock::{self, List, Lock, Marks, Section};
use crate::names::{common, matches};
use crate::plan::Subject;
use crate::resolve::{Catalog, Found};
use crate::topology::Route;
use crate::yaml::steps;

/// A backend of a route.
#[derive(Clone, Copy)]
struct Member<'t> {
    /// The position of the route.
    route: usize,
    /// Its own, among the backends of the route.
    position: usize,
    name: &'t str,
}

// === impl Check ===

impl Check<'_> {
    /// Every check of routes that needs a lock.
    pub(crate) fn locked_routes(&mut self, lock: &Lock, marks: &Marks, catalog: &Catalog) {
        let locked = |name: &str| lock.backends.contains_key(name);
        // What a backend without a section offers is not known: a route may well be for that.
        let known = self.topology.backends.names().all(locked);
        for (index, route) in self.topology.routes.iter().enumerate() {
            let Some((subject, key, pattern)) = subject(route) else { continue };
            let mut sections = route.to.names().filter_map(|name| lock.backends.get(name));
            if known && !is_offered(subject, pattern, catalog) && !sections.any(|to| is_open(subject, to)) {
                self.idle_route(index, (subject, key, pattern), catalog);
            }
            for (position, name) in route.to.names().enumerate() {
                let member = Member { route: index, position, name };
                self.denied(member, catalog);
                if let Some(section) = lock.backends.get(name) {
                    self.unserved((member, route), section, marks, catalog);
                    self.unlike((member, subject), section, lock, catalog);
                }
            }
        }
    }

    fn idle_route(&mut self, index: usize, route: (Subject, &str, &str), catalog: &Catalog) {
        let (subject, key, pattern) = route;
        let (noun, found) = listed_items(subject, catalog);
        let exact = !pattern.contains('*');
        let verb = if exact { "names" } else { "matches" };
        let place = self.document.value(steps!["routes", index, key]);
        let message = format!("route for {} {verb} no {noun} of the lock", quoted(pattern));
        let own = found.iter().find(|item| matches(pattern, &item.exposed.upstream));
        let names = found.iter().filter(|_| exact).map(|item| item.exposed.name.as_str());
        let near = self.problems.near_miss(Code::IdleRoute, pattern, names);
        let topology = self.choice;
        let problem = self.problems.warning(Code::IdleRoute, place, message);
        match (own, near) {
            (Some(own), _) => {
                let (backend, name) = (&own.origin, quoted(&own.exposed.upstream));
                problem.label(format!("{name} of backend `{backend}` is exposed as {}", quoted(&own.exposed.name)));
                problem.help("routes take the names that clients see, with their prefix")
            }
            (None, Some(near)) => problem.meant(near),
            (None, None) => problem.help(format!(
                "take the route out; when a server offers this now, write the lock again with `only1mcp topology lock {topology}`"
            )),
        };
    }

    /// Whether a backend of a route takes the tools that the route sends it from others.
    fn denied(&mut self, member: Member<'_>, catalog: &Catalog) {
        let name = member.name;
        let deny = self.topology.backends.get(name).map_or(&[][..], |to| &to.tools.deny);
        for item in member.sent_from_others(&catalog.tools) {
            let own = &item.exposed.upstream;
            let Some(rule) = deny.iter().position(|pattern| matches(pattern, own)) else { continue };
            let rule = self.document.value(steps!["backends", name, "tools", "deny", rule]);
            let place = self.document.value(&self.member_path(member.route, member.position));
            let message = format!("backend `{name}` denies tool {}, which this route sends it", quoted(own));
            self.problems
                .error(Code::Unserved, place, message)
                .label(format!("calls of {} would be refused", quoted(&item.exposed.name)))
                .also(rule, "denied here")
                .help("route it to another backend, narrow the pattern, or deny the tool where it comes from as well");
            return;
        }
    }

    /// Whether a backend of a route has what the route sends it from others.
    fn unserved(&mut self, (member, route): (Member<'_>, &Route), section: &Section, marks: &Marks, catalog: &Catalog) {
        let (noun, found, has) = match subject(route) {
            Some((Subject::Tools, _, _)) => ("tool", &catalog.tools, section.list(List::Tools)),
            Some((Subject::Prompts, _, _)) => ("prompt", &catalog.prompts, section.list(List::Prompts)),
            // URIs are one space: another backend may answer for one that it does not list.
            _ => return,
        };
        let (name, mut lacking) = (member.name, member.sent_from_others(found));
        lacking.retain(|item| lock::find(has, &item.exposed.upstream).is_none());
        let Some(first) = lacking.first() else { return };
        let plural = if lacking.len() == 1 { "" } else { "s" };
        let names = listed(lacking.iter().map(|item| item.exposed.upstream.as_str()));
        let message = format!("backend `{name}` has no {noun}{plural} {names}, which this route sends it");
        let (place, key) = (self.document.value(&self.member_path(member.route, member.position)), format!("{noun}s"));
        let pattern = self.document.value(steps!["routes", member.route, &key]);
        self.problems
            .error(Code::Unserved, place, message)
            .label(format!("not among its {noun}s in the lock"))
            .also(pattern, format!("matches {} of backend `{}`", quoted(&first.exposed.name), first.origin))
            .locked(marks.section(name))
            .help(format!(
                "route it to a backend that has it, narrow the pattern, or write the lock again with `only1mcp topology lock {}`",
                self.choice
            ));
    }

    /// Whether what clients are shown of a tool, or a prompt, is true of a backend of a route to several as well.
    fn unlike(&mut self, (member, subject): (Member<'_>, Subject), section: &Section, lock: &Lock, catalog: &Catalog) {
        let (noun, found, list, arguments) = match subject {
            Subject::Tools => ("tool", &catalog.tools, List::Tools, "inputSchema"),
            Subject::Prompts => ("prompt", &catalog.prompts, List::Prompts, "arguments"),
            Subject::Resources => return,
        };
        let shown = |item: &Found| lock::find(lock.backends.get(&item.origin)?.list(list), &item.exposed.upstream);
        let differs = |item: &&Found| match (shown(item), lock::find(section.list(list), &item.exposed.upstream)) {
            (Some(shown), Some(own)) => !shown.json.has_alike(&own.json, arguments),
            _ => false,
        };
        let mut sent = member.sent_from_others(found);
        sent.retain(|item| item.exposed.team.is_some() && differs(item));
        let Some(first) = sent.first() else { return };
        let plural = if sent.len() == 1 { "" } else { "s" };
        let names = listed(sent.iter().map(|item| item.exposed.upstream.as_str()));
        let message = format!(
            "backend `{}` takes other arguments for {noun}{plural} {names} than clients are shown",
            member.name
        );
        let place = self.document.value(&self.member_path(member.route, member.position));
        let label = format!("clients are shown {} as backend `{}` has it", quoted(&first.exposed.name), first.origin);
        self.problems.warning(Code::UnlikeBackends, place, message).label(label).help(format!(
            "bring the servers to one version and write the lock again with `only1mcp topology lock {}`, narrow the \
             pattern, or write `allow: [E0219]` when what fits one fits the other",
            self.choice
        ));
    }
}

// === impl Member ===

impl Member<'_> {
    /// What the route sends to it although another backend offers it.
    fn sent_from_others<'c>(&self, found: &'c [Found]) -> Vec<&'c Found> {
        found.iter().filter(|item| item.route == Some(self.route) && item.origin != self.name).collect()
    }
}

/// What clients see of a subject, and what one of it is called.
fn listed_items(subject: Subject, catalog: &Catalog) -> (&'static str, &[Found]) {
    match subject {
        Subject::Tools => ("tool", &catalog.tools),
        Subject::Prompts => ("prompt", &catalog.prompts),
        Subject::Resources => ("resource", &catalog.resources),
    }
}

/// Whether something that clients see, or can make from a template, matches a pattern.
fn is_offered(subject: Subject, pattern: &str, catalog: &Catalog) -> bool {
    let mut templates = catalog.templates.iter().filter(|_| subject == Subject::Resources);
    listed_items(subject, catalog).1.iter().any(|item| matches(pattern, &item.exposed.name))
        || templates.any(|template| common(pattern, &shape(&template.exposed.name)).is_some())
}

/// Whether a backend may have more of a subject than it lists: resources, when it lists none at all.
fn is_open(subject: Subject, section: &Section) -> bool {
    subject == Subject::Resources
        && section.resources.is_empty()
        && section.templates.is_empty()
        && section.capabilities.tree().member("resources").is_some()
}

/// A URI template as a pattern: every expression may become anything.
fn shape(template: &str) -> String {
    let mut shape = String::new();
    let mut rest = template;
    while let Some((literal, expression)) = rest.split_once('{') {
        shape.push_str(literal);
        shape.push('*');
        rest = expression.split_once('}').map_or("", |(_, rest)| rest);
    }
    shape + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_of_a_template_takes_anything_for_an_expression() {
        for (template, expected) in [
            ("data://{id}", "data://*"),
            ("{+path}/x{?a,b}", "*/x*"),
            ("data://one", "data://one"),
            ("data://{open", "data://*"),
            ("a}b", "a}b"),
        ] {
            assert_eq!(shape(template), expected);
        }
    }
}
