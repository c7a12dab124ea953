//! The protocol core of the demo servers, sans-IO: one message in, what is to be said in return out, in either era. The
//! catalogs are in `math`, `data` and `admin`, the order of HTTP checks in `http`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;

use super::offer::{ContentsBody, LogLevel, Offer, ProcessStatus, TimedMessage, ToolCall};
use super::playback::{Ledger, Playback};
use super::rpc::{
    ClientMessage, ClientRequest, Fault, FaultAnswer, LEGACY_VERSIONS, META_LOG_LEVEL, META_SERVER_INFO,
    MODERN_VERSIONS, MessageEra,
};
use super::{Eras, Kind, admin, completion, data, math, rpc};

/// How long a client may keep what never changes while the process lives.
const TTL_MS: u64 = 3_600_000;

/// One demo server.
pub(super) struct Server {
    kind: Kind,
    eras: Eras,
    offer: &'static dyn Offer,
    ledger: Arc<Ledger>,
}

/// What the messages of one client share: a stdio connection, a legacy HTTP session, or a single modern HTTP request.
pub(super) struct Conversation {
    /// Whether `initialize` was answered.
    initialized: AtomicBool,
    /// The lowest level that a legacy client wants, as an index into [`LEVELS`]; [`LogLevel::Info`] until it says so.
    log_level: AtomicU8,
    /// Calls under way by the text of their id, and how to cancel them.
    running: papaya::HashMap<String, Arc<Notify>>,
}

/// What is to be sent in return for a message.
pub(super) enum Reply {
    Nothing,
    /// A response.
    Result(Value),
    Refused(FaultAnswer),
    /// Messages over time; the last is the response.
    Call(Playback),
}

const LEVELS: [LogLevel; 8] = [
    LogLevel::Debug,
    LogLevel::Info,
    LogLevel::Notice,
    LogLevel::Warning,
    LogLevel::Error,
    LogLevel::Critical,
    LogLevel::Alert,
    LogLevel::Emergency,
];

/// How long and by whom a modern result may be kept.
struct Caching {
    ttl_ms: u64,
    scope: &'static str,
}

const FOR_ALL: Option<Caching> = Some(Caching { ttl_ms: TTL_MS, scope: "public" });
const NOT_KEPT: Option<Caching> = Some(Caching { ttl_ms: 0, scope: "private" });

// === impl Conversation ===

impl Default for Conversation {
    fn default() -> Self {
        let log_level = AtomicU8::new(LogLevel::Info as u8);
        Self { initialized: AtomicBool::default(), log_level, running: papaya::HashMap::default() }
    }
}

// === impl Server ===

