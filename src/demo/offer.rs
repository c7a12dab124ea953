//! What a demo server offers: the interface between the protocol core and `math`, `data` and `admin`, and the values
//! that cross it.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// The tools, prompts and resources of one kind of demo server.
pub(super) trait Offer: Send + Sync {
    /// For the model that reads the catalog.
    fn instructions(&self) -> &'static str;
    /// Whether some tool sends `notifications/message`.
    fn logs(&self) -> bool {
        false
    }
    fn tools(&self) -> Vec<Value>;
    fn prompts(&self) -> Vec<Value>;
    fn resources(&self) -> Vec<Value>;
    fn resource_templates(&self) -> Vec<Value> {
        Vec::new()
    }
    /// How the call goes; `None` if there is no such tool.
    fn call(&self, call: &ToolCall<'_>) -> Option<Outcome>;
    /// The result of `prompts/get`, or what is wrong with the arguments; `None` if there is no such prompt.
    fn prompt(&self, name: &str, arguments: Map<String, Value>) -> Option<Result<Value, String>>;
    /// Whether some argument is completed.
    fn completes(&self) -> bool {
        false
    }
    /// The values that an argument may have, as far as they are known, whatever is typed of it so far; `None` if there is
    /// no such prompt or template.
    fn values(&self, _completion: &Completion<'_>) -> Option<Vec<String>> {
        None
    }
    /// `None` if there is no such resource.
    fn read(&self, uri: &str, status: &ProcessStatus) -> Option<Contents>;
}

/// One `tools/call` and what it may use.
pub(super) struct ToolCall<'a> {
    pub(super) name: &'a str,
    pub(super) arguments: Map<String, Value>,
    /// The arguments as the client wrote them.
    pub(super) arguments_text: &'a str,
    /// Present if the client wants progress.
    pub(super) progress_token: Option<Value>,
    /// The lowest level that the client wants to see; `None` if it wants no log messages.
    pub(super) log_level: Option<LogLevel>,
    pub(super) status: ProcessStatus,
}

/// What `completion/complete` asks for.
pub(super) struct Completion<'a> {
    pub(super) of: Completed<'a>,
    /// The name of the argument.
    pub(super) argument: &'a str,
    /// The arguments that are known already.
    pub(super) others: Map<String, Value>,
}

/// Whose argument is completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Completed<'a> {
    /// That of the prompt with this name.
    Prompt(&'a str),
    /// That of the template which is listed like this.
    Template(&'a str),
}

/// For tools that take none.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoArguments {}

/// How a call goes: notifications at their times, then the result.
pub(super) struct Outcome {
    pub(super) notifications: Vec<TimedMessage>,
    /// From the last notification to the answer.
    pub(super) answer_after: Duration,
    pub(super) result: ToolResult,
}

/// A message and the time between the one before and it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TimedMessage {
    pub(super) after: Duration,
    pub(super) message: Value,
}

/// What a tool has to say.
pub(super) struct ToolResult {
    text: String,
    structured: Option<Value>,
    is_error: bool,
}

/// What `resources/read` answers.
pub(super) struct Contents {
    pub(super) mime_type: &'static str,
    pub(super) body: ContentsBody,
    /// Whether the contents change from one read to the next.
    pub(super) volatile: bool,
}

pub(super) enum ContentsBody {
    Text(String),
    Bytes(&'static [u8]),
}

/// The state of the process at the time of a call.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(super) struct ProcessStatus {
    pub(super) uptime_ms: u64,
    /// Tool calls answered.
    pub(super) calls_served: u64,
    /// Tool calls whose answer is still to come, this one not counted.
    pub(super) calls_running: u64,
    /// Tool calls ended before their answer, by the client or by its connection.
    pub(super) calls_cancelled: u64,
}

/// RFC 5424 severities, mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum LogLevel {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

/// Tool hints: nothing changes, the same call gives the same answer, no world outside.
pub(super) fn read_only() -> Value {
    json!({ "readOnlyHint": true, "destructiveHint": false, "idempotentHint": true, "openWorldHint": false })
}

/// A prompt's result: one message of the user.
pub(super) fn prompt_result(description: &str, content: &[Value]) -> Value {
    let messages: Vec<_> = content.iter().map(|content| json!({ "role": "user", "content": content })).collect();
    json!({ "description": description, "messages": messages })
}

/// The arguments as a type that says which there are; the error names what does not fit.
pub(super) fn arguments_as<T: DeserializeOwned>(arguments: Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(arguments)).map_err(|error| error.to_string())
}

// === impl ToolCall ===

impl ToolCall<'_> {
    /// Reads the arguments and runs the tool. Arguments that do not fit are an error of the tool, not of the protocol,
    /// so that the model sees it (MCP 2025-11-25, tools, error handling).
    pub(super) fn run<T: DeserializeOwned>(&self, tool: impl FnOnce(T) -> Result<ToolResult, String>) -> ToolResult {
        arguments_as(self.arguments.clone()).and_then(tool).unwrap_or_else(ToolResult::error)
    }
}

// === impl Outcome ===

impl From<ToolResult> for Outcome {
    fn from(result: ToolResult) -> Self {
        Self { notifications: Vec::new(), answer_after: Duration::ZERO, result }
    }
}

// === impl ToolResult ===

impl ToolResult {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), structured: None, is_error: false }
    }

    /// With the same as JSON, of the tool's `outputSchema`.
    pub(super) fn structured(text: impl Into<String>, structured: Value) -> Self {
        Self { structured: Some(structured), ..Self::text(text) }
    }

    pub(super) fn error(text: impl Into<String>) -> Self {
        Self { is_error: true, ..Self::text(text) }
    }

    pub(super) fn into_json(self) -> Value {
        let mut result = json!({ "content": [{ "type": "text", "text": self.text }] });
        if let Some(structured) = self.structured {
            result["structuredContent"] = structured;
        }
        if self.is_error {
            result["isError"] = true.into();
        }
        result
    }
}
