//! One client over any transport that the gateway has for clients, in either era: it asks, hears what comes for each of
//! its requests, and cancels.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::process::Stdio;

use only1mcp::Running;
use serde_json::{Value, json};
use tokio::process::Command;

use super::client::{Client, META, Request};
use super::socket::SocketClient;
use crate::legacy;
use crate::legacy_sse_client::Stream;
use crate::stdio_client::{Gateway as Lines, initialize};

/// How a client comes.
#[derive(Debug)]
pub(crate) enum Way {
    /// Streamable HTTP, a connection a request.
    Http(SocketAddr),
    /// HTTP+SSE.
    Events(SocketAddr),
    /// WebSocket.
    Socket(SocketAddr),
    /// On the pipes of this process.
    Lines(Command),
}

/// Which era the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    Modern,
    Legacy,
}

/// The client.
pub(crate) struct Front {
    era: Era,
    carrier: Carrier,
    /// The stream of its session, over Streamable HTTP.
    own: Option<Client>,
    /// Of calls that were cancelled: progress that was on its way still comes.
    cancelled: HashSet<String>,
}

enum Carrier {
    /// Of a legacy client with its session.
    Http(SocketAddr, Option<String>),
    Events(Stream),
    Socket(SocketClient),
    Lines(Lines),
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    id: Value,
    method: &'static str,
    params: Value,
    token: Option<Value>,
    level: Option<&'static str>,
}

/// A call that goes on; over HTTP with its connection.
pub(crate) struct Begun {
    ask: Ask,
    client: Option<Client>,
}

