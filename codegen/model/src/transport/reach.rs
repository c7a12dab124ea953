//! What transports have in common whose servers are reached by a URL: endpoints, authorities, the time to connect.

use super::Recorded;
use super::credentials::{AuthSettings, Credentials, auth_references};
use super::http_version::HttpVersion;
use super::proxy::Proxy;
use crate::address::{ProxyUrl, is_over_tls, is_websocket, leads_to};
use crate::check::{Check, Form};
use crate::decode::Entries;
use crate::diagnostic::{Code, quoted};
use crate::features::{HTTP2, TLS};
use crate::plan::{self, Reference};
use crate::rule::{InFile, Within};
use crate::topology::{Backend, Endpoint, HealthSettings, Millis, Optional, TIMEOUT};
use crate::traffic::ENDPOINTS_MAX;
use crate::url;
use crate::yaml::{Step, steps};

pub(super) const CONNECT_TIMEOUT: Within<Millis> = Within { noun: "connect timeout", ..TIMEOUT };

/// The rule for what names authorities.
pub(super) const AUTHORITIES: InFile = InFile { said: "authorities are" };

/// The rule for the URL of a proxy.
pub(super) const PROXY: ProxyUrl = ProxyUrl;

/// What the settings of such a transport say.
#[derive(Clone, Copy)]
pub(super) struct Reach<'a> {
    /// The key of the transport.
    pub(super) key: &'static str,
    /// Its URLs are those of WebSockets.
    pub(super) websocket: bool,
    pub(super) ca: Option<&'a Reference>,
    pub(super) connect_timeout: Option<Millis>,
    pub(super) http: HttpVersion,
    pub(super) headers: &'a Entries<Reference>,
    pub(super) auth: Option<&'a AuthSettings>,
    pub(super) proxy: Option<&'a Reference>,
    pub(super) proxy_auth: Option<&'a AuthSettings>,
}

// === impl Reach ===

impl<'a> Reach<'a> {
    /// Every check of a backend that is reached so.
    pub(super) fn check(self, name: &str, backend: &Backend, check: &mut Check<'_>) {
        check.some_endpoints(name, backend, self);
        check.scheme(name, backend, self);
        check.gateway_itself(name, backend);
        check.tls(name, backend, self);
        check.http_version(name, self);
        check.connect_timeout(name, backend, self);
        check.credentials(name, self);
        check.proxy(name, self);
        check.probe(name, backend, self);
    }

    /// What its URLs begin with, without and with TLS.
    fn schemes(self) -> [&'static str; 2] {
        if self.websocket { ["ws://", "wss://"] } else { ["http://", "https://"] }
    }

    /// The cargo features it needs.
    pub(super) fn needs(self, backend: &Backend) -> Vec<&'static str> {
        let tls = (over_tls(backend).is_some() || self.ca.is_some()).then_some(TLS);
        let http2 = (self.http == HttpVersion::Two).then_some(HTTP2);
        tls.into_iter().chain(http2).collect()
    }

    /// The values that may be left to the process.
    pub(super) fn references(self) -> Vec<(Vec<Step<'a>>, &'a Reference, Form)> {
        let ca = self.ca.map(|ca| (steps!["ca"].to_vec(), ca, Form::Any));
        let proxy = self.proxy.map(|proxy| (steps!["proxy"].to_vec(), proxy, Form::ProxyUrl));
        let of_proxy = proxy.into_iter().chain(auth_references("proxy_auth", self.proxy_auth));
        ca.into_iter().chain(self.credential_references()).chain(of_proxy).collect()
    }

    /// The places of a backend. Without one the topology is refused.
    pub(super) fn endpoints(backend: &Backend) -> plan::Table<plan::Endpoint> {
        backend.endpoints.iter().map(Endpoint::planned).collect::<Vec<_>>().into()
    }
}

/// What decides which server is reached.
pub(super) fn recorded(
    endpoints: &[plan::Endpoint],
    ca: Option<&Reference>,
    credentials: &Credentials,
    proxy: Option<&Proxy>,
) -> Vec<(&'static str, Recorded)> {
    let ca = ca.map(|ca| ("ca", Recorded::reference(ca)));
    // Behind another one, the same name may be another server.
    let proxy = proxy.map(|proxy| ("proxy", Recorded::reference(&proxy.url)));
    let place = match endpoints {
        [endpoint] => ("url", Recorded::reference(&endpoint.url)),
        several => ("urls", Recorded::List(several.iter().map(|endpoint| endpoint.url.to_string()).collect())),
    };
    [place].into_iter().chain(ca).chain(credentials.recorded()).chain(proxy).collect()
}

/// What may be left to the process that starts.
pub(super) fn planned_references<'a>(
    endpoints: &'a [plan::Endpoint],
    ca: Option<&'a Reference>,
    credentials: &'a Credentials,
    proxy: Option<&'a Proxy>,
) -> Vec<(String, &'a Reference)> {
    let ca = ca.map(|ca| ("authorities".to_owned(), ca));
    let proxy = proxy.into_iter().flat_map(Proxy::references);
    let urls = endpoints.iter().enumerate().map(|(index, endpoint)| {
        let name = if endpoints.len() == 1 { "url".to_owned() } else { format!("endpoints[{index}].url") };
        (name, &endpoint.url)
    });
    urls.chain(ca).chain(credentials.references()).chain(proxy).collect()
}

/// Where a server is that is reached so: the first place, and how many more there are.
pub(super) fn place(how: &str, endpoints: &[plan::Endpoint]) -> String {
    match endpoints {
        [] => how.trim_end().to_owned(),
        [only] => format!("{how}{}", only.url),
        [first, others @ ..] => format!("{how}{} and {} more", first.url, others.len()),
    }
}

