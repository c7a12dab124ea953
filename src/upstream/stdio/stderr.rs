//! What a child says of itself on stderr: read to the end, so that it never blocks on it; logged as far as is
//! reasonable; its last lines kept for when it ends.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::ChildStderr;
use tokio::task::JoinHandle;

use super::child::LAST_WORDS;
use crate::limits;
use crate::telemetry::{self, one_line};
use crate::upstream::children::Secrets;
use crate::upstream::vitals::Chart;

/// Lines logged a second; the rest is read and kept or dropped.
const LINES_LOGGED_MAX: u32 = 100;
/// Longest line that is read as one.
const LINE_BYTES_MAX: u64 = 4 << 10;

/// The stderr of one child. Nobody reads it any more once this is dropped.
#[derive(Debug)]
pub(super) struct Stderr {
    reading: JoinHandle<()>,
    tail: Rc<RefCell<Tail>>,
}

/// The last lines.
#[derive(Debug, Default)]
struct Tail(VecDeque<Arc<str>>);

// === impl Stderr ===

impl Stderr {
    /// Reads from now on. `secrets` are shown nowhere.
    pub(super) fn read(backend: &str, stderr: ChildStderr, secrets: Arc<Secrets>, chart: Chart) -> Self {
        let tail = Rc::<RefCell<Tail>>::default();
        let reading = read(backend.to_owned(), stderr, secrets, chart, Rc::clone(&tail));
        Self { reading: tokio::task::spawn_local(reading), tail }
    }

    /// Why a child that has ended did so, as far as it has said it. A grandchild may hold the pipe open without end.
    pub(super) async fn explain(mut self, detail: String) -> String {
        drop(tokio::time::timeout(LAST_WORDS, &mut self.reading).await);
        match self.tail.borrow().phrase() {
            Some(tail) => format!("{detail}; its stderr ended with: {tail}"),
            None => detail,
        }
    }
}

impl Drop for Stderr {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

// === impl Tail ===

impl Tail {
    fn push(&mut self, line: &str) {
        if self.0.len() == limits::STDERR_LINES_KEPT {
            self.0.pop_front();
        }
        self.0.push_back(line.into());
    }

    /// As many of the last lines as fit into an error, in one.
    fn phrase(&self) -> Option<String> {
        let mut room = limits::STDERR_BYTES_TOLD;
        let fits = |line: &&Arc<str>| {
            let fits = line.len() <= room;
            room = room.saturating_sub(line.len());
            fits
        };
        let mut lines: Vec<&str> = self.0.iter().rev().take_while(fits).map(|line| &**line).collect();
        lines.reverse();
        (!lines.is_empty()).then(|| lines.join(" | "))
    }
}

async fn read(backend: String, stderr: ChildStderr, secrets: Arc<Secrets>, chart: Chart, tail: Rc<RefCell<Tail>>) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    let mut window = (Instant::now(), 0);
    let mut continued = false;
    loop {
        line.clear();
        match (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => break,
        }
        // Of a line that is cut the beginning is enough, and a secret at the cut would not be known as one.
        if std::mem::replace(&mut continued, !line.ends_with(b"\n")) || line.trim_ascii().is_empty() {
            continue;
        }
        let text = one_line(&secrets.hide(line.trim_ascii_end(), telemetry::TEXT_BYTES_MAX + 1));
        if window.0.elapsed() >= Duration::from_secs(1) {
            window = (Instant::now(), 0);
        }
        window.1 += 1;
        tail.borrow_mut().push(&text);
        if window.1 <= LINES_LOGGED_MAX {
            chart.note(|vitals| vitals.stderr = tail.borrow().0.iter().cloned().collect());
            tracing::info!(backend, line = text, "stderr");
        }
    }
    chart.note(|vitals| vitals.stderr = tail.borrow().0.iter().cloned().collect());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_as_many_told_as_fit() {
        let mut tail = Tail::default();
        assert_eq!(tail.phrase(), None);
        (0..limits::STDERR_LINES_KEPT * 2).for_each(|line| tail.push(&format!("line {line}")));
        assert_eq!(tail.0.len(), limits::STDERR_LINES_KEPT);
        let long = "x".repeat(limits::STDERR_BYTES_TOLD - 10);
        tail.push(&long);
        tail.push("the end");
        assert_eq!(tail.phrase(), Some(format!("{long} | the end")));
        tail.push("after");
        assert_eq!(tail.phrase(), Some("the end | after".to_owned()));
    }
}
