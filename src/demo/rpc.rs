//! JSON-RPC 2.0 messages as the demo servers read and write them, and every error they answer with. What a method means
//! is in `server`; which HTTP status an error gets is in `http`.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// The versions answered to `initialize`, oldest first.
pub(super) const LEGACY_VERSIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/// The versions served without a handshake.
pub(super) const MODERN_VERSIONS: [&str; 1] = ["2026-07-28"];

pub(super) const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(super) const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
pub(super) const META_LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
pub(super) const META_SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// Which rules apply to one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageEra {
    Modern,
    Legacy,
}

/// One message from a client.
#[derive(Debug)]
pub(super) enum ClientMessage {
    Request(ClientRequest),
    Notification {
        method: String,
        params: Map<String, Value>,
    },
    /// To a request of ours; we send none.
    Response,
}

#[derive(Debug)]
pub(super) struct ClientRequest {
    /// A string or an integer.
    pub(super) id: Value,
    pub(super) method: String,
    pub(super) params: Map<String, Value>,
    /// `params.arguments` byte for byte, because a tree reorders members and rounds numbers.
    pub(super) arguments_text: Option<String>,
}

/// Why a message gets an error for an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("message is not JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    #[error("{0}")]
    InvalidRequest(String),
    #[error("method `{0}` is not known")]
    UnknownMethod(String),
    #[error("{0}")]
    InvalidParams(String),
    /// `params._meta` is not what the modern era asks for.
    #[error("{0}")]
    InvalidMeta(String),
    #[error("resource `{uri}` is not known")]
    UnknownResource { uri: String, era: MessageEra },
    #[error("{0}")]
    HeaderMismatch(String),
    #[error("protocol version `{requested}` is not supported")]
    UnsupportedVersion { requested: String },
}

/// A [`Fault`] and the request it answers, where that could be read.
#[derive(Debug)]
pub(super) struct FaultAnswer {
    pub(super) id: Option<Value>,
    pub(super) fault: Fault,
}

/// The answer to `id`.
pub(super) fn response(id: &Value, result: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

pub(super) fn notification(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

// === impl ClientMessage ===

impl ClientMessage {
    /// Reads one message.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, FaultAnswer> {
        let value = serde_json::from_slice(bytes).map_err(|error| Fault::NotJson(error).anonymous())?;
        let Value::Object(mut message) = value else {
            return Err(Fault::InvalidRequest("message is not an object".into()).anonymous());
        };
        let id = match message.remove("id") {
            None => None,
            Some(id) if is_id(&id) => Some(id),
            Some(_) => {
                return Err(Fault::InvalidRequest("`id` is neither a string nor an integer".into()).anonymous());
            }
        };
        let refuse = |fault: Fault| FaultAnswer { id: id.clone(), fault };
        if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(refuse(Fault::InvalidRequest("`jsonrpc` is not `2.0`".into())));
        }
        let method = match message.remove("method") {
            Some(Value::String(method)) => method,
            None if message.contains_key("result") || message.contains_key("error") => return Ok(Self::Response),
            _ => return Err(refuse(Fault::InvalidRequest("`method` is not a string".into()))),
        };
        let params = match message.remove("params") {
            None => Map::new(),
            Some(Value::Object(params)) => params,
            Some(_) => return Err(refuse(Fault::InvalidParams("`params` is not an object".into()))),
        };
        match id {
            None => Ok(Self::Notification { method, params }),
            Some(id) => match arguments_text(bytes) {
                Ok(arguments_text) => Ok(Self::Request(ClientRequest { id, method, params, arguments_text })),
                Err(error) => Err(FaultAnswer { id: Some(id), fault: Fault::InvalidRequest(error.to_string()) }),
            },
        }
    }

    /// Whether the message itself says that it is of the modern era.
    pub(super) fn is_modern(&self) -> bool {
        match self {
            Self::Request(request) => request.names_version() || request.method == "server/discover",
            Self::Notification { params, .. } => meta(params).is_some_and(|meta| meta.contains_key(META_VERSION)),
            Self::Response => false,
        }
    }
}

