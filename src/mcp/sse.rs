//! Server-sent events, sans-IO: a bounded decoder for what backends stream (WHATWG HTML, 9.2.6) and an encoder for what
//! clients read. Deadlines and what an event means are not here.

use std::time::Duration;

use super::splice::extend_line;

/// Memory kept for the next event; what a longer one needed is given back.
const RETAINED_BYTES: usize = 16 << 10;
const BYTE_ORDER_MARK: [u8; 3] = *b"\xef\xbb\xbf";

/// Splits a stream of bytes into events. Feed it any chunking: the events are the same.
#[derive(Debug)]
pub struct Decoder {
    event_bytes_max: usize,
    /// How much of a byte order mark the stream began with; all of it once that is settled.
    mark: usize,
    /// The last line ended with a carriage return: a line feed right behind it belongs to it.
    after_return: bool,
    /// In the midst of a comment, whose bytes are dropped as they come.
    comment: bool,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    pending: Pending,
    /// `pending` was returned and is to be forgotten.
    returned: bool,
}

/// The event whose end has not come yet.
#[derive(Debug, Default)]
struct Pending {
    /// Its lines so far, comments aside, each with one byte for its end.
    bytes: usize,
    name: String,
    /// From `data_start` on the values of `data:` lines, each with a line feed behind it.
    data: Vec<u8>,
    data_start: usize,
    id: Option<String>,
    /// `id` when an event without data ended: that much is sure, whatever the line in hand says.
    settled_id: Option<String>,
    retry_ms: Option<u64>,
}

/// One event with data. Comments and events without data are not reported.
#[derive(Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// `event:`; empty means `message`.
    pub name: &'a str,
    /// `data:` lines joined by line feeds.
    pub data: &'a [u8],
    /// `id:`, where one stood in this event or in one without data before it.
    pub id: Option<&'a str>,
    /// `retry:` in milliseconds, where one stood in this event or in one without data before it.
    pub retry_ms: Option<u64>,
}

/// An event grew past the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event is longer than {0} bytes")]
pub struct EventTooLong(pub usize);

/// Appends one `message` event. `data` is JSON in pieces; it is put on a single line.
pub fn encode(data: &[&[u8]], out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: message\ndata: ");
    data.iter().for_each(|piece| extend_line(piece, out));
    out.extend_from_slice(b"\n\n");
}

/// One such event.
#[must_use]
pub fn encoded(data: &[&[u8]]) -> Vec<u8> {
    let length: usize = data.iter().map(|piece| piece.len()).sum();
    let mut event = Vec::with_capacity(length + 32);
    encode(data, &mut event);
    event
}

/// Appends the id of the event that follows: a client that lost its connection names the last one it has.
pub fn identify(id: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"id: ");
    out.extend_from_slice(id.as_bytes());
    out.push(b'\n');
}

/// Appends an event without content, by whose id a client comes back, so long after its connection ended.
pub fn prime(id: &str, retry: Duration, out: &mut Vec<u8>) {
    identify(id, out);
    out.extend_from_slice(format!("retry: {}\ndata: \n\n", retry.as_millis()).as_bytes());
}

// === impl Event ===

impl Event<'_> {
    /// Whether its data is a message: it has the name of one or none, and holds something.
    #[must_use]
    pub fn is_message(&self) -> bool {
        matches!(self.name, "" | "message") && !self.data.is_empty()
    }
}

// === impl Decoder ===

impl Decoder {
    /// A decoder that refuses events whose lines, comments aside, have more than `event_bytes_max`.
    #[must_use]
    pub fn new(event_bytes_max: usize) -> Self {
        Self {
            event_bytes_max,
            mark: 0,
            after_return: false,
            comment: false,
            line: Vec::new(),
            pending: Pending::default(),
            returned: false,
        }
    }

