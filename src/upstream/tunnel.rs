//! The way to a backend through a proxy that the topology names: `CONNECT`, whatever is said to the backend (RFC 9110, section
//! 9.3.6). What the environment says of proxies counts for nothing.
//!
//! **Invariant:** what the proxy is shown goes to nobody else: it is in no request to the backend, and nothing prints it.

use std::fmt;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use only1mcp_model::url;

use super::credentials::Fields;
use super::{Context, Error, Kind, OpenError, plan};
use crate::http1::Parsed;
use crate::http1::head::ResponseHead;

/// Interim responses skipped before the real one.
const INTERIM_MAX: u32 = 8;
/// How much of its answer is looked at at once.
const AHEAD_BYTES: usize = 4 << 10;

/// The proxy, and what is said to it.
pub(super) struct Tunnel {
    host: String,
    port: u16,
    /// Its URL as whoever reads errors may see it.
    shown: String,
    fields: Fields,
}

// === impl Tunnel ===

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel").field("proxy", &self.shown).finish_non_exhaustive()
    }
}

impl Tunnel {
    pub(super) fn open(context: &Context, backend: &plan::Backend, proxy: &plan::Proxy) -> Result<Self, OpenError> {
        let url = context.shared.resolve(backend, &proxy.url)?;
        let (host, port) = url::parse_proxy(&url).map_err(|why| OpenError::Invalid {
            backend: backend.name.to_string(),
            // What a reference stands for may hold a password.
            detail: format!("`{}` is not the URL of a proxy: {why}", proxy.url),
        })?;
        let mut fields = Fields::default();
        if let Some(auth) = &proxy.auth {
            fields.add_auth("proxy-authorization", &context.shared, backend, auth)?;
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port, shown: proxy.url.to_string(), fields })
    }

    /// A connection to this host and port, whose name the proxy resolves.
    pub(super) async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Error> {
        let proxy = &self.shown;
        let down = |error: std::io::Error| Error::unavailable(format!("connection to proxy `{proxy}`: {error}"));
        let mut tcp = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(down)?;
        tcp.set_nodelay(true).map_err(down)?;
        // As it stands in a URL.
        let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let (version, fields) = (env!("CARGO_PKG_VERSION"), self.fields.as_str());
        let request = format!(
            "CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: only1mcp/{version}\r\n{fields}\r\n"
        );
        tcp.write_all(request.as_bytes()).await.map_err(down)?;
        match self.status(&mut tcp).await? {
            200..=299 => Ok(tcp),
            status => {
                let kind = if status == 407 { Kind::Auth } else { Kind::Unavailable };
                let detail = format!("proxy `{proxy}` refused a connection to {authority} with status {status}");
                Err(Error::new(kind, false, detail))
            }
        }
    }

    /// Reads the head of the answer, and no more: a server of HTTP/2 may speak first, and its words are not the proxy's.
    async fn status(&self, tcp: &mut TcpStream) -> Result<u16, Error> {
        let proxy = &self.shown;
        let broken = |why: String| Error::new(Kind::Protocol, false, format!("proxy `{proxy}`: {why}"));
        let down = |error: std::io::Error| Error::unavailable(format!("proxy `{proxy}`: {error}"));
        let (mut read, mut ahead, mut interim) = (Vec::new(), vec![0; AHEAD_BYTES], 0);
        loop {
            let count = tcp.peek(&mut ahead).await.map_err(down)?;
            if count == 0 {
                return Err(Error::unavailable(format!("proxy `{proxy}` ended the connection")));
            }
            let before = read.len();
            read.extend_from_slice(&ahead[..count]);
            let (status, taken) = match ResponseHead::parse(&read) {
                Ok(Parsed::Head(head, length)) => (Some(head.status), length - before),
                Ok(Parsed::Partial) => (None, count),
                Err(error) => return Err(broken(error.to_string())),
            };
            tcp.read_exact(&mut ahead[..taken]).await.map_err(down)?;
            match status {
                None => {}
                Some(100..=199) if interim < INTERIM_MAX => {
                    interim += 1;
                    read.clear();
                }
                Some(100..=199) => return Err(broken(format!("more than {INTERIM_MAX} interim responses"))),
                Some(status) => return Ok(status),
            }
        }
    }
}
