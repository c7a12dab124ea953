//! Where a backend listens that is reached by a URL: the URL taken apart once, and new connections to it.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{self, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::credentials::Fields;
use super::tunnel::Tunnel;
use super::{Context, Error, OpenError, plan};
use crate::limits;

/// The place of one backend.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// `host` or `host:port`, as `Host` has it.
    pub(super) authority: String,
    /// Path and query.
    pub(super) path: String,
    host: String,
    port: u16,
    /// The file of a Unix socket, which is connected to instead.
    socket: Option<PathBuf>,
    /// Its URL as whoever reads errors may see it.
    pub(super) shown: String,
    /// How long a connection has to come up.
    pub(super) connect_timeout: Duration,
    fields: Fields,
    /// The way through a proxy.
    tunnel: Option<Tunnel>,
    #[cfg(feature = "http2")]
    speaks: Speaks,
    #[cfg(feature = "tls")]
    tls: Option<super::tls::Trust>,
}

/// What the topology says of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) url: &'a plan::Reference,
    /// A PEM file of authorities to trust beside those of the system.
    pub(super) ca: Option<&'a plan::Reference>,
    pub(super) connect_timeout_ms: Option<u64>,
    /// What it is shown with every request.
    pub(super) credentials: &'a plan::Credentials,
    /// The proxy that connections go through.
    pub(super) proxy: Option<&'a plan::Proxy>,
    /// What is said to it.
    pub(super) speaks: Speaks,
}

/// What is said on connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    /// This version of HTTP.
    Http(plan::HttpVersion),
    /// WebSocket, which begins as HTTP/1.1.
    WebSocket,
}

