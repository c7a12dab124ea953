//! The first words to a backend: `server/discover` for the modern era, `initialize` for the legacy one, and what the
//! answers mean (MCP 2026-07-28, versioning; legacy lifecycle).

use serde::Deserialize;

use super::outbound::id_span;
use super::{Dropped, Error, Message, Reason, Relay};
use crate::catalog::{Era, Revision};
use crate::mcp::client::Profile;
use crate::mcp::envelope::{Outgoing, Shape};
use crate::mcp::subscription::Filter;

/// What a backend said of itself.
#[derive(Clone, Debug)]
pub struct Greeting {
    /// The era it is spoken to in.
    pub era: Era,
    /// The revision agreed on.
    pub revision: Revision,
    /// The `result` object of its answer: `InitializeResult` or `DiscoverResult`.
    pub result: Box<[u8]>,
}

/// What an answer to `server/discover` says of the other side's era.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is modern.
    Modern(Greeting),
    /// It knows the modern era but none of its revisions that the gateway speaks.
    Incompatible(String),
    /// It does not know the method: greet it with `initialize`.
    Legacy,
}

/// Takes the answer to a request of the gateway's own.
#[derive(Debug, Default)]
pub(crate) struct Collected(pub(crate) Option<(Vec<u8>, Outgoing)>);

impl Relay for Collected {
    async fn notification(&mut self, _message: Message<'_>) -> Result<(), Error> {
        Ok(())
    }

    async fn answer(&mut self, message: Message<'_>) -> Result<(), Error> {
        self.0 = Some((message.source.to_vec(), *message.head));
        Ok(())
    }
}

/// The members of `params._meta` that every modern request carries, up to the capabilities of its client.
pub(super) const META: &str = concat!(
    r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
    r#""io.modelcontextprotocol/clientInfo":{"name":"only1mcp","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""},"io.modelcontextprotocol/clientCapabilities":"#
);

/// The capabilities of a client that follows tasks.
const FOLLOWS_TASKS: &str = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;

/// `notifications/initialized`
pub(super) const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// A `server/discover` request.
pub(super) fn discover(id: u64) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"server/discover","params":{{"_meta":{{{META}{{}}}}}}}}"#)
}

/// A `subscriptions/listen` request of the gateway's own, which still needs an id.
pub(crate) fn subscriptions_listen(wanted: &Filter) -> String {
    // Of tasks nobody else is told.
    let capabilities = if wanted.task_ids.is_empty() { "{}" } else { FOLLOWS_TASKS };
    let wanted = wanted.json();
    format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"subscriptions/listen","params":{{"_meta":{{{META}{capabilities}}},"notifications":{wanted}}}}}"#
    )
}

/// A `tools/list` request of the gateway's own, the same.
pub(crate) fn tools_list(cursor: Option<&str>) -> String {
    let cursor = cursor.map(|cursor| format!(r#""cursor":{},"#, serde_json::Value::from(cursor))).unwrap_or_default();
    format!(r#"{{"jsonrpc":"2.0","id":0,"method":"tools/list","params":{{{cursor}"_meta":{{{META}{{}}}}}}}}"#)
}

/// An `initialize` request: the newest legacy revision, and what clients of this profile can do.
pub(super) fn initialize(id: u64, profile: Profile) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"initialize","params":{{"protocolVersion":"{}","capabilities":{},"clientInfo":{{"name":"only1mcp","version":"{}"}}}}}}"#,
        Revision::LEGACY,
        profile.capabilities(),
        env!("CARGO_PKG_VERSION")
    )
}

/// Reads the answer to `server/discover`. Only a discover result or one of the modern error codes means modern: no
/// single code means legacy (servers answer with at least four).
pub(super) fn verdict(source: &[u8], head: &Outgoing) -> Verdict {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Discovered {
        supported_versions: Vec<String>,
    }
    if let Some(result) = head.result {
        let result = result.span.of(source);
        let Ok(discovered) = serde_json::from_slice::<Discovered>(result) else { return Verdict::Legacy };
        return if discovered.supported_versions.iter().any(|version| version == Revision::MODERN.as_str()) {
            Verdict::Modern(Greeting { era: Era::Modern, revision: Revision::MODERN, result: result.into() })
        } else if discovered.supported_versions.iter().any(|version| Revision::parse(version.as_bytes()).is_some()) {
            Verdict::Legacy
        } else {
            Verdict::Incompatible(format!("it speaks {}", discovered.supported_versions.join(", ")))
        };
    }
    match error_code(source, head) {
        // What it names may all be of the other era: some know the code and none of its revisions.
        Some(-32022) if names_legacy_alone(source, head) => Verdict::Legacy,
        Some(-32022..=-32020) => Verdict::Incompatible(error_line(source, head)),
        _ => Verdict::Legacy,
    }
}

