//! `streamable_http`: a server reached by HTTP.

use super::{Planned, Recorded, Settings};
use crate::TLS;
use crate::address::{check_url, is_https};
use crate::check::{Check, timeout_bounds};
use crate::constant::constant;
use crate::decode::record;
use crate::diagnostic::{Code, quoted};
use crate::plan::Reference;
use crate::topology::{Backend, Millis};
use crate::yaml::{Step, steps};

record! {
    /// A server reached by Streamable HTTP.
    default struct StreamableHttpSettings: "a streamable_http transport" {
        /// `file:PATH` of authorities to trust beside those of the system, in PEM.
        ca: Option<Reference> = None,
        /// How long a connection has to come up, TLS included; `5s` without it.
        connect_timeout: Option<Millis> = None,
    }
}

constant! {
    /// A server reached by Streamable HTTP.
    pub struct StreamableHttp {
        /// `http://` or `https://` URL of its MCP endpoint, or `env:NAME`.
        pub url: Reference,
        /// A PEM file of authorities to trust beside those of the system.
        pub ca: Option<Reference>,
        /// How long a connection has to come up in milliseconds, where the topology says it.
        pub connect_timeout_ms: Option<u64>,
    }
}

// === impl StreamableHttpSettings ===

impl Settings for StreamableHttpSettings {
    type Planned = StreamableHttp;
    const EXAMPLE: &'static str = "streamable_http: {}";

    fn check(&self, name: &str, backend: &Backend, check: &mut Check<'_>) {
        check.one_endpoint(name, backend);
        check.authorities(name, self);
        check.tls(name, backend, self);
        check.connect_timeout(name, backend, self);
    }

    fn planned(&self, backend: &Backend) -> StreamableHttp {
        StreamableHttp {
            // Without an endpoint the topology is refused.
            url: backend.endpoints.first().map_or(Reference::Literal("".into()), |endpoint| endpoint.url.clone()),
            ca: self.ca.clone(),
            connect_timeout_ms: self.connect_timeout.map(|timeout| timeout.0),
        }
    }
}

// === impl StreamableHttp ===

impl Planned for StreamableHttp {
    fn recorded(&self) -> Vec<(&'static str, Recorded)> {
        let ca = self.ca.as_ref().map(|ca| ("ca", Recorded::reference(ca)));
        [("url", Recorded::reference(&self.url))].into_iter().chain(ca).collect()
    }

    fn place(&self) -> String {
        format!("http   {}", self.url)
    }

    fn connect_timeout_ms(&self) -> Option<u64> {
        self.connect_timeout_ms
    }
}

// === impl Check ===

impl Check<'_> {
    fn one_endpoint(&mut self, name: &str, backend: &Backend) {
        match &backend.endpoints[..] {
            [endpoint] => self.url(name, &endpoint.url),
            // Endpoints that could not be read are a problem of their own.
            [] if self.document.has(steps!["backends", name, "endpoints", 0]) => {}
            endpoints => {
                let place = self.document.key(steps!["backends", name, "endpoints"]);
                let message = format!("backend `{name}` has {} endpoints where one belongs", endpoints.len());
                self.problems.error(Code::Endpoints, place, message).help("write `endpoints: [{ url: \"http://…\" }]`");
            }
        }
    }

    fn url(&mut self, name: &str, url: &Reference) {
        let path = steps!["backends", name, "endpoints", 0, "url"];
        match url {
            Reference::Env(_) => {}
            Reference::File(_) => {
                let message = "url is not read from files".to_owned();
                self.invalid(Code::InvalidUrl, path, message, "write it, or `env:NAME`");
            }
            Reference::Literal(url) => {
                if let Err(why) = check_url(url) {
                    let message = format!("url {} is not that of an endpoint", quoted(url));
                    self.invalid(Code::InvalidUrl, path, message, why);
                }
            }
        }
    }

    fn authorities(&mut self, name: &str, http: &StreamableHttpSettings) {
        if matches!(http.ca, Some(Reference::Literal(_) | Reference::Env(_))) {
            let path = steps!["backends", name, "transport", "streamable_http", "ca"];
            self.invalid(Code::InvalidValue, path, "authorities are read from a file".to_owned(), "write `file:PATH`");
        }
    }

    /// Whether a connection may take as long as it says: the timeout of a call ends it as well.
    fn connect_timeout(&mut self, name: &str, backend: &Backend, http: &StreamableHttpSettings) {
        let Some(connect) = http.connect_timeout else { return };
        let path = steps!["backends", name, "transport", "streamable_http", "connect_timeout"];
        let place = self.document.value(path);
        if !timeout_bounds(place, connect, self.problems) {
            return;
        }
        let timeout = backend.timeout.unwrap_or(self.topology.defaults.timeout);
        if connect <= timeout {
            return;
        }
        let message = format!("connect timeout {connect} of backend `{name}` is longer than a call may take");
        let place_of = |path: &[Step<'_>]| self.document.has(path).then(|| self.document.value(path));
        let own = place_of(steps!["backends", name, "timeout"]);
        let stated = own.or_else(|| place_of(steps!["defaults", "timeout"]));
        let problem = self.problems.error(Code::ConnectTimeout, place, message);
        problem.help(format!("write at most {timeout}, or give the backend a longer `timeout`"));
        match stated {
            Some(place) => problem.also(place, "every call ends here"),
            None => problem.note(format!("calls may take {timeout} unless `timeout` says otherwise")),
        };
    }

    fn tls(&mut self, name: &str, backend: &Backend, http: &StreamableHttpSettings) {
        let https = matches!(&backend.endpoints[..], [endpoint, ..]
            if matches!(&endpoint.url, Reference::Literal(url) if is_https(url)));
        if self.features.has(TLS) || !(https || http.ca.is_some()) {
            return;
        }
        let place = if https {
            self.document.value(steps!["backends", name, "endpoints", 0, "url"])
        } else {
            self.document.key(steps!["backends", name, "transport", "streamable_http", "ca"])
        };
        self.problems
            .error(Code::TlsOff, place, format!("backend `{name}` needs TLS, which is not part of this build"))
            .help("build with `--features tls`");
    }
}