    /// Takes bytes in until an event is complete. Returns how many bytes of `input` were taken, and the event if one is
    /// complete; call again with the rest. `(input.len(), None)` means that more input is needed. An event whose data is
    /// one line that lies whole in `input` borrows it from there.
    ///
    /// # Errors
    /// The event in hand is longer than the bound; the decoder must not be used again.
    pub fn decode<'a>(&'a mut self, input: &'a [u8]) -> Result<(usize, Option<Event<'a>>), EventTooLong> {
        if self.returned {
            self.pending.forget();
            self.returned = false;
        }
        let mut taken = self.skip_mark(input);
        // The only data line of the event so far, where it lies in `input`.
        let mut borrowed: Option<&[u8]> = None;
        loop {
            if self.after_return && taken < input.len() {
                self.after_return = false;
                taken += usize::from(input[taken] == b'\n');
            }
            let rest = &input[taken..];
            let Some(length) = memchr::memchr2(b'\n', b'\r', rest) else {
                self.keep(rest)?;
                self.pending.own(borrowed);
                return Ok((input.len(), None));
            };
            self.after_return = rest[length] == b'\r';
            taken += length + 1;
            if std::mem::take(&mut self.comment) {
                continue;
            }
            let line = &rest[..length];
            if !self.line.is_empty() {
                self.line.extend_from_slice(line);
                self.pending.own(borrowed.take());
                self.buffered_line()?;
            } else if line.is_empty() {
                if borrowed.is_some() || self.pending.has_data() {
                    break;
                }
                self.pending.without_data();
            } else if line[0] != b':' {
                self.pending.grow(line.len(), self.event_bytes_max)?;
                if let Some(value) = self.pending.field(line) {
                    if borrowed.is_none() && !self.pending.has_data() {
                        borrowed = Some(&line[value..]);
                    } else {
                        self.pending.own(borrowed.take());
                        self.pending.own(Some(&line[value..]));
                    }
                }
            }
        }
        self.returned = true;
        Ok((taken, Some(self.pending.event(borrowed))))
    }

    /// What was said behind the last event that was returned: the id of an event without data, and `retry:`.
    #[must_use]
    pub fn left(&self) -> (Option<&str>, Option<u64>) {
        if self.returned { (None, None) } else { (self.pending.settled_id.as_deref(), self.pending.retry_ms) }
    }

    /// Skips the byte order mark that a stream may begin with. Returns how many bytes of `input` were taken.
    fn skip_mark(&mut self, input: &[u8]) -> usize {
        let mut taken = 0;
        while self.mark < BYTE_ORDER_MARK.len() && taken < input.len() {
            if input[taken] == BYTE_ORDER_MARK[self.mark] {
                self.mark += 1;
                taken += 1;
            } else {
                self.line.extend_from_slice(&BYTE_ORDER_MARK[..self.mark]);
                self.mark = BYTE_ORDER_MARK.len();
            }
        }
        taken
    }

    /// Keeps the beginning of a line whose end is not in the input.
    fn keep(&mut self, part: &[u8]) -> Result<(), EventTooLong> {
        if self.line.is_empty() && part.first() == Some(&b':') {
            self.comment = true;
        }
        if self.comment {
            return Ok(());
        }
        if self.pending.bytes + self.line.len() + part.len() > self.event_bytes_max {
            return Err(EventTooLong(self.event_bytes_max));
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    /// Takes a line that came in parts and stands in `self.line`.
    fn buffered_line(&mut self) -> Result<(), EventTooLong> {
        self.pending.grow(self.line.len(), self.event_bytes_max)?;
        match self.pending.field(&self.line) {
            // A long answer comes in parts and has no other data: it is not copied once more.
            Some(value) if !self.pending.has_data() => {
                std::mem::swap(&mut self.pending.data, &mut self.line);
                self.pending.data.push(b'\n');
                self.pending.data_start = value;
            }
            Some(value) => self.pending.own(Some(&self.line[value..])),
            None => {}
        }
        empty(&mut self.line);
        Ok(())
    }
}

// === impl Pending ===

impl Pending {
    fn grow(&mut self, line: usize, event_bytes_max: usize) -> Result<(), EventTooLong> {
        self.bytes += line + 1;
        if self.bytes > event_bytes_max { Err(EventTooLong(event_bytes_max)) } else { Ok(()) }
    }

    /// Takes a line that is not empty and not a comment. Returns where the value begins if it is data.
    fn field(&mut self, line: &[u8]) -> Option<usize> {
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let mut value = line.len().min(colon + 1);
        value += usize::from(line.get(value) == Some(&b' '));
        let text = || String::from_utf8_lossy(&line[value..]);
        match &line[..colon] {
            b"data" => return Some(value),
            b"event" => {
                self.name.clear();
                self.name.push_str(&text());
            }
            b"id" if !line[value..].contains(&0) => self.id = Some(text().into_owned()),
            b"retry" if line[value..].iter().all(u8::is_ascii_digit) => {
                // Nothing, and more than a u64 holds, is no time to wait.
                self.retry_ms = text().parse().ok().or(self.retry_ms);
            }
            _ => {}
        }
        None
    }

    fn has_data(&self) -> bool {
        self.data.len() > self.data_start
    }

    /// Copies the value of a data line, if there is one.
    fn own(&mut self, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.data.extend_from_slice(value);
            self.data.push(b'\n');
        }
    }

    fn event<'a>(&'a self, borrowed: Option<&'a [u8]>) -> Event<'a> {
        let data = borrowed.unwrap_or_else(|| &self.data[self.data_start..self.data.len() - 1]);
        Event { name: &self.name, data, id: self.id.as_deref(), retry_ms: self.retry_ms }
    }

    /// An event without data ended: it has no name to go by, but what it said about reconnecting stays.
    fn without_data(&mut self) {
        self.bytes = 0;
        self.name.clear();
        self.settled_id.clone_from(&self.id);
    }

    fn forget(&mut self) {
        self.id = None;
        self.without_data();
        empty(&mut self.data);
        self.data_start = 0;
        self.retry_ms = None;
    }
}

fn empty(buffer: &mut Vec<u8>) {
    if buffer.capacity() > RETAINED_BYTES {
        *buffer = Vec::new();
    } else {
        buffer.clear();
    }
}

#[cfg(test)]
mod tests;
