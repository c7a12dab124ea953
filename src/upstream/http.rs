//! HTTP towards backends: connections to one and those that idle; those of HTTP/2 are in `http2`. What is said over them is
//! not here.

pub(super) mod connection;
#[cfg(feature = "http2")]
mod http2;
mod pool;

use std::cell::Cell;
use std::io::Write as _;
use std::rc::Rc;

use only1mcp_model::url;

use super::endpoint::{Endpoint, Place, Speaks};
use super::{Context, Error, Kind, OpenError, plan};
use crate::clock::Clock;
use crate::limits;
use connection::{Connection, ReadError};
use pool::Pool;

/// One backend as a worker reaches it.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) endpoint: Rc<Endpoint>,
    pool: Rc<Pool>,
    /// Where the backend may choose HTTP/2.
    #[cfg(feature = "http2")]
    http2: Option<Rc<http2::Http2>>,
}

// === impl Client ===

impl Client {
    /// Connects nothing yet.
    pub(super) fn open(context: &Context, backend: &plan::Backend) -> Result<Self, OpenError> {
        let url = context.url(&backend.transport);
        let place = match &backend.transport {
            plan::Transport::StreamableHttp(http) => Place {
                url,
                ca: http.ca.as_ref(),
                connect_timeout_ms: http.connect_timeout_ms,
                credentials: &http.credentials,
                proxy: http.proxy.as_ref(),
                speaks: Speaks::Http(http.http),
            },
            plan::Transport::LegacySse(sse) => Place {
                url,
                ca: sse.ca.as_ref(),
                connect_timeout_ms: sse.connect_timeout_ms,
                credentials: &sse.credentials,
                proxy: sse.proxy.as_ref(),
                speaks: Speaks::Http(sse.http),
            },
            plan::Transport::Stdio(_) | plan::Transport::WebSocket(_) => {
                return Err(OpenError::NotCompiled { backend: backend.name.to_string() });
            }
        };
        Ok(Self::of(Endpoint::open(context, backend, &place)?, &context.clock))
    }

    /// Asks for what shows whether the server is well.
    pub(super) async fn probe(&self, probe: &plan::HttpProbe) -> Result<(), Error> {
        let request = self.endpoint.head("GET", &probe.path) + "\r\n";
        let mut connection = self.send(request.as_bytes(), &Cell::new(false)).await?;
        let response = connection.response().await.map_err(|error| self.read_error(error))?;
        if response.status != probe.status {
            let (path, status, expected) = (&probe.path, response.status, probe.status);
            return Err(Error::protocol(format!("`{path}` is answered with status {status}, not {expected}")));
        }
        connection.whole_body(response.framing).await.map_err(|error| self.read_error(error))?;
        self.give_back(connection);
        Ok(())
    }

    /// The server at a URL, or at `unix:/socket:/path`, with nothing but that. The error says what is wrong with it.
    pub(super) fn at(url: &str, clock: &Clock) -> Result<Self, String> {
        let endpoint = match url::parse_unix(url) {
            Some(Ok((socket, path))) => Endpoint::behind(socket, path, limits::CONNECT_TIMEOUT),
            Some(Err(why)) => return Err(format!("`{url}` is not the URL of a Unix socket: {why}")),
            None => Endpoint::at(url, Speaks::Http(plan::HttpVersion::Auto), None, limits::CONNECT_TIMEOUT)?,
        };
        Ok(Self::of(endpoint, clock))
    }

    fn of(endpoint: Endpoint, clock: &Clock) -> Self {
        let endpoint = Rc::new(endpoint);
        Self {
            #[cfg(feature = "http2")]
            http2: http2::Http2::at(&endpoint, clock),
            endpoint,
            pool: Pool::new(clock.clone()),
        }
    }

    /// Writes a request. A pooled connection that took nothing of it proves that nothing was sent: then a new one is used.
    pub(super) async fn send(&self, request: &[u8], sent: &Cell<bool>) -> Result<Connection, Error> {
        for fresh in [false, true] {
            let mut connection = self.connection(fresh).await?;
            // Until the write says otherwise: a future dropped inside it must not claim that nothing left.
            sent.set(true);
            match connection.write(request).await {
                Ok(()) => return Ok(connection),
                Err((0, error)) => {
                    sent.set(false);
                    if fresh {
                        return Err(Error::unavailable(format!("write to {}: {error}", self.endpoint.authority)));
                    }
                }
                Err((_, error)) => {
                    return Err(Error::lost(true, format!("write to {}: {error}", self.endpoint.authority)));
                }
            }
        }
        Err(Error::unavailable("no connection took the request"))
    }

    /// A connection that idles, or a new one; of HTTP/2, a stream of the one there is.
    pub(super) async fn connection(&self, fresh: bool) -> Result<Connection, Error> {
        let pooled = if fresh { None } else { self.pool.take() };
        match pooled {
            Some(connection) => Ok(connection),
            None => self.open_connection().await,
        }
    }

    async fn open_connection(&self) -> Result<Connection, Error> {
        #[cfg(feature = "http2")]
        if let Some(http2) = &self.http2 {
            return Box::pin(http2.connection(&self.pool)).await;
        }
        self.endpoint.connect().await.map(Connection::new)
    }

    /// Keeps a connection for the next request, if it can serve one.
    pub(super) fn give_back(&self, connection: Connection) {
        self.pool.give_back(connection);
    }

    /// What it means that a response could not be read.
    pub(super) fn read_error(&self, error: ReadError) -> Error {
        let detail = format!("{}: {error}", self.endpoint.authority);
        match error {
            #[cfg(feature = "http2")]
            ReadError::Io(error) if http2::is_violation(&error) => Error::protocol(detail),
            #[cfg(feature = "http2")]
            ReadError::Refused(_) => Error::unavailable(detail),
            ReadError::Ended | ReadError::Io(_) => Error::lost(true, detail),
            ReadError::TooLarge => Error::new(Kind::ResponseTooLarge, true, detail),
            _ => Error::protocol(detail),
        }
    }

    /// The beginning of every POST to this path.
    pub(super) fn post_head(&self, path: &str) -> String {
        let own = "content-type: application/json\r\naccept: application/json, text/event-stream\r\n";
        self.endpoint.head("POST", path) + own
    }
}

/// Appends the end of a head whose body has this length.
pub(super) fn end_head(request: &mut Vec<u8>, length: usize) {
    let _infallible = write!(request, "content-length: {length}\r\n\r\n");
}
