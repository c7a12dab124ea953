//! The requests that the gateway serves, and the severities of log messages.

/// A severity of `notifications/message` (RFC 5424), least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(u8);

/// A request method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `initialize`, legacy only.
    Initialize,
    /// `ping`, legacy only.
    Ping,
    /// `logging/setLevel`, legacy only.
    SetLevel,
    /// `resources/subscribe`, legacy only.
    Subscribe,
    /// `resources/unsubscribe`, legacy only.
    Unsubscribe,
    /// `server/discover`, modern only.
    Discover,
    /// `subscriptions/listen`, modern only.
    Listen,
    /// One of the four lists.
    List(ListKind),
    /// A call that a backend answers.
    Call(CallKind),
}

/// The four lists of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// `tools/list`
    Tools,
    /// `prompts/list`
    Prompts,
    /// `resources/list`
    Resources,
    /// `resources/templates/list`
    Templates,
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
    /// `completion/complete`, about the prompt, resource or template that `params.ref` names.
    Completion,
    /// One about the task that `params.taskId` names.
    Task(TaskKind),
    /// One whose method is of no revision: a server's own affair, or that of an extension.
    Beyond,
}

/// A call about a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// `tasks/get`
    Get,
    /// `tasks/result`, legacy only.
    Result,
    /// `tasks/update`, modern only.
    Update,
    /// `tasks/cancel`
    Cancel,
}

// === impl Level ===

impl Level {
    const NAMES: [&'static str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
    /// What a session gets that named none.
    pub const DEFAULT: Self = Self(1);

    /// The severity with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        (0..).zip(Self::NAMES).find(|(_, known)| *known == name).map(|(level, _)| Self(level))
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::NAMES[usize::from(self.0)]
    }
}

impl From<Level> for u8 {
    fn from(level: Level) -> Self {
        level.0
    }
}

impl TryFrom<u8> for Level {
    type Error = u8;

    fn try_from(level: u8) -> Result<Self, u8> {
        if usize::from(level) < Self::NAMES.len() { Ok(Self(level)) } else { Err(level) }
    }
}

// === impl Method ===

impl Method {
    /// The method with this name; `None` for those that the protocol has and the gateway never serves.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "tools/call" => Self::Call(CallKind::Tool),
            "prompts/get" => Self::Call(CallKind::Prompt),
            "resources/read" => Self::Call(CallKind::Resource),
            "completion/complete" => Self::Call(CallKind::Completion),
            "tasks/get" => Self::Call(CallKind::Task(TaskKind::Get)),
            "tasks/result" => Self::Call(CallKind::Task(TaskKind::Result)),
            "tasks/update" => Self::Call(CallKind::Task(TaskKind::Update)),
            "tasks/cancel" => Self::Call(CallKind::Task(TaskKind::Cancel)),
            "tools/list" => Self::List(ListKind::Tools),
            "prompts/list" => Self::List(ListKind::Prompts),
            "resources/list" => Self::List(ListKind::Resources),
            "resources/templates/list" => Self::List(ListKind::Templates),
            "server/discover" => Self::Discover,
            "subscriptions/listen" => Self::Listen,
            "resources/subscribe" => Self::Subscribe,
            "resources/unsubscribe" => Self::Unsubscribe,
            "initialize" => Self::Initialize,
            "ping" => Self::Ping,
            "logging/setLevel" => Self::SetLevel,
            // Clients share sessions with servers, and would see the tasks of others.
            "tasks/list" => return None,
            // What servers ask of clients.
            "sampling/createMessage" | "elicitation/create" | "roots/list" => return None,
            _ => Self::Call(CallKind::Beyond),
        })
    }
}

// === impl CallKind ===

impl CallKind {
    /// Its name on the wire; empty for one that only its message names.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Beyond => "",
            Self::Tool => "tools/call",
            Self::Prompt => "prompts/get",
            Self::Resource => "resources/read",
            Self::Completion => "completion/complete",
            Self::Task(TaskKind::Get) => "tasks/get",
            Self::Task(TaskKind::Result) => "tasks/result",
            Self::Task(TaskKind::Update) => "tasks/update",
            Self::Task(TaskKind::Cancel) => "tasks/cancel",
        }
    }

    /// Whether its answer may require input of the client (MCP 2026-07-28, multi round-trip requests). What a task
    /// requires it has its own way for.
    #[must_use]
    pub fn may_require_input(self) -> bool {
        matches!(self, Self::Tool | Self::Prompt | Self::Resource)
    }
}
