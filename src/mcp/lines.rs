//! Messages as lines (MCP 2026-07-28, stdio): cut out of what was read, however it came, and bounded.

use bytes::{Buf as _, Bytes, BytesMut};

/// How much is read at once.
const READ_BYTES: usize = 64 << 10;
/// Less room than this is not worth a read.
const ROOM_BYTES_MIN: usize = 4 << 10;

/// Collects what was read and yields lines.
#[derive(Debug)]
pub(crate) struct Lines {
    buffer: BytesMut,
    /// Bytes of `buffer` known to hold no line feed.
    searched: usize,
    length_max: usize,
    /// The rest of a line that is too long is still coming.
    skipping: bool,
}

/// A line is longer than it may be. It is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Lines {
    /// Lines of at most so many bytes.
    pub(crate) fn new(length_max: usize) -> Self {
        Self { buffer: BytesMut::new(), searched: 0, length_max, skipping: false }
    }

    /// Where to read to.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        if self.buffer.capacity() - self.buffer.len() < ROOM_BYTES_MIN {
            self.buffer.reserve(READ_BYTES);
        }
        &mut self.buffer
    }

    /// The next line that is whole and not blank, without its end.
    ///
    /// # Errors
    /// It is too long; said once, as soon as that is known.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, TooLong> {
        loop {
            let Some(length) = memchr::memchr(b'\n', &self.buffer[self.searched..]) else {
                self.searched = self.buffer.len();
                if self.searched <= self.length_max {
                    return Ok(None);
                }
                self.buffer.clear();
                self.searched = 0;
                return if std::mem::replace(&mut self.skipping, true) { Ok(None) } else { Err(TooLong) };
            };
            let length = self.searched + length;
            self.searched = 0;
            let mut line = self.buffer.split_to(length).freeze();
            self.buffer.advance(1);
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if length > self.length_max {
                return Err(TooLong);
            }
            if line.ends_with(b"\r") {
                line.truncate(length - 1);
            }
            if !line.iter().all(|byte| matches!(byte, b' ' | b'\t' | 0)) {
                return Ok(Some(line));
            }
        }
    }

    /// What was read behind the last line feed, when nothing more comes.
    pub(crate) fn rest(self) -> Option<Bytes> {
        let blank = self.buffer.iter().all(u8::is_ascii_whitespace);
        (!blank && !self.skipping).then(|| self.buffer.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8], step: usize, length_max: usize) -> Vec<Result<String, TooLong>> {
        let mut lines = Lines::new(length_max);
        let mut found = Vec::new();
        let text = |line: Bytes| String::from_utf8_lossy(&line).into_owned();
        for part in input.chunks(step) {
            lines.buffer().extend_from_slice(part);
            loop {
                match lines.next() {
                    Ok(Some(line)) => found.push(Ok(text(line))),
                    Ok(None) => break,
                    Err(TooLong) => found.push(Err(TooLong)),
                }
            }
        }
        found.extend(lines.rest().map(|line| Ok(text(line))));
        found
    }

    #[test]
    fn lines_are_the_same_for_any_chunking() {
        let input = b"one\ntwo\r\n\n \t\n\0\0\nthree and a half";
        for step in 1..=input.len() {
            let expected = ["one", "two", "three and a half"].map(|line| Ok(line.to_owned()));
            assert_eq!(lines(input, step, 100), expected, "step {step}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_said_once() {
        let input = [b"one\n", "x".repeat(1000).as_bytes(), b"\ntwo\n", "y".repeat(1000).as_bytes()].concat();
        for step in [1, 7, 99, 100, 101, 1000, input.len()] {
            let expected = [Ok("one".to_owned()), Err(TooLong), Ok("two".to_owned()), Err(TooLong)];
            assert_eq!(lines(&input, step, 100), expected, "step {step}");
        }
    }
}