/// An id or a progress token.
pub(super) fn is_id(value: &Value) -> bool {
    value.is_string() || value.is_i64() || value.is_u64()
}

fn meta(params: &Map<String, Value>) -> Option<&Map<String, Value>> {
    params.get("_meta").and_then(Value::as_object)
}

/// `params.arguments` as it was written. An error means that a member on the way to it stands twice.
fn arguments_text(bytes: &[u8]) -> Result<Option<String>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        params: Option<Params<'a>>,
    }
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow)]
        arguments: Option<&'a RawValue>,
    }
    let envelope: Envelope<'_> = serde_json::from_slice(bytes)?;
    Ok(envelope.params.and_then(|params| params.arguments).map(|arguments| arguments.get().to_owned()))
}

// === impl ClientRequest ===

impl ClientRequest {
    pub(super) fn meta(&self) -> Option<&Map<String, Value>> {
        meta(&self.params)
    }

    /// Whether `_meta` carries a protocol version, of whatever kind.
    pub(super) fn names_version(&self) -> bool {
        self.meta().is_some_and(|meta| meta.contains_key(META_VERSION))
    }

    /// The protocol version in a `_meta` that has what the modern era requires.
    pub(super) fn modern_version(&self) -> Result<&str, Fault> {
        let meta = self.meta().ok_or_else(|| Fault::InvalidMeta("`_meta` is missing".into()))?;
        let version = meta.get(META_VERSION).and_then(Value::as_str);
        let version = version.ok_or_else(|| Fault::InvalidMeta(format!("`{META_VERSION}` is not a string")))?;
        if !meta.get(META_CAPABILITIES).is_some_and(Value::is_object) {
            return Err(Fault::InvalidMeta(format!("`{META_CAPABILITIES}` is not an object")));
        }
        Ok(version)
    }

    /// A parameter that must be a string.
    pub(super) fn text(&self, name: &str) -> Result<&str, Fault> {
        let value = self.params.get(name).and_then(Value::as_str);
        value.ok_or_else(|| Fault::InvalidParams(format!("`{name}` is not a string")))
    }

    /// `params.arguments`; absent is empty.
    pub(super) fn arguments(&self) -> Result<Map<String, Value>, Fault> {
        match self.params.get("arguments") {
            None => Ok(Map::new()),
            Some(Value::Object(arguments)) => Ok(arguments.clone()),
            Some(_) => Err(Fault::InvalidParams("`arguments` is not an object".into())),
        }
    }
}

// === impl Fault ===

impl Fault {
    /// For a message whose id could not be read.
    pub(super) fn anonymous(self) -> FaultAnswer {
        FaultAnswer { id: None, fault: self }
    }

    pub(super) fn code(&self) -> i32 {
        match self {
            Self::NotJson(_) => -32700,
            Self::InvalidRequest(_) => -32600,
            Self::UnknownMethod(_) => -32601,
            Self::UnknownResource { era: MessageEra::Legacy, .. } => -32002,
            Self::InvalidParams(_) | Self::InvalidMeta(_) | Self::UnknownResource { .. } => -32602,
            Self::HeaderMismatch(_) => -32020,
            Self::UnsupportedVersion { .. } => -32022,
        }
    }

    fn data(&self) -> Option<Value> {
        match self {
            Self::UnknownResource { uri, .. } => Some(json!({ "uri": uri })),
            Self::UnsupportedVersion { requested } => {
                Some(json!({ "supported": MODERN_VERSIONS, "requested": requested }))
            }
            _ => None,
        }
    }
}

// === impl FaultAnswer ===

impl FaultAnswer {
    /// The error message. Without an id if it is not known: in MCP an id is never null.
    pub(super) fn to_json(&self) -> Value {
        let mut error = json!({ "code": self.fault.code(), "message": self.fault.to_string() });
        if let Some(data) = self.fault.data() {
            error["data"] = data;
        }
        let mut message = json!({ "jsonrpc": "2.0", "error": error });
        if let Some(id) = &self.id {
            message["id"] = id.clone();
        }
        message
    }
}
