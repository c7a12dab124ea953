//! The demo servers where a test wants them: over Streamable HTTP by themselves, and on pipes behind HTTP+SSE or a
//! WebSocket, a child for every connection, as bridges in the field have it.
#![expect(clippy::disallowed_types, reason = "a server that is played is no data plane")]

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt as _, StreamExt as _};
use only1mcp::demo::{self, Eras};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request as Greeting, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;

use super::server::{Request, Script, Server, Step, chunk, event, head, stream_head};
use super::serving::{Serving, bound};

/// The server `admin` over Streamable HTTP.
pub(crate) fn over_http(eras: Eras, address: SocketAddr) -> Serving {
    Serving::start(async move |ready| {
        let serve = || {
            let ready = |address| ready.send(address).expect("it is waited for");
            demo::serve_http(demo::Kind::Admin, eras, address, ready)
        };
        bound(serve).await;
    })
}

/// The command of the server `admin` on pipes.
fn on_pipes(era: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_only1mcp"));
    command.args(["demo-server", "admin", "--era", era]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// The same behind HTTP+SSE, at any path.
pub(crate) fn over_events(era: &'static str, address: SocketAddr) -> Server {
    let sessions = Mutex::<HashMap<String, ChildStdin>>::default();
    Server::start_at(address, None, move |request| {
        let mut sessions = sessions.lock().expect("nobody panics with it");
        if request.method == "GET" {
            let id = sessions.len().to_string();
            let (input, script) = stream(era, &id);
            sessions.insert(id, input);
            return script;
        }
        vec![head(post(&mut sessions, request), "content-length: 0\r\n")]
    })
}

/// Starts a child whose lines become events, and says how.
fn stream(era: &str, id: &str) -> (ChildStdin, Script) {
    let mut child = on_pipes(era).spawn().expect("it starts");
    let (input, output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let (steps, followed) = mpsc::channel(64);
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if steps.blocking_send(chunk(event(&line))).is_err() {
                break;
            }
        }
        // It has ended, or nobody reads it any more.
        drop(child.kill());
        drop(child.wait());
    });
    let endpoint = chunk(format!("event: endpoint\ndata: /messages?sessionId={id}\n\n"));
    (input, vec![stream_head(), endpoint, Step::Follow(Arc::new(tokio::sync::Mutex::new(followed)))])
}

/// Gives a child a message; the status says whether there is one.
fn post(sessions: &mut HashMap<String, ChildStdin>, request: &Request) -> u16 {
    let id = request.target.strip_prefix("/messages?sessionId=").unwrap_or_default();
    let line = format!("{}\n", request.text);
    match sessions.get_mut(id).map(|input| input.write_all(line.as_bytes())) {
        Some(Ok(())) => 202,
        _ => 404,
    }
}

/// The same behind a WebSocket, at any path.
pub(crate) fn over_socket(era: &'static str, address: SocketAddr) -> Serving {
    Serving::listen(address, async move |listener| {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move { converse(stream, era).await });
        }
    })
}

/// Passes messages on between a connection and its child until one of them ends.
async fn converse(stream: TcpStream, era: &str) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    #[expect(clippy::result_large_err, reason = "the signature is the library's")]
    let greet = |_: &Greeting, mut answer: Response| {
        answer.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("mcp"));
        Ok(answer)
    };
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, greet).await.ok()?;
    let mut command = tokio::process::Command::from(on_pipes(era));
    let mut child = command.kill_on_drop(true).spawn().expect("it starts");
    let mut input = child.stdin.take()?;
    let mut lines = tokio::io::BufReader::new(child.stdout.take()?).lines();
    loop {
        tokio::select! {
            message = socket.next() => match message?.ok()? {
                Message::Text(text) => input.write_all(format!("{text}\n").as_bytes()).await.ok()?,
                Message::Close(_) => return None,
                _ => {}
            },
            line = lines.next_line() => socket.send(Message::text(line.ok()??)).await.ok()?,
        }
    }
}
