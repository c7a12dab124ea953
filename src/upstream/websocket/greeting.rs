//! How a connection to a backend becomes a WebSocket (RFC 6455, section 4.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::http1::Parsed;
use crate::http1::head::ResponseHead;
use crate::limits;
use crate::upstream::Error;
use crate::upstream::endpoint::{Endpoint, Io};
use crate::websocket::{self, Role, SUBPROTOCOL, Socket, VERSION};

/// Connects and greets.
pub(super) async fn connect(endpoint: &Endpoint) -> Result<Socket<Io>, Error> {
    let mut stream = endpoint.connect().await?;
    let failed = |detail: String| Error::unavailable(format!("{}: {detail}", endpoint.authority));
    let greeted = tokio::time::timeout(endpoint.connect_timeout, greet(&mut stream, endpoint)).await;
    let ahead = greeted.unwrap_or_else(|_elapsed| Err("it answered no greeting in time".to_owned())).map_err(failed)?;
    Ok(Socket::new(stream, ahead, Role::Client, limits::ANSWER_BYTES_MAX).await)
}

/// Has the connection switch protocols; what was read behind the answer comes back.
async fn greet(stream: &mut Io, endpoint: &Endpoint) -> Result<Vec<u8>, String> {
    let mut bits = [0; 16];
    rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty()).map_err(|error| error.to_string())?;
    let key = STANDARD.encode(bits);
    let Endpoint { authority, path, .. } = endpoint;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: only1mcp/{}\r\nupgrade: websocket\r\n\
        connection: Upgrade\r\nsec-websocket-key: {key}\r\nsec-websocket-version: {VERSION}\r\n\
        sec-websocket-protocol: {SUBPROTOCOL}\r\n\r\n",
        env!("CARGO_PKG_VERSION"),
    );
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    stream.flush().await.map_err(|error| error.to_string())?;
    let mut read = Vec::new();
    loop {
        match ResponseHead::parse(&read) {
            Ok(Parsed::Head(head, length)) => {
                check(&head, &key)?;
                return Ok(read.split_off(length));
            }
            Ok(Parsed::Partial) => {}
            Err(error) => return Err(error.to_string()),
        }
        match stream.read_buf(&mut read).await {
            Ok(1..) => {}
            Ok(0) => return Err("it ended the connection instead of an answer".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn check(head: &ResponseHead<'_>, key: &str) -> Result<(), String> {
    if head.status != 101 {
        return Err(format!("it answered the greeting with status {}", head.status));
    }
    let answer = &head.websocket;
    if !answer.upgrade || answer.accept.once() != Some(websocket::accept_key(key.as_bytes()).as_bytes()) {
        return Err("its answer to the greeting is not that of a WebSocket".to_owned());
    }
    // One that names no subprotocol is borne with: some servers serve MCP and nothing else.
    if answer.protocol.count > 0 && answer.protocol.once() != Some(SUBPROTOCOL.as_bytes()) {
        return Err("it chose a subprotocol that was not offered".to_owned());
    }
    if answer.extensions.count > 0 {
        return Err("it chose an extension that was not offered".to_owned());
    }
    Ok(())
}