/// Every way for a client to come: to a gateway, or to one like it that is a role of this binary with these variables.
pub(crate) fn ways(
    gateway: &Running,
    role: &str,
    variables: impl IntoIterator<Item = (&'static str, String)>,
) -> [(&'static str, Way); 5] {
    let mut bridged = Command::new(env!("CARGO_BIN_EXE_only1mcp"));
    bridged.args(["stdio", "--connect", &gateway.url()]).stderr(Stdio::null());
    [
        ("HTTP", Way::Http(gateway.address())),
        ("HTTP+SSE", Way::Events(gateway.address())),
        ("WebSocket", Way::Socket(gateway.address())),
        ("stdio --connect", Way::Lines(bridged)),
        ("stdio", Way::on_pipes(role, variables)),
    ]
}

// === impl Way ===

impl Way {
    /// To a gateway on the pipes of this binary: in the role that the ignored test of this name has, with these variables.
    pub(crate) fn on_pipes(role: &str, variables: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this binary has a path"));
        command.args([role, "--ignored", "--nocapture", "-q"]).stderr(Stdio::null()).envs(variables);
        Self::Lines(command)
    }
}

// === impl Ask ===

impl Ask {
    pub(crate) fn new(id: impl Into<Value>, method: &'static str, params: Value) -> Self {
        Self { id: id.into(), method, params, token: None, level: None }
    }

    /// A call of a tool.
    pub(crate) fn call(id: impl Into<Value>, tool: &str, arguments: &Value) -> Self {
        Self::new(id, "tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// Wants progress under this token.
    pub(crate) fn tracked(self, token: impl Into<Value>) -> Self {
        Self { token: Some(token.into()), ..self }
    }

    /// Wants log messages of this level and above; a legacy client has said so before.
    pub(crate) fn logged(self, level: &'static str) -> Self {
        Self { level: Some(level), ..self }
    }

    fn message(&self, era: Era) -> String {
        let mut params = self.params.clone();
        let mut meta: Value = match era {
            Era::Modern => serde_json::from_str(&format!("{{{META}}}")).expect("an object"),
            Era::Legacy => json!({}),
        };
        if let Some(token) = &self.token {
            meta["progressToken"] = token.clone();
        }
        if let (Some(level), Era::Modern) = (self.level, era) {
            meta["io.modelcontextprotocol/logLevel"] = json!(level);
        }
        if meta != json!({}) {
            params["_meta"] = meta;
        }
        json!({ "jsonrpc": "2.0", "id": self.id, "method": self.method, "params": params }).to_string()
    }

    fn request(&self, era: Era, session: Option<&str>) -> Request {
        match (era, session) {
            (Era::Legacy, Some(session)) => Request::legacy(session, self.message(era)),
            _ => Request::raw(self.method, self.params["name"].as_str(), self.message(era)),
        }
    }

    /// Whether a message belongs to this request; the second time, whether it is the last.
    fn owns(&self, message: &Value) -> Option<bool> {
        match message["method"].as_str() {
            Some("notifications/progress") if Some(&message["params"]["progressToken"]) == self.token.as_ref() => {
                Some(false)
            }
            Some("notifications/message") if self.level.is_some() => Some(false),
            None if message["id"] == self.id => Some(true),
            _ => None,
        }
    }
}

// === impl Front ===

impl Front {
    /// Connects, and greets the gateway where its era does so.
    pub(crate) async fn open(way: Way, era: Era) -> Self {
        let carrier = match way {
            Way::Http(address) => {
                let session = if era == Era::Legacy { Some(legacy::session(address).await) } else { None };
                Carrier::Http(address, session)
            }
            Way::Events(address) => Carrier::Events(Stream::open(address).await),
            Way::Socket(address) => Carrier::Socket(SocketClient::connect(address, "/ws").await),
            Way::Lines(command) => Carrier::Lines(Lines::of(command).await),
        };
        let mut front = Self { era, carrier, own: None, cancelled: HashSet::new() };
        if era == Era::Legacy && !matches!(front.carrier, Carrier::Http(..)) {
            front.say(&initialize("2025-11-25")).await;
            assert_eq!(front.hear().await["result"]["protocolVersion"], "2025-11-25");
        }
        if era == Era::Legacy {
            front.notify(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        }
        front
    }

    /// Opens the stream of its session, where that is not the connection.
    pub(crate) async fn listen(&mut self) {
        if let Carrier::Http(address, Some(session)) = &self.carrier {
            self.own = Some(legacy::opened(*address, session).await);
        }
    }

    /// The next message that belongs to no request.
    pub(crate) async fn told(&mut self) -> Value {
        match &mut self.own {
            Some(own) => own.message().await.expect("the stream goes on"),
            None => self.hear().await,
        }
    }

    /// The process that it talks to, where there is one.
    pub(crate) fn process(&self) -> Option<u32> {
        match &self.carrier {
            Carrier::Lines(lines) => lines.process(),
            _ => None,
        }
    }

    /// Asks all of these at once. Returns what came for each, the last of which is its response.
    pub(crate) async fn ask_all(&mut self, asks: &[Ask]) -> Vec<Vec<Value>> {
        if let Carrier::Http(address, session) = &self.carrier {
            let mut clients = Vec::new();
            for ask in asks {
                let mut client = Client::connect(*address).await;
                client.write(&ask.request(self.era, session.as_deref()).bytes()).await;
                clients.push(client);
            }
            let mut heard = Vec::new();
            for (ask, client) in asks.iter().zip(&mut clients) {
                heard.push(responded(ask, client).await);
            }
            return heard;
        }
        for ask in asks {
            self.say(&ask.message(self.era)).await;
        }
        let mut heard = vec![Vec::new(); asks.len()];
        let mut open = asks.len();
        while open > 0 {
            let message = self.hear().await;
            let of = asks.iter().zip(&mut heard).find_map(|(ask, heard)| Some((ask.owns(&message)?, heard)));
            let Some((last, heard)) = of else {
                let token = message["params"]["progressToken"].to_string();
                assert!(self.cancelled.contains(&token), "it belongs to nothing: {message}");
                continue;
            };
            heard.push(message);
            open -= usize::from(last);
        }
        heard
    }

    /// Asks all of these on the one connection that there is; their responses are [`Self::answers`].
    pub(crate) async fn begin_all(&mut self, asks: &[Ask]) {
        for ask in asks {
            self.say(&ask.message(self.era)).await;
        }
    }

    /// The responses to these, in the order in which they come. Nothing else may.
    pub(crate) async fn answers(&mut self, asks: &[Ask]) -> Vec<Value> {
        let mut heard = Vec::new();
        for _ in asks {
            let message = self.hear().await;
            assert!(asks.iter().any(|ask| ask.owns(&message) == Some(true)), "{message}");
            heard.push(message);
        }
        heard
    }

    /// The response to one request that nothing comes before.
    pub(crate) async fn ask(&mut self, ask: Ask) -> Value {
        let mut heard = self.ask_all(&[ask]).await.remove(0);
        assert_eq!(heard.len(), 1, "{heard:?}");
        heard.remove(0)
    }

    /// Begins a call, and waits for the first progress of it.
    pub(crate) async fn begin(&mut self, ask: Ask) -> (Begun, Value) {
        if let Carrier::Http(address, session) = &self.carrier {
            let mut client = Client::connect(*address).await;
            client.write(&ask.request(self.era, session.as_deref()).bytes()).await;
            assert_eq!(client.head().await.field("content-type"), Some("text/event-stream"));
            let first = client.message().await.expect("progress");
            return (Begun { ask, client: Some(client) }, first);
        }
        self.say(&ask.message(self.era)).await;
        let first = self.hear().await;
        (Begun { ask, client: None }, first)
    }

    /// Cancels it as its era and transport have it: a modern client over HTTP hangs up, all others say so. No response
    /// may come any more.
    pub(crate) async fn cancel(&mut self, begun: Begun) {
        if self.era == Era::Modern && begun.client.is_some() {
            return;
        }
        self.cancelled.extend(begun.ask.token.as_ref().map(Value::to_string));
        let params = json!({ "requestId": begun.ask.id });
        self.notify(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }).to_string())
            .await;
        if let Some(mut client) = begun.client {
            while let Some(message) = client.message().await {
                assert_eq!(begun.ask.owns(&message), Some(false), "{message}");
            }
        }
    }

    /// Says something that nothing answers.
    pub(crate) async fn notify(&mut self, message: &str) {
        match &self.carrier {
            Carrier::Http(address, session) => {
                let session = session.as_deref().expect("a legacy client");
                assert_eq!(Client::ask(*address, &Request::legacy(session, message)).await.status, 202);
            }
            _ => self.say(message).await,
        }
    }

    async fn say(&mut self, message: &str) {
        match &mut self.carrier {
            Carrier::Http(..) => unreachable!("each message is a request of its own"),
            Carrier::Events(stream) => stream.say(message).await,
            Carrier::Socket(socket) => socket.say(message).await,
            Carrier::Lines(lines) => lines.say(message).await,
        }
    }

    async fn hear(&mut self) -> Value {
        match &mut self.carrier {
            Carrier::Http(..) => unreachable!("each message is a request of its own"),
            Carrier::Events(stream) => stream.hear().await,
            Carrier::Socket(socket) => socket.hear().await,
            Carrier::Lines(lines) => lines.hear().await,
        }
    }
}

/// What comes on a connection for the one request on it.
async fn responded(ask: &Ask, client: &mut Client) -> Vec<Value> {
    let head = client.head().await;
    let heard = match head.field("content-type") {
        Some("text/event-stream") => {
            let mut heard = Vec::new();
            while let Some(message) = client.message().await {
                heard.push(message);
            }
            heard
        }
        _ => vec![client.body_of(head).await.json()],
    };
    let (last, before) = heard.split_last().expect("a response");
    assert_eq!(ask.owns(last), Some(true), "{last}");
    assert!(before.iter().all(|message| ask.owns(message) == Some(false)), "{before:?}");
    heard
}
