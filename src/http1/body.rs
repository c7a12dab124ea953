//! Bodies: how they are framed, and an incremental decoder that yields their bytes for any chunking of the input.

use crate::limits;

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
    /// Everything until the connection closes, or the stream of HTTP/2. No request of HTTP/1.1 is framed so.
    UntilClose,
}

/// A chunked body broke its framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed chunked body: {0}")]
pub(crate) struct BodyError(&'static str);

/// Longest chunk-size line, extensions included.
const CHUNK_LINE_MAX: usize = 256;

/// Decodes one body. Feed it what was read; it says how much of it belongs to the body.
#[derive(Debug)]
pub(crate) struct BodyDecoder {
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Done,
    Length(u64),
    UntilClose,
    /// In a chunk-size line: the size so far, whether a digit was seen, whether past the digits, bytes of the line.
    Size {
        size: u64,
        digits: u32,
        extension: bool,
        line: usize,
        cr: bool,
    },
    Data(u64),
    /// After chunk data: CR, then LF.
    DataEnd {
        cr: bool,
    },
    /// In the trailer section: bytes in the current line, total bytes, fields.
    Trailer {
        line: usize,
        total: usize,
        fields: usize,
        cr: bool,
    },
}

const SIZE: State = State::Size { size: 0, digits: 0, extension: false, line: 0, cr: false };

impl BodyDecoder {
    /// A decoder for a body framed so.
    #[must_use]
    pub(crate) fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => SIZE,
            Framing::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// Whether the body is complete.
    #[must_use]
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the connection's end completes the body.
    #[must_use]
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.state == State::UntilClose
    }

    /// Appends the body bytes at the front of `input` to `out` and returns how many bytes of input it took: all of
    /// them, unless the body ended.
    ///
    /// # Errors
    /// The chunked coding is malformed; the connection is of no more use.
    pub(crate) fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, BodyError> {
        let mut at = 0;
        while at < input.len() {
            let rest = &input[at..];
            match &mut self.state {
                State::Done => break,
                State::UntilClose => {
                    out.extend_from_slice(rest);
                    at = input.len();
                }
                State::Length(left) | State::Data(left) => {
                    let take = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    out.extend_from_slice(&rest[..take]);
                    at += take;
                    *left -= take as u64;
                    if *left == 0 {
                        self.state = match self.state {
                            State::Data(_) => State::DataEnd { cr: false },
                            _ => State::Done,
                        };
                    }
                }
                State::Size { .. } | State::DataEnd { .. } | State::Trailer { .. } => {
                    self.state = self.state.step(rest[0])?;
                    at += 1;
                }
            }
        }
        Ok(at)
    }
}

impl State {
    /// One byte of the chunked coding outside of chunk data (RFC 9112 §7.1).
    fn step(self, byte: u8) -> Result<Self, BodyError> {
        match self {
            Self::Size { size, cr: true, .. } => match (byte, size) {
                (b'\n', 0) => Ok(Self::Trailer { line: 0, total: 0, fields: 0, cr: false }),
                (b'\n', size) => Ok(Self::Data(size)),
                _ => Err(BodyError("carriage return in a chunk size")),
            },
            Self::Size { line: CHUNK_LINE_MAX.., .. } => Err(BodyError("chunk size line is too long")),
            Self::Size { size, digits, extension, line, cr: false } => {
                let line = line + 1;
                match (byte, char::from(byte).to_digit(16)) {
                    (_, Some(digit)) if !extension && digits < 15 => {
                        let size = size << 4 | u64::from(digit);
                        Ok(Self::Size { size, digits: digits + 1, extension, line, cr: false })
                    }
                    (_, Some(_)) if !extension => Err(BodyError("chunk size is out of range")),
                    (b'\r', _) if digits > 0 => Ok(Self::Size { size, digits, extension, line, cr: true }),
                    (b'\n', _) => Err(BodyError("line feed without carriage return")),
                    (b';', _) if digits > 0 => Ok(Self::Size { size, digits, extension: true, line, cr: false }),
                    _ if extension => Ok(Self::Size { size, digits, extension, line, cr: false }),
                    _ => Err(BodyError("chunk size is not hexadecimal")),
                }
            }
            Self::DataEnd { cr: false } if byte == b'\r' => Ok(Self::DataEnd { cr: true }),
            Self::DataEnd { cr: true } if byte == b'\n' => Ok(SIZE),
            Self::DataEnd { .. } => Err(BodyError("chunk data is not followed by its line end")),
            Self::Trailer { line, total, fields, cr } => match byte {
                _ if total >= limits::HEAD_BYTES_MAX || fields > limits::FIELDS_MAX => {
                    Err(BodyError("trailer section is too large"))
                }
                b'\n' if cr && line == 0 => Ok(Self::Done),
                b'\n' if cr => Ok(Self::Trailer { line: 0, total: total + 1, fields: fields + 1, cr: false }),
                _ if cr => Err(BodyError("carriage return in a trailer")),
                b'\n' => Err(BodyError("line feed without carriage return")),
                b'\r' => Ok(Self::Trailer { line, total: total + 1, fields, cr: true }),
                _ => Ok(Self::Trailer { line: line + 1, total: total + 1, fields, cr: false }),
            },
            other => Ok(other),
        }
    }
}

#[cfg(test)]
mod tests;
