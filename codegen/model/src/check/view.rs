//! Whether views can be served, and whether they show what their author meant.

use super::Check;
use crate::diagnostic::{Code, quoted};
use crate::lock::Lock;
use crate::names::{expose, matches};
use crate::plan::View;
use crate::resolve::{self, Catalog, Found, is_denied};
use crate::tokens::tokens;
use crate::topology::Tokens;
use crate::yaml::steps;

/// How many backends a view over its budget is blamed on.
const BLAMED_MAX: usize = 3;

// === impl Check ===

impl Check<'_> {
    /// Every check of the views that needs no lock.
    pub(super) fn views(&mut self) {
        self.view_paths();
        self.view_count();
    }

    /// Every check of what views show of a locked catalog.
    pub(crate) fn view_contents(&mut self, lock: &Lock, catalog: &Catalog) {
        // A backend that is refused has nothing in the catalog: what it would have there is not known.
        if self.topology.backends.names().count() > self.topology.backends.len() || self.topology.backends.is_empty() {
            return;
        }
        for view in resolve::views(self.topology) {
            self.unused_view_patterns(&view, lock, catalog);
            self.empty_view(&view, catalog);
            self.budget(&view, catalog);
        }
    }

    fn view_paths(&mut self) {
        for name in self.topology.views.names() {
            if self.topology.backends.names().any(|backend| backend == name) {
                let (place, backend) =
                    (self.document.key(steps!["views", name]), self.document.key(steps!["backends", name]));
                self.problems
                    .error(Code::ViewLikeBackend, place, format!("view {} is named like a backend", quoted(name)))
                    .label("its path is that of the backend alone")
                    .also(backend, "the backend")
                    .help(format!("name the view otherwise, such as `{name}-view`"));
            }
        }
    }

    fn view_count(&mut self) {
        let (count, count_max) = (self.topology.views.names().count(), View::COUNT_MAX);
        if count > count_max {
            self.problems
                .error(
                    Code::TooManyViews,
                    self.document.key(steps!["views"]),
                    format!("{count} views are over the limit of {count_max}"),
                )
                .help("leave out those that no client uses, or build a second gateway from another topology");
        }
    }

    fn unused_view_patterns(&mut self, view: &View, lock: &Lock, catalog: &Catalog) {
        let names: Vec<&str> = catalog.all().map(|found| found.exposed.name.as_str()).collect();
        for (key, patterns) in [("include", &view.include), ("exclude", &view.exclude)] {
            for (index, pattern) in patterns.iter().enumerate() {
                let path = steps!["views", &*view.name, key, index];
                if names.iter().any(|name| matches(pattern, name)) || !self.is_sound(path) {
                    continue;
                }
                let place = self.document.value(path);
                let message = format!("pattern {} of view `{}` matches nothing", quoted(pattern), view.name);
                let candidates = names.iter().copied().filter(|_| !pattern.contains('*'));
                let near = self.problems.near_miss(Code::UnusedViewPattern, pattern, candidates);
                let otherwise = self.exposed_otherwise(pattern, catalog).or_else(|| self.denied_tool(pattern, lock));
                let problem = self.problems.warning(Code::UnusedViewPattern, place, message);
                match (otherwise, near) {
                    (Some(otherwise), _) => problem.label(otherwise),
                    (None, Some(near)) => problem.meant(near),
                    (None, None) => problem,
                };
                let example = names.first().map_or_else(String::new, |name| format!(" such as {}", quoted(name)));
                problem.help(format!("patterns are about exposed names{example}; `*` is any run of characters"));
            }
        }
    }

    /// What a pattern matches by its own name, or by the one it would have if no rule renamed it.
    fn exposed_otherwise(&self, pattern: &str, catalog: &Catalog) -> Option<String> {
        let found = catalog.all().find(|found| self.is_meant(pattern, &found.origin, &found.exposed.upstream))?;
        let (own, name) = (quoted(&found.exposed.upstream), quoted(&found.exposed.name));
        Some(format!("{own} of backend `{}` is exposed as {name}", found.origin))
    }

    /// What a pattern matches of the tools that their backends deny.
    fn denied_tool(&self, pattern: &str, lock: &Lock) -> Option<String> {
        self.topology.backends.iter().find_map(|(name, backend)| {
            let tools = &lock.backends.get(name)?.tools;
            let mut denied = tools.iter().filter(|tool| is_denied(&backend.tools, &tool.name));
            let tool = denied.find(|tool| self.is_meant(pattern, name, &tool.name))?;
            Some(format!("backend `{name}` denies its tool {}", quoted(&tool.name)))
        })
    }

    fn is_meant(&self, pattern: &str, backend: &str, own: &str) -> bool {
        matches(pattern, own) || matches(pattern, &expose(&self.topology.names, backend, own))
    }

    fn empty_view(&mut self, view: &View, catalog: &Catalog) {
        let path = steps!["views", &*view.name];
        if !catalog.all().any(|found| view.shows(&found.exposed.name)) && self.is_sound(path) {
            let place = self.document.key(path);
            self.problems
                .error(Code::EmptyView, place, format!("view `{}` shows nothing", view.name))
                .label("of everything in the lock")
                .help("write patterns of exposed names into `include`, such as `memory__*`, or leave the view out");
        }
    }

    fn budget(&mut self, view: &View, catalog: &Catalog) {
        let stated = self.topology.views.get(&view.name).and_then(|view| view.budget);
        let Some(Tokens(budget)) = stated else { return };
        let shown = || catalog.tools.iter().filter(|tool| view.shows(&tool.exposed.name));
        let total: usize = shown().map(|tool| tokens(&tool.exposed)).sum();
        if total <= budget {
            return;
        }
        let mut blamed: Vec<(usize, usize, &str)> = Vec::new();
        for name in self.topology.backends.names() {
            let own: Vec<&Found> = shown().filter(|tool| tool.origin == name).collect();
            blamed.push((own.iter().map(|tool| tokens(&tool.exposed)).sum(), own.len(), name));
        }
        blamed.sort_by_key(|(tokens, ..)| std::cmp::Reverse(*tokens));
        let phrase = |(tokens, tools, name): &(usize, usize, &str)| match tools {
            1 => format!("{tokens} from one tool of `{name}`"),
            _ => format!("{tokens} from {tools} tools of `{name}`"),
        };
        let blamed: Vec<String> = blamed.iter().filter(|own| own.0 > 0).take(BLAMED_MAX).map(phrase).collect();
        let place = self.document.value(steps!["views", &*view.name, "budget"]);
        self.problems
            .error(Code::OverBudget, place, format!("tools of view `{}` take about {total} tokens", view.name))
            .label(format!("{} more than this", total - budget))
            .help("exclude tools that its clients do not need, or raise the budget")
            .note(format!("most tokens: {}", blamed.join(", ")));
    }
}
