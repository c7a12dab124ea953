//! Values that the topology leaves to the process: `env:NAME` and `file:PATH`, resolved when the gateway starts.

use std::collections::HashMap;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use only1mcp_model::plan::Reference;

/// Resolves references from the environment of the process, or from values given by an embedder or a test.
#[derive(Clone, Debug, Default)]
pub(crate) struct References {
    given: HashMap<String, String>,
}

/// A reference that does not resolve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unresolved {
    /// `env:NAME` of a variable that is not set (or not text).
    #[error("environment variable `{0}` is not set")]
    Variable(String),
    /// `file:PATH` of a file that cannot be read.
    #[error("file `{path}` cannot be read")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl References {
    /// Uses `value` for `env:NAME` whatever the environment says.
    pub(crate) fn give(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.given.insert(name.into(), value.into());
    }

    /// The value a reference stands for.
    ///
    /// # Errors
    /// When the variable is not set or the file cannot be read.
    pub(crate) fn resolve(&self, reference: &Reference) -> Result<String, Unresolved> {
        match reference {
            Reference::Literal(value) => Ok(value.to_string()),
            Reference::Env(name) => match self.given.get(&**name) {
                Some(value) => Ok(value.clone()),
                None => std::env::var(&**name).map_err(|_absent_or_not_text| Unresolved::Variable(name.to_string())),
            },
            Reference::File(path) => {
                let unreadable = |source| Unresolved::File { path: path.to_string(), source };
                let mut text = read(Path::new(&**path)).map_err(unreadable)?;
                text.truncate(text.trim_end_matches(['\r', '\n']).len());
                Ok(text)
            }
        }
    }
}

/// The content of a file, also of one behind links. A named pipe is not read: that waits until somebody writes to it, and
/// whoever reads it next gets nothing. One that the process was given (`/dev/stdin`, `/dev/fd/3`) is.
fn read(path: &Path) -> std::io::Result<String> {
    let kind = path.metadata()?.file_type();
    if kind.is_socket() || kind.is_fifo() && !path.starts_with("/dev") {
        return Err(Error::new(ErrorKind::InvalidInput, "it is no file: a named pipe or a socket"));
    }
    std::fs::read_to_string(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_file_is_read_behind_links_and_nothing_that_may_never_end() {
        let directory = std::env::temp_dir().join(format!("only1mcp-references-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let at = |name: &str| directory.join(name);
        let resolve = |name: &str| {
            let path = at(name).to_str().expect("text").to_owned();
            References::default().resolve(&Reference::File(path.into()))
        };
        // As Kubernetes has them.
        std::fs::create_dir(at("..2026")).expect("a directory");
        std::fs::write(at("..2026/token"), "secret\r\n").expect("a file");
        symlink("..2026", at("..data")).expect("a link");
        symlink("..data/token", at("token")).expect("a link");
        assert_eq!(resolve("token").expect("a value"), "secret");

        assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().expect("mkfifo").success());
        symlink("pipe", at("linked")).expect("a link");
        let _socket = UnixListener::bind(at("socket")).expect("a socket");
        for name in ["pipe", "linked", "socket"] {
            let Err(Unresolved::File { source, .. }) = resolve(name) else { unreachable!("`{name}` is not read") };
            assert_eq!(source.kind(), ErrorKind::InvalidInput, "{name}");
        }
        assert!(References::default().resolve(&Reference::File("/dev/null".into())).is_ok());
        std::fs::remove_dir_all(directory).expect("it goes");
    }
}