/// The first endpoint that is reached over TLS.
fn over_tls(backend: &Backend) -> Option<usize> {
    let is_over_tls = |endpoint: &Endpoint| matches!(&endpoint.url, Reference::Literal(url) if is_over_tls(url));
    backend.endpoints.iter().position(is_over_tls)
}

// === impl Check ===

impl Check<'_> {
    fn some_endpoints(&mut self, name: &str, backend: &Backend, reach: Reach<'_>) {
        let place = || self.document.key(steps!["backends", name, "endpoints"]);
        let [scheme, _] = reach.schemes();
        match backend.endpoints.len() {
            1..=ENDPOINTS_MAX => {}
            // Endpoints that could not be read are a problem of their own.
            0 if !self.is_sound(steps!["backends", name, "endpoints"]) => {}
            0 => {
                let message = format!("backend `{name}` has no endpoint");
                let help = format!("write `endpoints: [{{ url: \"{scheme}…\" }}]`");
                let place = place();
                self.problems.error(Code::Endpoints, place, message).help(help);
            }
            count => {
                let message = format!("backend `{name}` has {count} endpoints, more than {ENDPOINTS_MAX}");
                let place = place();
                self.problems.error(Code::Endpoints, place, message).help("spread them over several backends");
            }
        }
    }

    /// Whether the URLs are some for this transport.
    fn scheme(&mut self, name: &str, backend: &Backend, reach: Reach<'_>) {
        for (index, endpoint) in backend.endpoints.iter().enumerate() {
            let Reference::Literal(url) = &endpoint.url else { continue };
            if is_websocket(url) != reach.websocket {
                let place = self.document.value(steps!["backends", name, "endpoints", index, "url"]);
                let [plain, tls] = reach.schemes();
                self.problems
                    .error(Code::InvalidUrl, place, format!("url {} is not one of `{}`", quoted(url), reach.key))
                    .label(format!("it begins with neither `{plain}` nor `{tls}`"));
            }
        }
    }

    /// Whether its endpoints can be asked so.
    fn probe(&mut self, name: &str, backend: &Backend, reach: Reach<'_>) {
        let asks = |health: &Optional<HealthSettings>| health.on().is_some_and(|health| health.http.is_some());
        let path = match &backend.health {
            Some(health) if asks(health) => steps!["backends", name, "health", "http"].to_vec(),
            None if asks(&self.topology.defaults.health) => steps!["defaults", "health", "http"].to_vec(),
            _ => return,
        };
        if reach.websocket {
            let message = format!("backend `{name}` is asked by HTTP, and reached by WebSocket");
            self.problems
                .error(Code::InvalidValue, self.document.key(&path), message)
                .help(format!("write `health: {{}}` for backend `{name}`: it is asked by `ping` or `server/discover`"));
        }
    }

    /// Whether a call would come back to the gateway.
    fn gateway_itself(&mut self, name: &str, backend: &Backend) {
        let mcp = steps!["listen", "mcp", "address"];
        let Reference::Literal(listener) = &self.topology.listen.mcp.address else { return };
        for (index, endpoint) in backend.endpoints.iter().enumerate() {
            let Reference::Literal(url) = &endpoint.url else { continue };
            let Ok(parts) = url::parse(url) else { continue };
            if !leads_to(&format!("{}:{}", parts.host, parts.port), listener) || !self.is_sound(mcp) {
                continue;
            }
            let place = self.document.value(steps!["backends", name, "endpoints", index, "url"]);
            let stated = self.document.has(mcp).then(|| self.document.value(mcp));
            let problem =
                self.problems.error(Code::GatewayItself, place, format!("backend `{name}` is this gateway itself"));
            problem.label("calls would come back").help("write the URL of the server behind it, or listen elsewhere");
            match stated {
                Some(stated) => problem.also(stated, "the gateway listens here"),
                None => problem.note(format!("the gateway listens on `{listener}` where no other address is written")),
            };
        }
    }

    /// Whether a connection may take as long as it says: the timeout of a call ends it as well.
    fn connect_timeout(&mut self, name: &str, backend: &Backend, reach: Reach<'_>) {
        let timeout = backend.timeout.unwrap_or(self.topology.defaults.timeout);
        // What is out of range has been reported.
        let longer = |connect: &Millis| *connect > timeout && CONNECT_TIMEOUT.range.contains(connect);
        let Some(connect) = reach.connect_timeout.filter(longer) else { return };
        let place = self.document.value(steps!["backends", name, "transport", reach.key, "connect_timeout"]);
        let message = format!("connect timeout `{connect}` of backend `{name}` is longer than a call may take");
        let (own, defaults) = (steps!["backends", name, "timeout"], steps!["defaults", "timeout"]);
        let stated: &[_] = if self.document.has(own) { own } else { defaults };
        if !self.is_sound(stated) {
            return;
        }
        let stated = self.document.has(stated).then(|| self.document.value(stated));
        let problem = self.problems.error(Code::ConnectTimeout, place, message);
        problem.help(format!("write at most `{timeout}`, or give the backend a longer `timeout`"));
        match stated {
            Some(place) => problem.also(place, "every call ends here"),
            None => problem.note(format!("calls may take `{timeout}` unless `timeout` says otherwise")),
        };
    }

    fn tls(&mut self, name: &str, backend: &Backend, reach: Reach<'_>) {
        if self.features.has(TLS) || !reach.needs(backend).contains(&TLS) {
            return;
        }
        let place = match over_tls(backend) {
            Some(index) => self.document.value(steps!["backends", name, "endpoints", index, "url"]),
            None => self.document.key(steps!["backends", name, "transport", reach.key, "ca"]),
        };
        self.problems
            .error(Code::TlsOff, place, format!("backend `{name}` needs TLS, which is not part of this build"))
            .help(self.features.remedy(self.topology));
    }
}
