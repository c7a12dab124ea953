//! What makes a topology wrong although every value has its type: one function for each kind of problem.
//!
//! Here are the checks of the topology's own settings. Those of the listeners are in [`listen`], of one backend in
//! [`backend`], of routes in [`route`], of the lock in [`lock`], of routes with a lock in [`locked_route`], of what
//! clients would see in [`exposure`] and, of that, in [`view`]s, of calls that become one in [`coalesce`], or are made a second time in [`hedge`], of [`fallback`]s, of what names stand for in [`name`], of
//! values left to the process in [`mod@reference`], of what a [`list`] holds needlessly.

mod backend;
mod coalesce;
mod exposure;
mod fallback;
mod hedge;
mod list;
mod listen;
mod lock;
mod locked_route;
mod name;
mod reference;
mod route;
mod view;

use crate::Features;
use crate::diagnostic::{Code, Problems};
use crate::plan::Reference;
use crate::topology::{BACKEND_NAME, Names, Topology};
use crate::yaml::{Document, Step, steps};

pub(crate) use reference::Form;
pub(crate) use route::subject;

/// A topology under check.
pub(crate) struct Check<'a> {
    /// Its text, to point at.
    pub(crate) document: &'a Document<'a>,
    /// What commands call it, see [`crate::Source::choice`].
    pub(crate) choice: &'a str,
    /// Its types.
    pub(crate) topology: &'a Topology,
    /// What was found.
    pub(crate) problems: &'a mut Problems,
    /// What the build in hand can carry.
    pub(crate) features: &'a Features,
}

// === impl Check ===

impl Check<'_> {
    /// Every check that needs nothing but the topology.
    pub(crate) fn topology(&mut self) {
        self.mcp_listener();
        self.admin_listener();
        self.seal_key();
        self.name_rules();
        self.backend_names();
        self.ambiguous_prefixes();
        self.transparent_names();
        self.backends();
        self.routes();
        self.unreachable_routes();
        self.overlapping_routes();
        self.views();
        self.fallbacks();
        self.hedges();
        self.repeated_items();
    }

    /// Whether what is written at a path, if anything, is as it reads: what has an error, or something else in its place,
    /// is followed by others as soon as it is judged.
    pub(crate) fn is_sound(&self, path: &[Step<'_>]) -> bool {
        self.document.span(path).is_none_or(|places| !self.problems.has_error_in(places))
    }

    pub(crate) fn invalid(&mut self, code: Code, path: &[Step<'_>], message: String, why: &str) {
        self.problems.error(code, self.document.value(path), message).label(why);
    }

    fn seal_key(&mut self) {
        if let Some(Reference::Literal(_)) = self.topology.sessions.seal_key {
            let place = self.document.value(steps!["sessions", "seal_key"]);
            self.problems
                .error(Code::LiteralSecret, place, "secret among the session settings")
                .label("a key is never written into a topology")
                .help("write `env:ONLY1MCP_SEAL_KEY`, or `file:PATH`: the gateway reads it when it starts");
        }
    }

    fn name_rules(&mut self) {
        let backends = self.topology.backends.names().count();
        match &self.topology.names {
            Names::None if backends > 1 => {
                self.problems
                    .error(
                        Code::NamesNone,
                        self.document.value(steps!["names"]),
                        format!("`names: none` with {backends} backends"),
                    )
                    .label("exposes names as one backend has them")
                    .help("write `names: { separator: \"__\" }`, or leave `names` out");
            }
            Names::None | Names::Prefixed(_) => {}
        }
    }

    fn backend_names(&mut self) {
        let separator = match &self.topology.names {
            Names::None => None,
            Names::Prefixed(prefixed) => Some(prefixed.separator.as_str()).filter(|separator| !separator.is_empty()),
        };
        for name in self.topology.backends.names() {
            // What is no name at all has been reported.
            if let Some(separator) = separator.filter(|at| BACKEND_NAME.holds(name) && name.contains(at)) {
                let message = format!("backend `{name}` contains the separator `{separator}`");
                let help = "name it otherwise, or write another `separator` under `names`";
                self.problems.error(Code::InvalidName, self.document.key(steps!["backends", name]), message).help(help);
            }
        }
    }
}