/// The socket, plain or inside TLS.
#[derive(Debug)]
pub(super) enum Io {
    Plain(TcpStream),
    Unix(UnixStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Endpoint {
    pub(super) fn open(context: &Context, backend: &plan::Backend, place: &Place<'_>) -> Result<Self, OpenError> {
        let url = context.shared.resolve(backend, place.url)?;
        let invalid = |detail: String| OpenError::Invalid { backend: backend.name.to_string(), detail };
        let ca = place.ca.map(|ca| context.shared.resolve(backend, ca)).transpose()?;
        let connect_timeout = place.connect_timeout_ms.map_or(limits::CONNECT_TIMEOUT, Duration::from_millis);
        let endpoint = Self::at(&url, place.speaks, ca.as_deref(), connect_timeout).map_err(invalid)?;
        let fields = Fields::new(&context.shared, backend, place.credentials)?;
        let tunnel = place.proxy.map(|proxy| Tunnel::open(context, backend, proxy)).transpose()?;
        // What a reference stands for may hold a token.
        Ok(Self { shown: place.url.to_string(), fields, tunnel, ..endpoint })
    }

    /// The endpoint at a URL; `ca` is trusted besides. The error says what is wrong with it.
    pub(super) fn at(url: &str, speaks: Speaks, ca: Option<&str>, connect_timeout: Duration) -> Result<Self, String> {
        let parts = only1mcp_model::url::parse(url)
            .map_err(|problem| format!("`{url}` is not a URL of an MCP server: {problem}"))?;
        let websocket = speaks == Speaks::WebSocket;
        if parts.websocket != websocket {
            let schemes = if websocket { "`ws://` nor `wss://`" } else { "`http://` nor `https://`" };
            return Err(format!("`{url}` begins with neither {schemes}"));
        }
        #[cfg(not(feature = "tls"))]
        if parts.tls {
            return Err(format!("`{url}` needs TLS, and this binary is built without the feature `tls`"));
        }
        #[cfg(not(feature = "tls"))]
        let _no_authority = ca;
        #[cfg(feature = "tls")]
        let tls = parts.tls.then(|| super::tls::Trust::new(parts.host, ca, speaks.protocols())).transpose()?;
        Ok(Self {
            shown: url.to_owned(),
            authority: parts.authority.to_owned(),
            path: parts.path.to_owned(),
            host: parts.host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: parts.port,
            socket: None,
            connect_timeout,
            fields: Fields::default(),
            tunnel: None,
            #[cfg(feature = "http2")]
            speaks,
            #[cfg(feature = "tls")]
            tls,
        })
    }

    /// The beginning of every request to this path: its line, and the fields that all have.
    pub(super) fn head(&self, method: &str, path: &str) -> String {
        let (authority, version, fields) = (&self.authority, env!("CARGO_PKG_VERSION"), self.fields.as_str());
        format!("{method} {path} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: only1mcp/{version}\r\n{fields}")
    }

    /// The endpoint at this path behind a Unix socket.
    pub(super) fn behind(socket: &str, path: &str, connect_timeout: Duration) -> Self {
        Self {
            shown: format!("unix:{socket}:{path}"),
            authority: "localhost".to_owned(),
            path: path.to_owned(),
            host: String::new(),
            port: 0,
            socket: Some(socket.into()),
            connect_timeout,
            fields: Fields::default(),
            tunnel: None,
            #[cfg(feature = "http2")]
            speaks: Speaks::Http(plan::HttpVersion::Auto),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Whether its connections are inside TLS.
    #[cfg(feature = "http2")]
    pub(super) fn is_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        false
    }

    /// Whether a connection to it may be one of HTTP/2: inside TLS the server chooses.
    #[cfg(feature = "http2")]
    pub(super) fn may_speak_http2(&self) -> bool {
        self.insists_on_http2() || (self.speaks == Speaks::Http(plan::HttpVersion::Auto) && self.is_tls())
    }

    /// Whether it is spoken to in HTTP/2 or not at all.
    #[cfg(feature = "http2")]
    pub(super) fn insists_on_http2(&self) -> bool {
        self.speaks == Speaks::Http(plan::HttpVersion::Two)
    }

    async fn connect_straight(&self) -> Result<TcpStream, Error> {
        let down = |error| Error::unavailable(format!("connection to {}: {error}", self.authority));
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(down)?;
        // Requests leave in one write; waiting to fill a segment only adds latency.
        tcp.set_nodelay(true).map_err(down)?;
        Ok(tcp)
    }

    /// A new connection. Nothing of a call has been sent when this fails.
    pub(super) async fn connect(&self) -> Result<Io, Error> {
        let connect = async {
            if let Some(socket) = &self.socket {
                let unix = UnixStream::connect(socket).await;
                let failed = |error| Error::unavailable(format!("connection to `{}`: {error}", socket.display()));
                return unix.map(Io::Unix).map_err(failed);
            }
            let tcp = match &self.tunnel {
                Some(tunnel) => Box::pin(tunnel.connect(&self.host, self.port)).await?,
                None => self.connect_straight().await?,
            };
            #[cfg(feature = "tls")]
            if let Some(trust) = &self.tls {
                return match trust.connect(tcp).await {
                    Ok(tls) => Ok(Io::Tls(Box::new(tls))),
                    #[cfg(feature = "http2")]
                    Err(error) if self.insists_on_http2() && super::tls::is_no_protocol(&error) => {
                        Err(Error::new(super::Kind::Protocol, false, no_http2(&self.authority)))
                    }
                    Err(error) => {
                        Err(Error::new(super::Kind::Tls, false, format!("TLS with {}: {error}", self.authority)))
                    }
                };
            }
            Ok(Io::Plain(tcp))
        };
        tokio::time::timeout(self.connect_timeout, connect).await.unwrap_or_else(|_elapsed| {
            let (authority, timeout) = (&self.authority, self.connect_timeout);
            Err(Error::unavailable(format!("connection to {authority}: not up within {timeout:?}")))
        })
    }
}

/// What is wrong with a server that was to speak HTTP/2.
#[cfg(feature = "http2")]
pub(super) fn no_http2(authority: &str) -> String {
    format!("{authority}: it does not speak HTTP/2, and the topology says `http: 2`")
}

// === impl Speaks ===

#[cfg(feature = "tls")]
impl Speaks {
    /// What is offered inside TLS (RFC 7301).
    fn protocols(self) -> &'static [&'static [u8]] {
        match self {
            Self::WebSocket => &[],
            #[cfg(feature = "http2")]
            Self::Http(plan::HttpVersion::Auto) => &[b"h2", b"http/1.1"],
            #[cfg(feature = "http2")]
            Self::Http(plan::HttpVersion::Two) => &[b"h2"],
            Self::Http(_) => &[b"http/1.1"],
        }
    }
}

// === impl Io ===

#[cfg(feature = "http2")]
impl Io {
    /// Whether the server chose HTTP/2.
    pub(super) fn speaks_http2(&self) -> bool {
        #[cfg(feature = "tls")]
        if let Self::Tls(tls) = self {
            return tls.get_ref().1.alpn_protocol() == Some(b"h2");
        }
        false
    }

    /// Whether it is inside TLS.
    pub(super) fn is_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        return matches!(self, Self::Tls(_));
        #[cfg(not(feature = "tls"))]
        false
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut task::Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Unix(unix) => Pin::new(unix).poll_read(cx, buffer),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut task::Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buffer),
            Self::Unix(unix) => Pin::new(unix).poll_write(cx, buffer),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buffer),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Unix(unix) => Pin::new(unix).poll_flush(cx),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
