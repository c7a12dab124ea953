//! Where a backend listens: its URL taken apart once, and new connections to it.

use std::time::Duration;

use tokio::net::TcpStream;

use super::connection::{Connection, Io};
use crate::limits;
use crate::upstream::{Context, Error, OpenError, plan};

/// The place of one HTTP backend.
#[derive(Debug)]
pub(in crate::upstream) struct Endpoint {
    /// `host` or `host:port`, as `Host` has it.
    pub(in crate::upstream) authority: String,
    /// Path and query.
    pub(in crate::upstream) path: String,
    host: String,
    port: u16,
    /// How long a connection has to come up.
    connect_timeout: Duration,
    #[cfg(feature = "tls")]
    tls: Option<crate::upstream::tls::Trust>,
}

/// What the topology says of it.
#[derive(Clone, Copy, Debug)]
pub(in crate::upstream) struct Place<'a> {
    pub(in crate::upstream) url: &'a plan::Reference,
    /// A PEM file of authorities to trust beside those of the system.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "TLS alone asks for it"))]
    pub(in crate::upstream) ca: Option<&'a plan::Reference>,
    pub(in crate::upstream) connect_timeout_ms: Option<u64>,
}

impl Endpoint {
    pub(in crate::upstream) fn open(
        context: &Context,
        backend: &plan::Backend,
        place: &Place<'_>,
    ) -> Result<Self, OpenError> {
        let url = context.shared.resolve(backend, place.url)?;
        let invalid = |detail: String| OpenError::Invalid { backend: backend.name.to_string(), detail };
        let parts = only1mcp_model::url::parse(&url)
            .map_err(|problem| invalid(format!("`{url}` is not a URL of an MCP server: {problem}")))?;
        #[cfg(not(feature = "tls"))]
        if parts.tls {
            return Err(invalid(format!("`{url}` needs TLS, and this binary is built without the feature `tls`")));
        }
        #[cfg(feature = "tls")]
        let tls = if parts.tls {
            let ca = place.ca.map(|ca| context.shared.resolve(backend, ca)).transpose()?;
            Some(crate::upstream::tls::Trust::new(parts.host, ca.as_deref()).map_err(invalid)?)
        } else {
            None
        };
        Ok(Self {
            authority: parts.authority.to_owned(),
            path: parts.path.to_owned(),
            host: parts.host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: parts.port,
            connect_timeout: place.connect_timeout_ms.map_or(limits::CONNECT_TIMEOUT, Duration::from_millis),
            #[cfg(feature = "tls")]
            tls,
        })
    }

    /// A new connection. Nothing of a call has been sent when this fails.
    pub(in crate::upstream) async fn connect(&self) -> Result<Connection, Error> {
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
