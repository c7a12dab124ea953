//! Where a backend listens: its URL taken apart once, and new connections to it.

use std::time::Duration;

use tokio::net::TcpStream;

use super::connection::{Connection, Io};
use crate::limits;
use crate::upstream::{Context, Error, OpenError, plan};

/// The place of one HTTP backend.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// `host` or `host:port`, as `Host` has it.
    pub(super) authority: String,
    /// Path and query.
    pub(super) path: String,
    host: String,
    port: u16,
    /// How long a connection has to come up.
    connect_timeout: Duration,
    #[cfg(feature = "tls")]
    tls: Option<super::super::tls::Trust>,
}

impl Endpoint {
    pub(super) fn open(
        context: &Context,
        backend: &plan::Backend,
        http: &plan::StreamableHttp,
    ) -> Result<Self, OpenError> {
        let url = context.shared.resolve(backend, &http.url)?;
        let invalid = |detail: String| OpenError::Invalid { backend: backend.name.to_string(), detail };
        let ca = http.ca.as_ref().map(|ca| context.shared.resolve(backend, ca)).transpose()?;
        let connect_timeout = http.connect_timeout_ms.map_or(limits::CONNECT_TIMEOUT, Duration::from_millis);
        Self::at(&url, ca.as_deref(), connect_timeout).map_err(invalid)
    }

    /// The endpoint at a URL; `ca` is trusted besides. The error says what is wrong with it.
    pub(super) fn at(url: &str, ca: Option<&str>, connect_timeout: Duration) -> Result<Self, String> {
        let parts = only1mcp_model::url::parse(url)
            .map_err(|problem| format!("`{url}` is not a URL of an MCP server: {problem}"))?;
        #[cfg(not(feature = "tls"))]
        if parts.tls {
            return Err(format!("`{url}` needs TLS, and this binary is built without the feature `tls`"));
        }
        #[cfg(not(feature = "tls"))]
        let _no_authority = ca;
        #[cfg(feature = "tls")]
        let tls = parts.tls.then(|| super::super::tls::Trust::new(parts.host, ca)).transpose()?;
        Ok(Self {
            authority: parts.authority.to_owned(),
            path: parts.path.to_owned(),
            host: parts.host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: parts.port,
            connect_timeout,
            #[cfg(feature = "tls")]
            tls,
        })
    }

    /// A new connection. Nothing of a call has been sent when this fails.
    pub(super) async fn connect(&self) -> Result<Connection, Error> {
        let connect = async {
            let tcp = TcpStream::connect((self.host.as_str(), self.port))
                .await
                .map_err(|error| Error::unavailable(format!("connection to {}: {error}", self.authority)))?;
            // Requests leave in one write; waiting to fill a segment only adds latency.
            tcp.set_nodelay(true).map_err(|error| Error::unavailable(format!("{}: {error}", self.authority)))?;
            #[cfg(feature = "tls")]
            if let Some(trust) = &self.tls {
                let tls = trust.connect(tcp).await.map_err(|error| {
                    Error::new(crate::upstream::Kind::Tls, false, format!("TLS with {}: {error}", self.authority))
                })?;
                return Ok(Connection::new(Io::Tls(Box::new(tls))));
            }
            Ok(Connection::new(Io::Plain(tcp)))
        };
        tokio::time::timeout(self.connect_timeout, connect).await.unwrap_or_else(|_elapsed| {
            let (authority, timeout) = (&self.authority, self.connect_timeout);
            Err(Error::unavailable(format!("connection to {authority}: not up within {timeout:?}")))
        })
    }
}
