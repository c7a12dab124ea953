//! How a connection to a backend becomes a WebSocket (RFC 6455, section 4.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::http1::Parsed;
use crate::http1::head::ResponseHead;
use crate::limits;
use crate::upstream::endpoint::{Endpoint, Io};
use crate::upstream::{Error, Kind};
use crate::websocket::{self, Role, SUBPROTOCOL, Socket, VERSION};

/// Connects and greets.
pub(super) async fn connect(endpoint: &Endpoint) -> Result<Socket<Io>, Error> {
    let mut stream = endpoint.connect().await?;
    let greeted = tokio::time::timeout(endpoint.connect_timeout, greet(&mut stream, endpoint)).await;
    let refusal = |(kind, detail)| Error::new(kind, false, format!("{}: {detail}", endpoint.authority));
    let ahead = greeted.unwrap_or_else(|_elapsed| Err(unavailable("it answered no greeting in time")));
    let ahead = ahead.map_err(refusal)?;
    Ok(Socket::new(stream, ahead, Role::Client, limits::ANSWER_BYTES_MAX).await)
}

/// Has the connection switch protocols; what was read behind the answer comes back.
async fn greet(stream: &mut Io, endpoint: &Endpoint) -> Result<Vec<u8>, (Kind, String)> {
    let mut bits = [0; 16];
    rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty()).map_err(unavailable)?;
    let key = STANDARD.encode(bits);
    let head = endpoint.head("GET", &endpoint.path);
    let request = format!(
        "{head}upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-key: {key}\r\n\
        sec-websocket-version: {VERSION}\r\nsec-websocket-protocol: {SUBPROTOCOL}\r\n\r\n",
    );
    stream.write_all(request.as_bytes()).await.map_err(unavailable)?;
    stream.flush().await.map_err(unavailable)?;
    let mut read = Vec::new();
    loop {
        match ResponseHead::parse(&read) {
            Ok(Parsed::Head(head, length)) => {
                check(&head, &key)?;
                return Ok(read.split_off(length));
            }
            Ok(Parsed::Partial) => {}
            Err(error) => return Err(unavailable(error)),
        }
        match stream.read_buf(&mut read).await {
            Ok(1..) => {}
            Ok(0) => return Err(unavailable("it ended the connection instead of an answer")),
            Err(error) => return Err(unavailable(error)),
        }
    }
}

fn unavailable(why: impl ToString) -> (Kind, String) {
    (Kind::Unavailable, why.to_string())
}

fn check(head: &ResponseHead<'_>, key: &str) -> Result<(), (Kind, String)> {
    if head.status != 101 {
        let kind = if matches!(head.status, 401 | 403) { Kind::Auth } else { Kind::Unavailable };
        return Err((kind, format!("it answered the greeting with status {}", head.status)));
    }
    let answer = &head.websocket;
    if !answer.upgrade || answer.accept.once() != Some(websocket::accept_key(key.as_bytes()).as_bytes()) {
        return Err(unavailable("its answer to the greeting is not that of a WebSocket"));
    }
    // One that names no subprotocol is borne with: some servers serve MCP and nothing else.
    if answer.protocol.count > 0 && answer.protocol.once() != Some(SUBPROTOCOL.as_bytes()) {
        return Err(unavailable("it chose a subprotocol that was not offered"));
    }
    if answer.extensions.count > 0 {
        return Err(unavailable("it chose an extension that was not offered"));
    }
    Ok(())
}