impl Server {
    pub(super) fn new(kind: Kind, eras: Eras) -> Self {
        let offer: &'static dyn Offer = match kind {
            Kind::Math => &math::Math,
            Kind::Data => &data::Tables,
            Kind::Admin => &admin::Admin,
        };
        Self { kind, eras, offer, ledger: Arc::new(Ledger::new()) }
    }

    pub(super) fn eras(&self) -> Eras {
        self.eras
    }

    pub(super) fn status(&self) -> ProcessStatus {
        self.ledger.status()
    }

    /// The era of a message that comes without HTTP headers.
    pub(super) fn era_of(&self, incoming: &ClientMessage) -> MessageEra {
        match self.eras {
            Eras::Modern => MessageEra::Modern,
            Eras::Legacy => MessageEra::Legacy,
            Eras::Both if incoming.is_modern() => MessageEra::Modern,
            Eras::Both => MessageEra::Legacy,
        }
    }

    /// Whether the request is a legacy handshake with a server that is modern only.
    pub(super) fn refuses_handshake(&self, request: &ClientRequest) -> bool {
        self.eras == Eras::Modern && request.method == "initialize" && !request.names_version()
    }

    /// Takes one message of `conversation`.
    pub(super) fn receive(&self, conversation: &Arc<Conversation>, incoming: ClientMessage, era: MessageEra) -> Reply {
        match incoming {
            ClientMessage::Request(request) => self
                .answer(conversation, &request, era)
                .unwrap_or_else(|fault| Reply::Refused(FaultAnswer { id: Some(request.id), fault })),
            ClientMessage::Notification { method, params } => {
                if method == "notifications/cancelled"
                    && let Some(id) = params.get("requestId")
                {
                    conversation.cancel(&id.to_string());
                }
                Reply::Nothing
            }
            ClientMessage::Response => Reply::Nothing,
        }
    }

    fn answer(
        &self,
        conversation: &Arc<Conversation>,
        request: &ClientRequest,
        era: MessageEra,
    ) -> Result<Reply, Fault> {
        let log_level = match era {
            MessageEra::Modern => self.check_modern(request)?,
            MessageEra::Legacy => Some(self.check_legacy(conversation, request)?),
        };
        if !self.serves(&request.method, era) {
            return Err(Fault::UnknownMethod(request.method.clone()));
        }
        let (result, caching) = match request.method.as_str() {
            "tools/call" => return self.call_tool(conversation, request, era, log_level).map(Reply::Call),
            "initialize" => (self.initialize(conversation, request)?, None),
            "server/discover" => (self.discover(), FOR_ALL),
            "ping" => (json!({}), None),
            "logging/setLevel" => (set_level(conversation, request)?, None),
            "tools/list" => (list(request, "tools", self.offer.tools())?, FOR_ALL),
            "prompts/list" => (list(request, "prompts", self.offer.prompts())?, FOR_ALL),
            "prompts/get" => (self.prompt(request)?, None),
            "resources/list" => (list(request, "resources", self.offer.resources())?, FOR_ALL),
            "resources/templates/list" => {
                (list(request, "resourceTemplates", self.offer.resource_templates())?, FOR_ALL)
            }
            "resources/read" => self.read(request, era)?,
            "completion/complete" => (completion::complete(self.offer, &request.params)?, None),
            _ => return Err(Fault::UnknownMethod(request.method.clone())),
        };
        Ok(Reply::Result(rpc::response(&request.id, self.complete(result, caching, era))))
    }

    /// The lowest level that the client asks for (MCP 2026-07-28, server validation, from `_meta` on).
    fn check_modern(&self, request: &ClientRequest) -> Result<Option<LogLevel>, Fault> {
        if self.refuses_handshake(request) {
            let requested = request.text("protocolVersion").unwrap_or_default().to_owned();
            return Err(Fault::UnsupportedVersion { requested });
        }
        let version = request.modern_version()?;
        if !MODERN_VERSIONS.contains(&version) {
            return Err(Fault::UnsupportedVersion { requested: version.to_owned() });
        }
        let level = request.meta().and_then(|meta| meta.get(META_LOG_LEVEL));
        level.map(|level| parse_level(level).ok_or_else(|| invalid_level(META_LOG_LEVEL))).transpose()
    }

    fn check_legacy(&self, conversation: &Conversation, request: &ClientRequest) -> Result<LogLevel, Fault> {
        let early = matches!(request.method.as_str(), "initialize" | "ping");
        if !early
            && self.serves(&request.method, MessageEra::Legacy)
            && !conversation.initialized.load(Ordering::Relaxed)
        {
            return Err(Fault::InvalidRequest("`initialize` has not been called".into()));
        }
        Ok(LEVELS[usize::from(conversation.log_level.load(Ordering::Relaxed))])
    }

    fn serves(&self, method: &str, era: MessageEra) -> bool {
        match method {
            "tools/list"
            | "tools/call"
            | "prompts/list"
            | "prompts/get"
            | "resources/list"
            | "resources/templates/list"
            | "resources/read" => true,
            "server/discover" => era == MessageEra::Modern,
            "initialize" | "ping" => era == MessageEra::Legacy,
            "logging/setLevel" => era == MessageEra::Legacy && self.offer.logs(),
            "completion/complete" => self.offer.completes(),
            _ => false,
        }
    }

    fn initialize(&self, conversation: &Conversation, request: &ClientRequest) -> Result<Value, Fault> {
        let asked = request.text("protocolVersion")?;
        if conversation.initialized.swap(true, Ordering::Relaxed) {
            return Err(Fault::InvalidRequest("`initialize` has been called before".into()));
        }
        let [.., latest] = LEGACY_VERSIONS;
        let version = LEGACY_VERSIONS.into_iter().find(|&version| version == asked).unwrap_or(latest);
        Ok(json!({
            "protocolVersion": version,
            "capabilities": self.capabilities(),
            "serverInfo": self.server_info(),
            "instructions": self.offer.instructions(),
        }))
    }

    fn discover(&self) -> Value {
        json!({
            "supportedVersions": MODERN_VERSIONS,
            "capabilities": self.capabilities(),
            "instructions": self.offer.instructions(),
        })
    }

    fn capabilities(&self) -> Value {
        let mut capabilities = json!({ "tools": {}, "prompts": {}, "resources": {} });
        if self.offer.logs() {
            capabilities["logging"] = json!({});
        }
        if self.offer.completes() {
            capabilities["completions"] = json!({});
        }
        capabilities
    }

    fn server_info(&self) -> Value {
        json!({
            "name": self.kind.server_name(),
            "title": self.kind.server_title(),
            "version": env!("CARGO_PKG_VERSION"),
        })
    }

    fn call_tool(
        &self,
        conversation: &Arc<Conversation>,
        request: &ClientRequest,
        era: MessageEra,
        log_level: Option<LogLevel>,
    ) -> Result<Playback, Fault> {
        let name = request.text("name")?;
        let progress_token = request.meta().and_then(|meta| meta.get("progressToken")).cloned();
        if progress_token.as_ref().is_some_and(|token| !rpc::is_id(token)) {
            return Err(Fault::InvalidParams("`progressToken` is neither a string nor an integer".into()));
        }
        let call = ToolCall {
            name,
            arguments: request.arguments()?,
            arguments_text: request.arguments_text.as_deref().unwrap_or("{}"),
            progress_token,
            log_level,
            status: self.status(),
        };
        let outcome = self.offer.call(&call);
        let outcome = outcome.ok_or_else(|| Fault::InvalidParams(format!("tool `{name}` is not known")))?;
        let result = self.complete(outcome.result.into_json(), None, era);
        let mut steps = VecDeque::from(outcome.notifications);
        steps.push_back(TimedMessage { after: outcome.answer_after, message: rpc::response(&request.id, result) });
        Playback::begin(&self.ledger, conversation, &request.id, steps)
            .ok_or_else(|| Fault::InvalidRequest("`id` is that of a call under way".into()))
    }

    fn prompt(&self, request: &ClientRequest) -> Result<Value, Fault> {
        let name = request.text("name")?;
        let prompt = self.offer.prompt(name, request.arguments()?);
        let prompt = prompt.ok_or_else(|| Fault::InvalidParams(format!("prompt `{name}` is not known")))?;
        prompt.map_err(Fault::InvalidParams)
    }

    fn read(&self, request: &ClientRequest, era: MessageEra) -> Result<(Value, Option<Caching>), Fault> {
        let uri = request.text("uri")?;
        let contents = self.offer.read(uri, &self.status());
        let contents = contents.ok_or_else(|| Fault::UnknownResource { uri: uri.to_owned(), era })?;
        let mut content = json!({ "uri": uri, "mimeType": contents.mime_type });
        match contents.body {
            ContentsBody::Text(text) => content["text"] = text.into(),
            ContentsBody::Bytes(bytes) => content["blob"] = STANDARD.encode(bytes).into(),
        }
        Ok((json!({ "contents": [content] }), if contents.volatile { NOT_KEPT } else { FOR_ALL }))
    }

    /// Adds what the modern era wants on every result.
    fn complete(&self, mut result: Value, caching: Option<Caching>, era: MessageEra) -> Value {
        if era == MessageEra::Modern {
            result["resultType"] = "complete".into();
            result["_meta"] = json!({ META_SERVER_INFO: self.server_info() });
            if let Some(Caching { ttl_ms, scope }) = caching {
                result["ttlMs"] = ttl_ms.into();
                result["cacheScope"] = scope.into();
            }
        }
        result
    }
}

