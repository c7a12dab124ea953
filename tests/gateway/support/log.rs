//! What all gateways of this process log from `WARN` on, kept from when a test first asks for it.
#![expect(clippy::disallowed_types, reason = "a log that is kept is no data plane")]

use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use tracing_subscriber::filter::LevelFilter;

/// All lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

/// Keeps it from now on; other tests write to it as well.
pub(crate) fn kept() -> Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    let log = LOG.get_or_init(|| {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false);
        let subscriber = subscriber.with_max_level(LevelFilter::WARN).with_target(false).finish();
        tracing::subscriber::set_global_default(subscriber).expect("nobody else keeps it");
        log
    });
    log.clone()
}

// === impl Log ===

impl Log {
    /// The lines so far in which this stands.
    pub(crate) fn lines_with(&self, part: &str) -> Vec<String> {
        let log = self.0.lock().expect("nobody panics with it");
        String::from_utf8_lossy(&log).lines().filter(|line| line.contains(part)).map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics with it").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
