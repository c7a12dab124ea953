//! Reading a topology or a lock from disk: never more than a bound, never from what may block.
//!
//! What the text means is read in [`crate::load`].

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;

use crate::digest;
use crate::lines::Lines;

/// The longest text of a topology that is read.
pub const TOPOLOGY_BYTES_MAX: usize = 1 << 20;
/// The longest text of a lock that is read: five hundred servers with a hundred large tools each stay below.
pub const LOCK_BYTES_MAX: usize = 64 << 20;

/// Where topologies stand that are chosen by name, below the directory of the package.
pub const TOPOLOGIES: &str = "topologies";

/// The path of a topology given by name, or by path: that holds a `/` or ends in `.yaml`.
#[must_use]
pub fn topology_path(choice: &str) -> String {
    let is_path = choice.contains('/') || choice.ends_with(".yaml");
    if is_path { choice.to_owned() } else { format!("{TOPOLOGIES}/{choice}.yaml") }
}

/// A file as it was read: its path for messages, its text for positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The path as the user would name it.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is not there, or may not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A directory, a pipe, a device: reading one may never end.
    #[error("{0} where a file belongs")]
    Kind(&'static str),
    /// Longer than anything of its kind.
    #[error("file of more than {0} bytes")]
    TooLong(usize),
    /// Not text.
    #[error("text is not UTF-8 at line {line}, column {column}")]
    Encoding {
        /// From one.
        line: usize,
        /// In characters from one.
        column: usize,
    },
}

// === impl Source ===

impl Source {
    /// Reads a file of at most so many bytes.
    ///
    /// # Errors
    /// When it is no such file; nothing else is opened, and no more is read.
    pub fn read(path: &Path, bytes_max: usize) -> Result<Self, SourceError> {
        // Before it is opened: opening a pipe waits for one who writes.
        regular(&path.metadata()?)?;
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        regular(&metadata)?;
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
        if metadata.len() > limit {
            return Err(SourceError::TooLong(bytes_max));
        }
        let mut bytes = Vec::new();
        // It may have grown since.
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() > bytes_max {
            return Err(SourceError::TooLong(bytes_max));
        }
        Ok(Self { path: path.display().to_string(), text: text(bytes)? })
    }

    /// What commands are given to mean this topology: its name in [`TOPOLOGIES`], or else its path. The inverse of
    /// [`topology_path`].
    #[must_use]
    pub fn choice(&self) -> &str {
        let name = self.path.strip_prefix(TOPOLOGIES).and_then(|path| path.strip_prefix('/')?.strip_suffix(".yaml"));
        // What begins like an option is none of a command's arguments.
        let by_name = name.filter(|name| topology_path(name) == self.path && !name.starts_with('-'));
        by_name.unwrap_or(&self.path)
    }

    /// SHA-256 of the text, in hex, as [`Plan::topology_digest`](crate::plan::Plan::topology_digest) has it.
    #[must_use]
    pub fn digest(&self) -> String {
        digest::hex(self.text.as_bytes())
    }
}

fn regular(metadata: &Metadata) -> Result<(), SourceError> {
    match metadata.file_type() {
        kind if kind.is_file() => Ok(()),
        kind if kind.is_dir() => Err(SourceError::Kind("directory")),
        _ => Err(SourceError::Kind("pipe or device")),
    }
}

fn text(bytes: Vec<u8>) -> Result<String, SourceError> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]);
        let (line, column) = Lines::of_json(&before).line_and_column(valid);
        SourceError::Encoding { line, column }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topology_is_named_as_commands_find_it() {
        for (path, choice) in [
            ("topologies/prod.yaml", "prod"),
            ("/srv/topologies/prod.yaml", "/srv/topologies/prod.yaml"),
            ("prod.yaml", "prod.yaml"),
            ("topologies/eu/prod.yaml", "topologies/eu/prod.yaml"),
            ("topologies/prod.yaml.yaml", "topologies/prod.yaml.yaml"),
            ("topologies/prod.yml", "topologies/prod.yml"),
            ("topologies/-x.yaml", "topologies/-x.yaml"),
        ] {
            let source = Source { path: path.to_owned(), text: String::new() };
            assert_eq!(source.choice(), choice);
            assert_eq!(topology_path(choice), path);
        }
    }
}
