//! How much a legacy backend was told to log (MCP 2025-11-25, logging): as much as anybody wants with whom its session is
//! shared. What is too much for one of them is sorted out where it is relayed. A modern backend is told with each message.

use std::cell::Cell;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Call, Greeting};
use crate::catalog::Era;
use crate::mcp::method::Level;

/// Of one session.
#[derive(Debug, Default)]
pub(super) struct Verbosity {
    /// Whether it can be told.
    settable: bool,
    told: Cell<Option<Level>>,
}

/// What the client of a call wants to read of its log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    level: Level,
    /// Nobody may have said so: as good as what the backend logs unless it is told.
    default: bool,
}

// === impl Verbosity ===

impl Verbosity {
    /// A session that has just begun.
    pub(super) fn new(greeting: &Greeting) -> Self {
        #[derive(Deserialize)]
        struct Result<'a> {
            #[serde(borrow)]
            capabilities: Capabilities<'a>,
        }
        #[derive(Deserialize)]
        struct Capabilities<'a> {
            #[serde(borrow)]
            logging: Option<&'a RawValue>,
        }
        let declares = || {
            let result = serde_json::from_slice::<Result<'_>>(&greeting.result).ok();
            result.is_some_and(|result| result.capabilities.logging.is_some())
        };
        Self { settable: greeting.era == Era::Legacy && declares(), told: Cell::default() }
    }

    /// The level that it has to be told now, because somebody wants to read more than was asked of it so far.
    pub(super) fn lower(&self, wanted: Option<Wanted>) -> Option<Level> {
        let Wanted { level, default } = wanted.filter(|_| self.settable)?;
        let lower = match self.told.get() {
            Some(told) => level < told,
            None => !default,
        };
        lower.then_some(level)
    }

    /// It has been told that.
    pub(super) fn told(&self, level: Level) {
        self.told.set(Some(level));
    }
}

// === impl Wanted ===

impl Wanted {
    /// By the client of a call.
    pub(super) fn by(call: &Call<'_>) -> Option<Self> {
        let level = call.log_level?;
        Some(Self { level, default: call.era == Era::Legacy && level >= Level::DEFAULT })
    }
}

/// A `logging/setLevel` request.
pub(super) fn set_level(id: impl std::fmt::Display, level: Level) -> String {
    let level = level.as_str();
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"logging/setLevel","params":{{"level":"{level}"}}}}"#)
}

/// The same under an id that a session sees once, for what it is told only ever gets more.
pub(super) fn set_level_once(level: Level) -> String {
    set_level(format_args!("\"only1mcp-log-{}\"", level.as_str()), level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Revision;

    fn session(result: &str) -> Verbosity {
        let (era, revision, result) = (Era::Legacy, Revision::LEGACY, result.as_bytes().into());
        Verbosity::new(&Greeting { era, revision, result })
    }

    fn wants(name: &str, era: Era) -> Option<Wanted> {
        let level = Level::parse(name).expect("a level");
        Some(Wanted { level, default: era == Era::Legacy && level >= Level::DEFAULT })
    }

    #[test]
    fn it_is_told_when_somebody_wants_more_than_it_was_told_and_never_less() {
        let session = session(r#"{"capabilities":{"logging":{}}}"#);
        let lower = |name: &str, era| {
            let level = session.lower(wants(name, era));
            level.inspect(|level| session.told(*level)).map(Level::as_str)
        };
        assert_eq!(session.lower(None), None);
        assert_eq!([lower("info", Era::Legacy), lower("error", Era::Legacy)], [None, None]);
        assert_eq!(lower("error", Era::Modern), Some("error"));
        assert_eq!([lower("error", Era::Modern), lower("alert", Era::Legacy)], [None, None]);
        // For those, too, who said nothing: they would read less than the backend logs by itself.
        assert_eq!(lower("info", Era::Legacy), Some("info"));
        assert_eq!(lower("debug", Era::Legacy), Some("debug"));
        assert_eq!([lower("debug", Era::Modern), lower("info", Era::Legacy)], [None, None]);
    }

    #[test]
    fn one_that_declares_no_logging_is_told_nothing() {
        for result in ["{}", r#"{"capabilities":{"tools":{}}}"#, r#"{"capabilities":[]}"#] {
            assert_eq!(session(result).lower(wants("debug", Era::Modern)), None, "{result}");
        }
    }
}
