//! Lines of a child's stdout: cut out of what was read, bounded, scanned.

use bytes::{Bytes, BytesMut};

use crate::limits;
use crate::mcp::envelope::Outgoing;
use crate::mcp::lines::{Lines, TooLong};
use crate::upstream::Dropped;
use crate::upstream::multiplex::{Strays, TooMany};

/// Collects what was read and yields messages.
#[derive(Debug)]
pub(super) struct Framer {
    lines: Lines,
    strays: Strays,
}

/// The child does not speak the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FramingError {
    #[error("it wrote a line of more than {} bytes", limits::LINE_BYTES_MAX)]
    LineTooLong,
    #[error(transparent)]
    Banners(#[from] TooMany),
}

impl Default for Framer {
    fn default() -> Self {
        Self { lines: Lines::new(limits::LINE_BYTES_MAX), strays: Strays::default() }
    }
}

impl Framer {
    /// Where to read to.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        self.lines.buffer()
    }

    /// The next message that is whole. Of a line that is none but begins like one, only the id is there.
    pub(super) fn next(&mut self, backend: &str, dropped: &Dropped) -> Result<Option<(Bytes, Outgoing)>, FramingError> {
        loop {
            let Some(line) = self.lines.next().map_err(|TooLong| FramingError::LineTooLong)? else { return Ok(None) };
            if let Some(head) = self.strays.scan((backend, dropped), &line)? {
                return Ok(Some((line, head)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8], step: usize) -> Vec<String> {
        let (mut framer, dropped) = (Framer::default(), Dropped::default());
        let mut found = Vec::new();
        for part in input.chunks(step) {
            framer.buffer().extend_from_slice(part);
            while let Some((line, _)) = framer.next("test", &dropped).expect("within bounds") {
                found.push(String::from_utf8_lossy(&line).into_owned());
            }
        }
        found
    }

    #[test]
    fn lines_are_the_same_for_any_chunking() {
        let input = b"banner\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\r\n\n\0\0\n{\"jsonrpc\":\"2.0\",\"method\":\"m\"}\n{\"half";
        for step in 1..=input.len() {
            let expected = [r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, r#"{"jsonrpc":"2.0","method":"m"}"#];
            assert_eq!(lines(input, step), expected, "step {step}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused_at_the_bound() {
        let mut framer = Framer::default();
        framer.buffer().extend_from_slice(&vec![b' '; limits::LINE_BYTES_MAX + 1]);
        assert_eq!(framer.next("test", &Dropped::default()).err(), Some(FramingError::LineTooLong));
    }

    #[test]
    fn endless_banners_are_refused() {
        let mut framer = Framer::default();
        framer.buffer().extend_from_slice("banner\n".repeat(limits::BANNER_LINES_MAX as usize + 1).as_bytes());
        assert_eq!(framer.next("test", &Dropped::default()).err(), Some(FramingError::Banners(TooMany)));
    }
}
