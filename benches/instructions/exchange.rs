//! A call from its client to its backend and back, over sockets of the loopback interface: a gateway with one worker, a
//! client and a backend that do as little as they can, in one process.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use only1mcp::{Gateway, Running};

only1mcp::topology!(Echo = "benches/instructions/echo.yaml");

/// What the backend says of itself.
const GREETING: &str = concat!(
    r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"public","#,
    r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"echo","version":"1.0.0"}}}"#
);
/// What it answers to a call.
const RESULT: &str = r#"{"resultType":"complete","content":[{"type":"text","text":"The quick brown fox"}]}"#;

/// A gateway that serves, and the connection of its client.
#[derive(Debug)]
pub(crate) struct Exchange {
    client: BufReader<TcpStream>,
    request: Vec<u8>,
    body: Vec<u8>,
    _gateway: Running,
}

// === impl Exchange ===

impl Exchange {
    /// A gateway, its backend and its client. So many calls are made before it is there.
    pub(crate) fn begin(calls: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let url = format!("http://{}/mcp", listener.local_addr().expect("it is bound"));
        thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(thread::spawn(|| answer(stream)))));
        let builder = Gateway::<Echo>::builder().address("127.0.0.1:0").workers(1).reference("ECHO_URL", url);
        let gateway = builder.start().expect("a gateway");
        let client = TcpStream::connect(gateway.address()).expect("it serves");
        client.set_nodelay(true).expect("a socket takes it");
        let body = concat!(
            r#"{"jsonrpc":"2.0","id":1234567,"method":"tools/call","params":{"name":"echo__echo_10","arguments":{"message":"The quick brown fox"},"#,
            r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#
        );
        let request = format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
             MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo__echo_10\r\nContent-Length: {}\r\n\r\n{body}",
            gateway.address(),
            body.len()
        );
        let (client, body) = (BufReader::new(client), Vec::new());
        let mut exchange = Self { client, request: request.into_bytes(), body, _gateway: gateway };
        (0..calls).for_each(|_| exchange.call());
        exchange
    }

    /// One call; its answer is checked.
    pub(crate) fn call(&mut self) {
        self.client.get_mut().write_all(&self.request).expect("the gateway reads");
        message(&mut self.client, &mut self.body).expect("the gateway answers");
        let text = String::from_utf8_lossy(&self.body);
        assert!(text.starts_with(r#"{"jsonrpc":"2.0","id":1234567,"result":{"#), "{text}");
    }
}

/// Answers the greeting, and calls, with the ids that they have.
fn answer(stream: TcpStream) {
    let (mut stream, mut body) = (BufReader::new(stream), Vec::new());
    while message(&mut stream, &mut body).is_some() {
        let text = String::from_utf8_lossy(&body);
        let id = text.split_once(r#""id":"#).and_then(|(_, rest)| rest.split(',').next()).expect("a request has an id");
        let result = if text.contains(r#""method":"server/discover""#) { GREETING } else { RESULT };
        let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", answer.len());
        if stream.get_mut().write_all(format!("{head}{answer}").as_bytes()).is_err() {
            return;
        }
    }
}

/// Reads a message of HTTP; none when the connection is over.
fn message(stream: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> Option<()> {
    let (mut length, mut line) = (0, String::new());
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    body.resize(length, 0);
    stream.read_exact(body).ok()
}
