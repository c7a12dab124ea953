//! Under which names a listener may be asked, and by which pages. Every listener asks here; what a request may do
//! besides is its own affair.

use crate::http1::Field;

/// The names of a listener and the pages that may use it, beside loopback ones.
#[derive(Debug)]
pub(crate) struct Site {
    /// Without port, lower case.
    hosts: Vec<String>,
    /// Every name is meant for this listener.
    any_host: bool,
    origins: Vec<String>,
}

/// A request that was meant for someone else, or made by a page of someone else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// By its `Host`.
    Host,
    /// By its `Origin`.
    Origin,
}

// === impl Site ===

impl Site {
    pub(crate) fn new(hosts: Vec<String>, origins: Vec<String>) -> Self {
        Self { hosts: hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect(), any_host: false, origins }
    }

    /// That of a listener on a Unix socket. No page makes a name point there, so that any will do; where names are
    /// written, they are those of a proxy in front, of which that may be untrue.
    pub(crate) fn on_socket(hosts: Vec<String>, origins: Vec<String>) -> Self {
        let any_host = hosts.is_empty();
        Self { any_host, ..Self::new(hosts, origins) }
    }

    /// Checks what a head says of whom it was made for and where.
    pub(crate) fn check(&self, host: Field<'_>, origin: Field<'_>, fetch_site: Field<'_>) -> Result<(), Foreign> {
        self.check_host(host)?;
        self.check_origin(origin, fetch_site)
    }

    /// DNS rebinding: a page that made its own name point here still sends that name.
    fn check_host(&self, host: Field<'_>) -> Result<(), Foreign> {
        let Ok(host) = std::str::from_utf8(host.value) else { return Err(Foreign::Host) };
        // HTTP/1.0 may come without one.
        if host.is_empty() || self.is_allowed_host(host) { Ok(()) } else { Err(Foreign::Host) }
    }

    fn is_allowed_host(&self, host: &str) -> bool {
        let name = without_port(host);
        self.any_host || is_loopback(name) || self.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
    }

    fn check_origin(&self, origin: Field<'_>, fetch_site: Field<'_>) -> Result<(), Foreign> {
        // A page's simple request without `Origin` still says that it crosses sites.
        if fetch_site.count > 0 && fetch_site.value == b"cross-site" && origin.count == 0 {
            return Err(Foreign::Origin);
        }
        if origin.count == 0 {
            return Ok(());
        }
        let origin = origin.once().and_then(|origin| std::str::from_utf8(origin).ok()).ok_or(Foreign::Origin)?;
        let loopback = origin
            .split_once("://")
            .is_some_and(|(scheme, host)| matches!(scheme, "http" | "https") && is_loopback(without_port(host)));
        if loopback || self.origins.iter().any(|allowed| allowed == origin) { Ok(()) } else { Err(Foreign::Origin) }
    }
}

/// The name in `host[:port]`; an IPv6 address keeps its brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    }
}

fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || name == "[::1]"
}
