//! What makes a topology wrong although every value has its type: one function for each kind of problem.
//!
//! Here are the checks of the topology's own settings. Those of one backend are in [`backend`], of routes in [`route`], of
//! fallbacks in [`fallback`],
//! of the lock in [`lock`], of what clients would see in [`exposure`] and, of that, in [`view`]s.

mod backend;
mod exposure;
mod fallback;
mod lock;
mod route;
mod view;

use crate::Features;
use crate::address::{check_address, check_host, check_origin};
use crate::diagnostic::{Code, Problems, quoted};
use crate::plan::Reference;
use crate::topology::{Millis, Names, Topology};
use crate::yaml::Place;
use crate::yaml::{Document, Step, steps};

pub(crate) use route::subject;

/// The longest name of a topology.
const NAME_CHARS_MAX: usize = 32;
/// The longest name of a backend.
const BACKEND_CHARS_MAX: usize = 24;
/// The longest separator.
const SEPARATOR_CHARS_MAX: usize = 8;

/// A topology under check.
pub(crate) struct Check<'a> {
    /// Its text, to point at.
    pub(crate) document: &'a Document<'a>,
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
        self.topology_name();
        self.listener();
        self.name_rules();
        self.bounds();
        self.backend_names();
        self.backends();
        self.routes();
        self.unreachable_routes();
        self.views();
        self.fallbacks();
    }

    pub(crate) fn invalid(&mut self, code: Code, path: &[Step<'_>], message: String, why: &str) {
        self.problems.error(code, self.document.value(path), message).label(why);
    }

    fn topology_name(&mut self) {
        let name = &self.topology.name;
        if !is_plain(name, NAME_CHARS_MAX) {
            let message = format!("name {} is not 1 to {NAME_CHARS_MAX} of `a` to `z`, `0` to `9`, `-`", quoted(name));
            self.invalid(Code::InvalidName, steps!["name"], message, "");
        }
    }

    fn listener(&mut self) {
        let mcp = &self.topology.listen.mcp;
        match &mcp.address {
            Reference::Env(_) => {}
            Reference::File(_) => {
                let message = "address is not read from files".to_owned();
                self.invalid(
                    Code::InvalidListen,
                    steps!["listen", "mcp", "address"],
                    message,
                    "write it, or `env:NAME`",
                );
            }
            Reference::Literal(address) => {
                if let Err(why) = check_address(address) {
                    let message = format!("address {} cannot be listened on", quoted(address));
                    self.invalid(Code::InvalidListen, steps!["listen", "mcp", "address"], message, why);
                }
            }
        }
        if !mcp.path.starts_with('/') || !mcp.path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#')) {
            let message = format!("path {} is not that of a URL", quoted(&mcp.path));
            self.invalid(Code::InvalidListen, steps!["listen", "mcp", "path"], message, "a path begins with `/`");
        }
        for (index, origin) in mcp.origins.iter().enumerate() {
            if let Err(why) = check_origin(origin) {
                let message = format!("origin {} is none that a browser sends", quoted(origin));
                self.invalid(Code::InvalidListen, steps!["listen", "mcp", "origins", index], message, why);
            }
        }
        for (index, host) in mcp.hosts.iter().enumerate() {
            if let Err(why) = check_host(host) {
                let message = format!("host {} is not a host name", quoted(host));
                self.invalid(Code::InvalidListen, steps!["listen", "mcp", "hosts", index], message, why);
            }
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
            Names::None => {}
            Names::Prefixed(prefixed) => {
                let separator = &prefixed.separator;
                let legal = separator.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
                if !legal || separator.is_empty() || separator.len() > SEPARATOR_CHARS_MAX {
                    let message = format!("separator {} is not 1 to 8 letters, digits, `_`, `-`", quoted(separator));
                    self.invalid(Code::InvalidValue, steps!["names", "separator"], message, "");
                }
                if !(48..=128).contains(&prefixed.max_length) {
                    let message = format!("name length {} is not between 48 and 128", prefixed.max_length);
                    self.invalid(Code::InvalidValue, steps!["names", "max_length"], message, "");
                }
            }
        }
    }

    fn bounds(&mut self) {
        let timeout = self.topology.defaults.timeout;
        self.timeout_bounds(steps!["defaults", "timeout"], timeout);
        let catalog = &self.topology.catalog;
        if !(1..=10_000).contains(&catalog.page_items) {
            let message = format!("page of {} items is not between 1 and 10000", catalog.page_items);
            self.invalid(Code::InvalidValue, steps!["catalog", "page_items"], message, "");
        }
        if catalog.ttl > Millis(24 * 3_600_000) {
            self.invalid(Code::InvalidValue, steps!["catalog", "ttl"], "time to live is over `24h`".to_owned(), "");
        }
    }

    fn timeout_bounds(&mut self, path: &[Step<'_>], timeout: Millis) {
        timeout_bounds(self.document.value(path), timeout, self.problems);
    }

    fn backend_names(&mut self) {
        let separator = match &self.topology.names {
            Names::None => None,
            Names::Prefixed(prefixed) => Some(prefixed.separator.as_str()).filter(|separator| !separator.is_empty()),
        };
        for name in self.topology.backends.names() {
            let place = self.document.key(steps!["backends", name]);
            if !is_plain(name, BACKEND_CHARS_MAX) {
                let message =
                    format!("backend {} is not 1 to {BACKEND_CHARS_MAX} of `a` to `z`, `0` to `9`, `-`", quoted(name));
                self.problems.error(Code::InvalidName, place, message);
            } else if let Some(separator) = separator.filter(|separator| name.contains(separator)) {
                let message = format!("backend `{name}` contains the separator `{separator}`");
                self.problems.error(Code::InvalidName, place, message);
            }
        }
        if self.topology.backends.names().next().is_none() {
            let place = self.document.key(steps!["backends"]);
            self.problems.error(Code::InvalidValue, place, "topology without backends");
        }
    }
}

fn is_plain(name: &str, chars_max: usize) -> bool {
    (1..=chars_max).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Whether a timeout is one a call can have; reports it otherwise.
pub(crate) fn timeout_bounds(place: Place, timeout: Millis, problems: &mut Problems) -> bool {
    let within = (Millis(1)..=Millis(600_000)).contains(&timeout);
    if !within {
        problems.error(Code::InvalidValue, place, "timeout is not between `1ms` and `10m`");
    }
    within
}
