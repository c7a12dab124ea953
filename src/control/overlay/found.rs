//! What stands in the file of an overlay, and what a gateway starts with.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use only1mcp_model::overlay::{self, Compiled, OVERLAY_BYTES_MAX, Overlay};
use only1mcp_model::{Source, SourceError};

use super::OverlayError;

/// What stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Text(Source),
    /// There is no such file.
    Absent,
    /// There is not even its directory.
    Nowhere,
    /// Why it cannot be read.
    Unreadable(String),
}

/// What a gateway starts with.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(super) file: Option<PathBuf>,
    pub(super) found: Found,
    pub(crate) overlay: Overlay,
    pub(super) text: String,
}

// === impl Found ===

impl Found {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Self {
        match Source::read(path, OVERLAY_BYTES_MAX) {
            Ok(source) => Self::Text(source),
            // A link that leads nowhere is there.
            Err(SourceError::Io(error)) if error.kind() == ErrorKind::NotFound && path.symlink_metadata().is_err() => {
                let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                if directory.is_none_or(Path::is_dir) { Self::Absent } else { Self::Nowhere }
            }
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }

    /// Whether it can be read, or is none.
    pub(super) fn is_usable(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Absent)
    }
}

// === impl Beginning ===

impl Beginning {
    /// With an overlay that is in no file.
    pub(crate) fn with(overlay: Overlay) -> Self {
        Self { file: None, found: Found::Absent, text: overlay.to_string(), overlay }
    }

    /// With what stands in a file, which has to be there unless it is `optional`.
    ///
    /// # Errors
    /// When it is not, or holds no overlay of what is compiled.
    pub(crate) fn read(path: &Path, optional: bool, compiled: Compiled<'_>) -> Result<Self, OverlayError> {
        let unreadable = |why: String| OverlayError::Unreadable { path: path.to_owned(), why };
        let (file, found) = (Some(path.to_owned()), Found::read(path));
        match &found {
            Found::Text(source) => {
                let refused = |problems| OverlayError::Refused { file: source.clone(), problems };
                let overlay = overlay::load(source, compiled).map_err(refused)?;
                let text = source.text.clone();
                Ok(Self { file, found, overlay, text })
            }
            Found::Absent | Found::Nowhere if optional => Ok(Self { file, found, ..Self::with(Overlay::default()) }),
            Found::Absent | Found::Nowhere => Err(unreadable("there is no such file".to_owned())),
            Found::Unreadable(why) => Err(unreadable(why.clone())),
        }
    }
}
