//! `streamable_http`: a server reached by HTTP.

use super::credentials::{AuthSettings, Credentials, HEADERS};
use super::http_version::HttpVersion;
use super::proxy::Proxy;
use super::reach::{self, AUTHORITIES, CONNECT_TIMEOUT, PROXY, Reach};
use super::{Planned, Recorded, Settings};
use crate::check::{Check, Form};
use crate::constant::constant;
use crate::decode::{Entries, record};
use crate::plan::{Endpoint, Reference, Table};
use crate::topology::{Backend, Millis};
use crate::yaml::Step;

record! {
    /// A server reached by Streamable HTTP.
    default struct StreamableHttpSettings: "a streamable_http transport" {
        /// `file:PATH` of authorities to trust beside those of the system, in PEM.
        ca: Option<Reference> where AUTHORITIES = None,
        /// How long a connection has to come up, proxy and TLS included; `5s` without it.
        connect_timeout: Option<Millis> where CONNECT_TIMEOUT = None,
        /// Which version of HTTP it is spoken to in.
        http: HttpVersion = HttpVersion::Auto,
        /// Fields that every request carries: text, `env:NAME` or `file:PATH`.
        headers: Entries<Reference> where HEADERS = Entries::default(),
        /// Who the gateway is towards the server.
        auth: Option<AuthSettings> = None,
        /// `http://HOST:PORT` of a proxy that connections go through, or `env:NAME`.
        proxy: Option<Reference> where PROXY = None,
        /// Who the gateway is towards the proxy.
        proxy_auth: Option<AuthSettings> = None,
    }
}

constant! {
    /// A server reached by Streamable HTTP.
    pub struct StreamableHttp {
        /// Where it is: at least one place.
        pub endpoints: Table<Endpoint>,
        /// A PEM file of authorities to trust beside those of the system.
        pub ca: Option<Reference>,
        /// How long a connection has to come up in milliseconds, where the topology says it.
        pub connect_timeout_ms: Option<u64>,
        /// Which version of HTTP it is spoken to in.
        pub http: HttpVersion,
        /// What the server is shown with every request.
        pub credentials: Credentials,
        /// The proxy that connections go through.
        pub proxy: Option<Proxy>,
    }
}

// === impl StreamableHttpSettings ===

impl Settings for StreamableHttpSettings {
    type Planned = StreamableHttp;
    const EXAMPLE: &'static str = "streamable_http: {}";
    const SNIPPET: &'static str =
        r#"{"transport":{"streamable_http":"^{}"},"endpoints":[{"url":"${2:http://127.0.0.1:9000/mcp}"}]}"#;

    fn check(&self, name: &str, backend: &Backend, check: &mut Check<'_>) {
        self.reach().check(name, backend, check);
    }

    fn references(&self) -> Vec<(Vec<Step<'_>>, &Reference, Form)> {
        self.reach().references()
    }

    fn needs(&self, backend: &Backend) -> Vec<&'static str> {
        self.reach().needs(backend)
    }

    fn planned(&self, backend: &Backend) -> StreamableHttp {
        StreamableHttp {
            endpoints: Reach::endpoints(backend),
            ca: self.ca.clone(),
            connect_timeout_ms: self.connect_timeout.map(|timeout| timeout.0),
            http: self.http,
            credentials: self.reach().credentials(),
            proxy: self.reach().planned_proxy(),
        }
    }
}

impl StreamableHttpSettings {
    fn reach(&self) -> Reach<'_> {
        Reach {
            key: "streamable_http",
            websocket: false,
            ca: self.ca.as_ref(),
            connect_timeout: self.connect_timeout,
            http: self.http,
            headers: &self.headers,
            auth: self.auth.as_ref(),
            proxy: self.proxy.as_ref(),
            proxy_auth: self.proxy_auth.as_ref(),
        }
    }
}

// === impl StreamableHttp ===

impl Planned for StreamableHttp {
    fn recorded(&self) -> Vec<(&'static str, Recorded)> {
        reach::recorded(&self.endpoints, self.ca.as_ref(), &self.credentials, self.proxy.as_ref())
    }

    fn place(&self) -> String {
        reach::place("http   ", &self.endpoints)
    }

    fn references(&self) -> Vec<(String, &Reference)> {
        reach::planned_references(&self.endpoints, self.ca.as_ref(), &self.credentials, self.proxy.as_ref())
    }

    fn connect_timeout_ms(&self) -> Option<u64> {
        self.connect_timeout_ms
    }

    fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }
}