/// Whether an answer to `server/discover` refuses the revision and names it as supported nevertheless: it wants to be
/// asked once more (MCP 2026-07-28, versioning).
pub(super) fn wants_another(source: &[u8], head: &Outgoing) -> bool {
    error_code(source, head) == Some(-32022) && supported(source, head).contains(&Revision::MODERN)
}

/// Whether an error names the revisions that are supported, and the gateway knows some of the legacy era and no others.
fn names_legacy_alone(source: &[u8], head: &Outgoing) -> bool {
    let supported = supported(source, head);
    !supported.is_empty() && supported.iter().all(|revision| revision.era() == Era::Legacy)
}

/// The revisions that an error names as supported, as far as the gateway knows them.
fn supported(source: &[u8], head: &Outgoing) -> Vec<Revision> {
    #[derive(Deserialize)]
    struct Supported {
        supported: Vec<String>,
    }
    let data = head.error_data.and_then(|data| serde_json::from_slice::<Supported>(data.span.of(source)).ok());
    let named = data.map(|data| data.supported).unwrap_or_default();
    named.iter().filter_map(|version| Revision::parse(version.as_bytes())).collect()
}

/// Reads the answer to `initialize`.
pub(super) fn initialized(source: &[u8], head: &Outgoing) -> Result<Greeting, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Initialized {
        protocol_version: String,
    }
    let Some(result) = head.result.map(|result| result.span.of(source)) else {
        return Err(format!("`initialize` was refused: {}", error_line(source, head)));
    };
    let initialized: Initialized = serde_json::from_slice(result)
        .map_err(|error| format!("`initialize` was answered with no version: {error}"))?;
    match Revision::parse(initialized.protocol_version.as_bytes()) {
        Some(revision) if revision.era() == Era::Legacy => {
            Ok(Greeting { era: Era::Legacy, revision, result: result.into() })
        }
        _ => Err(format!("`initialize` was answered with version `{}`", initialized.protocol_version)),
    }
}

/// `notifications/cancelled` for a call of the gateway.
pub(super) fn cancelled(id: u64) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#)
}

/// Why a request of a backend that belongs to no call is refused.
pub(super) const UNASKED: &str = "no client request in progress";
/// Why one is that nobody can be asked.
pub(super) const UNREACHED: &str = "the client cannot be asked";

/// Whether a request of a backend is one that it may make of clients of this profile.
pub(super) fn may_ask(source: &[u8], head: &Outgoing, declared: Profile) -> bool {
    declared != Profile::NONE
        && head.version_ok
        && id_span(head.id).is_some()
        && head.method.is_some_and(|method| declared.answers(&method.decode(source)))
}

/// What the gateway itself answers to a request that a backend makes, which was told that its client has this profile:
/// `why` nobody else does. What is refused is counted; without an id it can only be dropped.
pub(super) fn reply(
    source: &[u8],
    head: &Outgoing,
    (declared, why): (Profile, &str),
    dropped: &Dropped,
) -> Option<String> {
    debug_assert_eq!(head.shape, Shape::Request, "only requests are replied to");
    let Some(id) = id_span(head.id) else {
        dropped.add(Reason::Request);
        return None;
    };
    let id = String::from_utf8_lossy(id.of(source));
    let result = |result: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    let error = |code: i32, message: &str| {
        dropped.add(Reason::Request);
        format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{message}"}}}}"#)
    };
    Some(match head.method.map(|method| method.decode(source)).as_deref() {
        Some("ping") => result("{}"),
        // Servers ask for them as soon as the session begins, and go without.
        Some("roots/list") if declared.has(Profile::ROOTS) => result(r#"{"roots":[]}"#),
        Some(method) if declared.answers(method) => error(-32600, why),
        _ => error(-32601, "the gateway declared no capability for this request"),
    })
}

/// The code of an error answer.
pub(super) fn error_code(source: &[u8], head: &Outgoing) -> Option<i64> {
    std::str::from_utf8(head.error_code?.span.of(source)).ok()?.parse().ok()
}

/// An error answer in one line.
pub(super) fn error_line(source: &[u8], head: &Outgoing) -> String {
    let code = error_code(source, head).unwrap_or_default();
    let message = head.error_message.and_then(|message| message.text());
    let message = message.map(|message| message.decode(source).into_owned()).unwrap_or_default();
    format!("{code} {}", crate::telemetry::one_line(message.as_bytes()))
}
