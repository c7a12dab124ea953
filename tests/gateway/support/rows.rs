//! Tables of hostile inputs: one row an input and what is expected of it, run whole.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::client::{Answer, Client, Request};
use super::gateways;
use super::recorder::Recorder;

/// One input.
#[derive(Debug)]
pub(crate) struct Row {
    input: &'static str,
    request: Vec<u8>,
    half_closed: bool,
    statuses: &'static [u16],
    code: Code,
    kind: Option<&'static str>,
    calls: usize,
    closes: bool,
    also: Option<fn(&Answer) -> bool>,
}

/// What the body says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    /// Whatever it says, it is no result.
    Unstated,
    /// An error with this code.
    Error(i64),
    /// A result.
    Ok,
}

/// A row whose request is refused with this status.
pub(crate) fn refused(input: &'static str, request: impl Into<Vec<u8>>, statuses: &'static [u16]) -> Row {
    let request = request.into();
    Row {
        input,
        request,
        half_closed: false,
        statuses,
        code: Code::Unstated,
        kind: None,
        calls: 0,
        closes: false,
        also: None,
    }
}

/// A row whose request is answered with a result, after one call of the backend.
pub(crate) fn served(input: &'static str, request: impl Into<Vec<u8>>) -> Row {
    Row { code: Code::Ok, calls: 1, ..refused(input, request, &[200]) }
}

/// A row that is refused with a JSON-RPC code.
pub(crate) fn error(input: &'static str, request: impl Into<Vec<u8>>, status: &'static [u16], code: i64) -> Row {
    Row { code: Code::Error(code), ..refused(input, request, status) }
}

/// Runs every row against one gateway and its backend, and reports all that went wrong.
pub(crate) async fn run(rows: Vec<Row>) {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let mut failures = String::new();
    let mut calls = 0;
    for row in rows {
        let found = row.run(gateway.address()).await;
        let called = upstream.calls() - calls;
        calls += called;
        for complaint in
            found.into_iter().chain((called != row.calls).then(|| format!("{called} calls of the backend")))
        {
            writeln!(failures, "{}: {complaint}", row.input).expect("strings grow");
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

// === impl Row ===

impl Row {
    /// The answer names this kind of failure.
    pub(crate) fn kind(self, kind: &'static str) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// The gateway ends the connection after its answer.
    pub(crate) fn closes(self) -> Self {
        Self { closes: true, ..self }
    }

    /// The client ends its side of the connection after the request.
    pub(crate) fn half_closed(self) -> Self {
        Self { half_closed: true, ..self }
    }

    /// So many calls of the backend instead.
    pub(crate) fn calls(self, calls: usize) -> Self {
        Self { calls, ..self }
    }

    /// This holds of the answer, too.
    pub(crate) fn also(self, also: fn(&Answer) -> bool) -> Self {
        Self { also: Some(also), ..self }
    }

    async fn run(&self, address: SocketAddr) -> Vec<String> {
        let mut client = Client::connect(address).await;
        client.write(&self.request).await;
        if self.half_closed {
            client.half_close().await;
        }
        let answer = client.answer().await;
        let mut found = Vec::new();
        let mut expect = |holds: bool, what: &str| {
            if !holds {
                found.push(format!("{what}: {} {:?} {}", answer.status, answer.fields, cut(&answer.text())));
            }
        };
        expect(self.statuses.contains(&answer.status), "status");
        let json = answer.json();
        match self.code {
            Code::Unstated => expect(json.get("result").is_none(), "a result"),
            Code::Error(code) => expect(answer.code() == Some(code), "code"),
            Code::Ok => expect(json["result"].is_object(), "no result"),
        }
        expect(self.kind.is_none_or(|kind| answer.kind().as_deref() == Some(kind)), "kind");
        expect(self.also.is_none_or(|also| also(&answer)), "what must also hold");
        if self.closes {
            expect(answer.field("connection") == Some("close"), "does not say that it closes");
            expect(client.rest().await.is_empty(), "more came");
        }
        found
    }
}

impl From<Request> for Vec<u8> {
    fn from(request: Request) -> Self {
        request.bytes()
    }
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(300).map_or(text, |(end, _)| &text[..end])
}
