//! Overlays that are not taken, and why.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use only1mcp_model::Source;
use only1mcp_model::diagnostic::{self, Diagnostic};

/// An overlay that is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OverlayError {
    /// Its file cannot be read.
    #[error("overlay `{}` cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// It does not pass its checks.
    #[error("`{}` does not pass its checks", file.path)]
    Refused {
        /// What was checked.
        file: Source,
        /// Every problem that it has.
        problems: Vec<Diagnostic>,
    },
    /// Its file cannot be written.
    #[error("overlay `{}` cannot be written", path.display())]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It adds more backends than there may be, or as many backends were added and catalogs made as are kept: see
    /// [`limits::ADDED_BACKENDS_MAX`](crate::limits::ADDED_BACKENDS_MAX) and what follows it.
    #[error("overlay adds more backends, or makes one more catalog, than are kept until the gateway is started anew")]
    Exhausted,
    /// The catalog that it would make has no tables.
    #[error("catalog of the overlay cannot be made: {0}")]
    Unmakeable(String),
    /// No overlay was in force before the current one, or it was too long ago.
    #[error("overlay has none before it")]
    NoEarlier,
}

/// What of the file was not taken.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rejected {
    /// When.
    pub at: SystemTime,
    /// Why.
    pub error: Arc<OverlayError>,
}

// === impl OverlayError ===

impl OverlayError {
    /// Says so in the log, with all that is wrong.
    pub(super) fn log(&self) {
        let shown = match self {
            Self::Refused { file, problems } => format!("\n{}", diagnostic::render(problems, file, false).trim_end()),
            _ => String::new(),
        };
        tracing::error!("{self}: the overlay before it stays in force{shown}");
    }
}
