//! The `admin` demo server: calls that take time, report progress and log, and the state of the process. It reads
//! nothing of its environment.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::offer::{
    Contents, ContentsBody, LogLevel, NoArguments, Offer, Outcome, ProcessStatus, TimedMessage, ToolCall, ToolResult,
    arguments_as, prompt_result, read_only,
};
use super::rpc;

/// The longest wait.
const WAIT_MS_MAX: u32 = 60_000;
/// The most steps of a wait.
const WAIT_STEPS_MAX: u32 = 1_000;

pub(super) struct Admin;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wait {
    milliseconds: u32,
    steps: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    level: LogLevel,
    message: String,
    logger: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Incident {
    summary: String,
    severity: Option<String>,
}

impl Offer for Admin {
    fn instructions(&self) -> &'static str {
        "Calls that take time, report progress and log, to try a client or a gateway with."
    }

    fn logs(&self) -> bool {
        true
    }

    fn tools(&self) -> Vec<Value> {
        vec![status_tool(), echo_tool(), wait_tool(), log_tool()]
    }

    fn prompts(&self) -> Vec<Value> {
        vec![json!({
            "name": "incident_report",
            "title": "Incident report",
            "description": "Asks for a report of an incident.",
            "arguments": [
                { "name": "summary", "description": "What happened.", "required": true },
                { "name": "severity", "description": "How bad it was.", "required": false },
            ],
        })]
    }

    fn resources(&self) -> Vec<Value> {
        vec![json!({
            "uri": "admin://status",
            "name": "status",
            "title": "ProcessStatus",
            "description": "What the tool status tells, as JSON.",
            "mimeType": "application/json",
        })]
    }

    fn call(&self, call: &ToolCall<'_>) -> Option<Outcome> {
        match call.name {
            "status" => Some(call.run(|NoArguments {}| Ok(status(&call.status))).into()),
            "echo" => Some(ToolResult::text(call.arguments_text).into()),
            "wait" => Some(arguments_as(call.arguments.clone()).and_then(|w| wait(call, &w)).unwrap_or_else(refused)),
            "log" => Some(arguments_as(call.arguments.clone()).map_or_else(refused, |log| write_log(call, &log))),
            _ => None,
        }
    }

    fn prompt(&self, name: &str, arguments: Map<String, Value>) -> Option<Result<Value, String>> {
        (name == "incident_report").then(|| {
            let Incident { summary, severity } = arguments_as(arguments)?;
            let severity = severity.unwrap_or_else(|| "unknown".into());
            let text = format!(
                "Write an incident report: timeline, impact, cause, follow-up.\n\nSummary: {summary}\nSeverity: {severity}"
            );
            Ok(prompt_result("A report of an incident", &[json!({ "type": "text", "text": text })]))
        })
    }

    fn read(&self, uri: &str, status: &ProcessStatus) -> Option<Contents> {
        (uri == "admin://status").then(|| Contents {
            mime_type: "application/json",
            body: ContentsBody::Text(json!(status).to_string()),
            volatile: true,
        })
    }
}

fn status_tool() -> Value {
    let count = |description: &str| json!({ "type": "integer", "minimum": 0, "description": description });
    json!({
        "name": "status",
        "title": "ProcessStatus",
        "description": "How long the server has run and what it has done.",
        "inputSchema": { "type": "object", "properties": {}, "additionalProperties": false },
        "outputSchema": {
            "type": "object",
            "properties": {
                "uptime_ms": count("Milliseconds since the server started."),
                "calls_served": count("Tool calls answered, this one not counted."),
                "calls_running": count("Tool calls whose answer is still to come, this one not counted."),
                "calls_cancelled": count("Tool calls ended before their answer, by the client or its connection."),
            },
            "required": ["uptime_ms", "calls_served", "calls_running", "calls_cancelled"],
        },
        "annotations": { "readOnlyHint": true, "destructiveHint": false, "idempotentHint": false, "openWorldHint": false },
    })
}