/// A list on a single page, so that no cursor is one of ours.
fn list(request: &ClientRequest, member: &str, items: Vec<Value>) -> Result<Value, Fault> {
    if request.params.contains_key("cursor") {
        return Err(Fault::InvalidParams("`cursor` is not known".into()));
    }
    Ok(Value::Object(Map::from_iter([(member.to_owned(), items.into())])))
}

fn set_level(conversation: &Conversation, request: &ClientRequest) -> Result<Value, Fault> {
    let level = request.params.get("level").and_then(parse_level).ok_or_else(|| invalid_level("level"))?;
    conversation.log_level.store(level as u8, Ordering::Relaxed);
    Ok(json!({}))
}

fn parse_level(value: &Value) -> Option<LogLevel> {
    serde::Deserialize::deserialize(value).ok()
}

fn invalid_level(member: &str) -> Fault {
    Fault::InvalidMeta(format!("`{member}` is not a log level"))
}

// === impl Conversation ===

impl Conversation {
    /// Notes a call under way; false if there is one of that key.
    pub(super) fn begin(&self, key: String, cancelled: Arc<Notify>) -> bool {
        self.running.pin().try_insert(key, cancelled).is_ok()
    }

    /// Forgets a call under way.
    pub(super) fn end(&self, key: &str) {
        self.running.pin().remove(key);
    }

    fn cancel(&self, key: &str) {
        if let Some(cancelled) = self.running.pin().get(key) {
            cancelled.notify_one();
        }
    }

    /// Cancels every call under way.
    pub(super) fn cancel_all(&self) {
        self.running.pin().values().for_each(|cancelled| cancelled.notify_one());
    }
}
