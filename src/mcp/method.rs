//! The requests that the gateway serves.

use crate::catalog::ListKind;

/// A request method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `initialize`, legacy only.
    Initialize,
    /// `ping`, legacy only.
    Ping,
    /// `server/discover`, modern only.
    Discover,
    /// One of the four lists.
    List(ListKind),
    /// A call that a backend answers.
    Call(CallKind),
}

/// A call that a backend answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// `tools/call`, about `params.name`.
    Tool,
    /// `prompts/get`, about `params.name`.
    Prompt,
    /// `resources/read`, about `params.uri`.
    Resource,
}

impl Method {
    /// The method with this name, `None` for all others.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "tools/call" => Self::Call(CallKind::Tool),
            "prompts/get" => Self::Call(CallKind::Prompt),
            "resources/read" => Self::Call(CallKind::Resource),
            "tools/list" => Self::List(ListKind::Tools),
            "prompts/list" => Self::List(ListKind::Prompts),
            "resources/list" => Self::List(ListKind::Resources),
            "resources/templates/list" => Self::List(ListKind::Templates),
            "server/discover" => Self::Discover,
            "initialize" => Self::Initialize,
            "ping" => Self::Ping,
            _ => return None,
        })
    }
}

impl CallKind {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tool => "tools/call",
            Self::Prompt => "prompts/get",
            Self::Resource => "resources/read",
        }
    }
}
