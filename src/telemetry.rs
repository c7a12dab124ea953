//! What the gateway says of itself: log lines on stderr.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// Longest text of a peer in a log line.
pub(crate) const TEXT_BYTES_MAX: usize = 512;

/// Sends log lines to stderr from now on; a second call changes nothing.
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
#[cfg(any(feature = "authoring", feature = "tls"))]
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
