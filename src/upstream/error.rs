//! What can go wrong between the gateway and a backend, and what is proven when it does.

use std::fmt;
use std::time::Duration;

use crate::limits;

/// A call that got no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind}: {detail}")]
pub struct Error {
    /// Which of the closed list of kinds.
    pub kind: Kind,
    /// Whether any byte of the call may have reached the backend.
    pub sent: bool,
    /// One line for people: what was seen.
    pub detail: String,
    /// After how long it may be of use to try again, where that is known.
    pub retry_after: Option<Duration>,
}

/// The upstream part of the closed list of error kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Not reachable; proven not sent.
    Unavailable,
    /// Sent, and no answer within the deadline.
    Timeout,
    /// Sent, and the connection or the child was lost.
    OutcomeUnknown,
    /// The backend broke the protocol.
    Protocol,
    /// The answer is over its limit.
    ResponseTooLarge,
    /// The backend refused the gateway's credentials.
    Auth,
    /// No trust could be established with the backend.
    Tls,
    /// Too many calls wait for the backend; proven not sent.
    Overloaded,
    /// The backend failed too often, and is left alone for a while; proven not sent.
    CircuitOpen,
    /// The client went away before the backend had answered.
    ClientGone,
}

/// A link to a backend could not be prepared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// An `env:` reference whose variable is not set.
    VariableMissing {
        /// The backend.
        backend: String,
        /// The variable.
        name: String,
    },
    /// A `file:` reference whose file cannot be read.
    FileUnreadable {
        /// The backend.
        backend: String,
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A resolved value is not what it has to be.
    Invalid {
        /// The backend.
        backend: String,
        /// What is wrong with which value.
        detail: String,
    },
    /// The transport is not part of this binary.
    NotCompiled {
        /// The backend.
        backend: String,
    },
}

// === impl OpenError ===

impl OpenError {
    /// The error without the name of its backend.
    #[must_use]
    pub fn why(&self) -> String {
        match self {
            Self::VariableMissing { name, .. } => format!("environment variable `{name}` is not set"),
            Self::FileUnreadable { path, .. } => format!("file `{path}` cannot be read"),
            Self::Invalid { detail, .. } => detail.clone(),
            Self::NotCompiled { .. } => "its transport is not compiled in".to_owned(),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::VariableMissing { backend, .. }
        | Self::FileUnreadable { backend, .. }
        | Self::Invalid { backend, .. }
        | Self::NotCompiled { backend }) = self;
        write!(f, "backend `{backend}`: {}", self.why())
    }
}

// === impl Error ===

impl Error {
    /// An error of this kind.
    pub fn new(kind: Kind, sent: bool, detail: impl Into<String>) -> Self {
        Self { kind, sent, detail: detail.into(), retry_after: None }
    }

    /// With what is known of when to try again.
    pub(super) fn retry_after(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }

    /// Not reachable, nothing sent.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, false, detail)
    }

    /// There is no place for it now, nothing sent.
    pub(super) fn full(detail: impl Into<String>) -> Self {
        Self::new(Kind::Overloaded, false, detail).retry_after(limits::FULL_RETRY_AFTER)
    }

    /// For how long the server asks to be left alone. What is too much for a bound of this side is not its wish.
    pub(super) fn rest(&self) -> Option<Duration> {
        self.retry_after.filter(|_| self.kind != Kind::Overloaded)
    }

    /// The connection was lost: what is known depends on whether anything had been sent.
    pub fn lost(sent: bool, detail: impl Into<String>) -> Self {
        Self::new(if sent { Kind::OutcomeUnknown } else { Kind::Unavailable }, sent, detail)
    }

    /// The backend broke the protocol while answering.
    pub fn protocol(detail: impl Into<String>) -> Self {
        Self::new(Kind::Protocol, true, detail)
    }

    /// An error of a greeting, as it concerns the call that waited for it.
    pub(super) fn before_the_call(self) -> Self {
        let kind = if self.kind == Kind::OutcomeUnknown { Kind::Unavailable } else { self.kind };
        Self { kind, sent: false, ..self }
    }

    /// Nobody is left to answer.
    #[must_use]
    pub fn client_gone() -> Self {
        Self::new(Kind::ClientGone, true, "the client is gone")
    }
}

impl From<super::Gone> for Error {
    fn from(_: super::Gone) -> Self {
        Self::client_gone()
    }
}

// === impl Kind ===

impl Kind {
    /// Every kind, each at its index.
    pub const ALL: [Self; 10] = [
        Self::Unavailable,
        Self::Timeout,
        Self::OutcomeUnknown,
        Self::Protocol,
        Self::ResponseTooLarge,
        Self::Auth,
        Self::Tls,
        Self::Overloaded,
        Self::CircuitOpen,
        Self::ClientGone,
    ];

    /// Its name in `error.data.kind`, in logs and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "upstream_unavailable",
            Self::Timeout => "upstream_timeout",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Protocol => "upstream_protocol_error",
            Self::ResponseTooLarge => "upstream_response_too_large",
            Self::Auth => "upstream_auth",
            Self::Tls => "upstream_tls",
            Self::Overloaded => "overloaded",
            Self::CircuitOpen => "circuit_open",
            Self::ClientGone => "client_gone",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_server_has_itself_left_alone() {
        let asked = Duration::from_secs(7);
        assert_eq!(Error::protocol("it answered 503").retry_after(asked).rest(), Some(asked));
        assert_eq!(Error::protocol("it answered 500").rest(), None);
        let full = Error::full("its queue is full");
        assert_eq!((full.rest(), full.retry_after), (None, Some(limits::FULL_RETRY_AFTER)));
    }
}