fn echo_tool() -> Value {
    json!({
        "name": "echo",
        "title": "Echo",
        "description": "The arguments of the call as text, byte for byte.",
        "inputSchema": { "type": "object", "additionalProperties": true },
        "annotations": read_only(),
    })
}

fn wait_tool() -> Value {
    json!({
        "name": "wait",
        "title": "Wait",
        "description": "Takes its time and, if asked to, reports progress after every step. Can be cancelled.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "milliseconds": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": WAIT_MS_MAX,
                    "description": "How long it takes in all.",
                },
                "steps": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": WAIT_STEPS_MAX,
                    "default": 1,
                    "description": "How many equal steps it takes.",
                },
            },
            "required": ["milliseconds"],
            "additionalProperties": false,
        },
        "outputSchema": {
            "type": "object",
            "properties": {
                "milliseconds": { "type": "integer", "description": "As asked for." },
                "steps": { "type": "integer", "description": "As asked for." },
            },
            "required": ["milliseconds", "steps"],
        },
        "annotations": read_only(),
    })
}

fn log_tool() -> Value {
    json!({
        "name": "log",
        "title": "Log",
        "description": "Sends a log message to the client, if it wants messages of that level.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "level": {
                    "type": "string",
                    "enum": ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"],
                    "description": "Severity after RFC 5424.",
                },
                "message": { "type": "string", "description": "What to say." },
                "logger": { "type": "string", "default": "demo", "description": "Who says it." },
            },
            "required": ["level", "message"],
            "additionalProperties": false,
        },
        "outputSchema": {
            "type": "object",
            "properties": { "sent": { "type": "boolean", "description": "Whether the client wanted the message." } },
            "required": ["sent"],
        },
        "annotations":
            { "readOnlyHint": false, "destructiveHint": false, "idempotentHint": false, "openWorldHint": false },
    })
}

fn status(status: &ProcessStatus) -> ToolResult {
    let structured = json!(status);
    ToolResult::structured(structured.to_string(), structured)
}

fn wait(call: &ToolCall<'_>, wait: &Wait) -> Result<Outcome, String> {
    let Wait { milliseconds, .. } = *wait;
    let steps = wait.steps.unwrap_or(1);
    if milliseconds > WAIT_MS_MAX {
        return Err(format!("`milliseconds` is more than {WAIT_MS_MAX}"));
    }
    if !(1..=WAIT_STEPS_MAX).contains(&steps) {
        return Err(format!("`steps` is not between 1 and {WAIT_STEPS_MAX}"));
    }
    let result = ToolResult::structured(
        format!("waited {milliseconds} ms"),
        json!({ "milliseconds": milliseconds, "steps": steps }),
    );
    let total = Duration::from_millis(milliseconds.into());
    let Some(token) = &call.progress_token else {
        return Ok(Outcome { notifications: Vec::new(), answer_after: total, result });
    };
    let progress = |step: u32| {
        let message = format!("step {step} of {steps}");
        json!({ "progressToken": token, "progress": step, "total": steps, "message": message })
    };
    let notifications = (1..=steps)
        .map(|step| TimedMessage {
            after: total / steps,
            message: rpc::notification("notifications/progress", progress(step)),
        })
        .collect();
    Ok(Outcome { notifications, answer_after: Duration::ZERO, result })
}

fn write_log(call: &ToolCall<'_>, log: &Log) -> Outcome {
    let sent = call.log_level.is_some_and(|lowest| log.level >= lowest);
    let logger = log.logger.as_deref().unwrap_or("demo");
    let params = json!({ "level": log.level, "logger": logger, "data": log.message });
    let step = TimedMessage { after: Duration::ZERO, message: rpc::notification("notifications/message", params) };
    let text = if sent { "sent" } else { "not sent: the client does not want messages of this level" };
    Outcome {
        notifications: sent.then_some(step).into_iter().collect(),
        ..ToolResult::structured(text, json!({ "sent": sent })).into()
    }
}

fn refused(reason: String) -> Outcome {
    ToolResult::error(reason).into()
}
