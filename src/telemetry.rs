//! What the gateway says of itself: log lines on stderr.

use std::io::IsTerminal as _;
#[cfg(feature = "admin")]
use std::sync::OnceLock;

pub(crate) use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;
#[cfg(feature = "admin")]
use tracing_subscriber::{Registry, layer::SubscriberExt as _, reload};

/// Longest text of a peer in a log line.
pub(crate) const TEXT_BYTES_MAX: usize = 512;

/// How much is logged, if the log is the gateway's own.
#[cfg(feature = "admin")]
static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

/// Sends log lines to stderr from now on; a second call changes nothing.
#[cfg(not(feature = "admin"))]
pub(crate) fn log_to_stderr(level: LevelFilter) {
    let subscriber = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_max_level(level)
        .with_span_events(FmtSpan::NONE)
        .with_target(false)
        .finish();
    // Already set: an embedder logs its own way.
    drop(tracing::subscriber::set_global_default(subscriber));
}

/// Sends log lines to stderr from now on; a second call changes nothing.
#[cfg(feature = "admin")]
pub(crate) fn log_to_stderr(level: LevelFilter) {
    let (level, handle) = reload::Layer::new(level);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_span_events(FmtSpan::NONE)
        .with_target(false);
    let subscriber = tracing_subscriber::registry().with(level).with(lines);
    // Already set: an embedder logs its own way, and how much is not for the gateway to say.
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        drop(LEVEL.set(handle));
    }
}

/// How much is logged; `None` where an embedder decides that.
#[cfg(feature = "admin")]
pub(crate) fn log_level() -> Option<LevelFilter> {
    LEVEL.get()?.clone_current()
}

/// Logs more or less from now on; `false` where an embedder decides that.
#[cfg(feature = "admin")]
pub(crate) fn set_log_level(level: LevelFilter) -> bool {
    LEVEL.get().is_some_and(|handle| handle.reload(level).is_ok())
}

/// Text of a peer as part of one log line: control characters escaped, cut at a bound.
#[must_use]
pub(crate) fn one_line(text: &[u8]) -> String {
    let cut = &text[..text.len().min(TEXT_BYTES_MAX)];
    let mut line = String::with_capacity(cut.len());
    for character in String::from_utf8_lossy(cut).chars() {
        if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    if cut.len() < text.len() {
        line.push('…');
    }
    line
}

/// Something said, with the causes of an error behind it, in one line.
#[cfg(any(feature = "admin", feature = "amendments", feature = "authoring", feature = "tls"))]
pub(crate) fn chain(said: String, error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(said, |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_peers_stays_on_its_line() {
        for (text, expected) in
            [("plain", "plain"), ("a\r\nb\u{1b}[31m", "a\\r\\nb\\u{1b}[31m"), ("a\u{2028}b", "a\\u{2028}b")]
        {
            assert_eq!(one_line(text.as_bytes()), expected);
        }
        assert!(one_line(&[b'a'; 1 << 20]).len() <= TEXT_BYTES_MAX + '…'.len_utf8());
    }
}
