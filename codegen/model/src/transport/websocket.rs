//! `websocket`: a server reached by WebSocket, with the subprotocol `mcp`.

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
    /// A server reached by WebSocket.
    default struct WebSocketSettings: "a websocket transport" {
        /// `file:PATH` of authorities to trust beside those of the system, in PEM.
        ca: Option<Reference> where AUTHORITIES = None,
        /// How long a connection has to come up, proxy and TLS included; `5s` without it.
        connect_timeout: Option<Millis> where CONNECT_TIMEOUT = None,
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
    /// A server reached by WebSocket.
    pub struct WebSocket {
        /// Where it is: at least one place.
        pub endpoints: Table<Endpoint>,
        /// A PEM file of authorities to trust beside those of the system.
        pub ca: Option<Reference>,
        /// How long a connection has to come up in milliseconds, where the topology says it.
        pub connect_timeout_ms: Option<u64>,
        /// What the server is shown with every request.
        pub credentials: Credentials,
        /// The proxy that connections go through.
        pub proxy: Option<Proxy>,
    }
}

// === impl WebSocketSettings ===

impl Settings for WebSocketSettings {
    type Planned = WebSocket;
    const EXAMPLE: &'static str = "websocket: {}";
    const SNIPPET: &'static str =
        r#"{"transport":{"websocket":"^{}"},"endpoints":[{"url":"${2:ws://127.0.0.1:9000/message}"}]}"#;

    fn check(&self, name: &str, backend: &Backend, check: &mut Check<'_>) {
        self.reach().check(name, backend, check);
    }

    fn references(&self) -> Vec<(Vec<Step<'_>>, &Reference, Form)> {
        self.reach().references()
    }

    fn needs(&self, backend: &Backend) -> Vec<&'static str> {
        self.reach().needs(backend)
    }

    fn planned(&self, backend: &Backend) -> WebSocket {
        WebSocket {
            endpoints: Reach::endpoints(backend),
            ca: self.ca.clone(),
            connect_timeout_ms: self.connect_timeout.map(|timeout| timeout.0),
            credentials: self.reach().credentials(),
            proxy: self.reach().planned_proxy(),
        }
    }
}

impl WebSocketSettings {
    fn reach(&self) -> Reach<'_> {
        Reach {
            key: "websocket",
            websocket: true,
            ca: self.ca.as_ref(),
            connect_timeout: self.connect_timeout,
            // What a greeting of WebSocket is written in.
            http: HttpVersion::One,
            headers: &self.headers,
            auth: self.auth.as_ref(),
            proxy: self.proxy.as_ref(),
            proxy_auth: self.proxy_auth.as_ref(),
        }
    }
}

// === impl WebSocket ===

impl Planned for WebSocket {
    fn recorded(&self) -> Vec<(&'static str, Recorded)> {
        reach::recorded(&self.endpoints, self.ca.as_ref(), &self.credentials, self.proxy.as_ref())
    }

    fn place(&self) -> String {
        reach::place("ws     ", &self.endpoints)
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
