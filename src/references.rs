//! Values that the topology leaves to the process: `env:NAME` and `file:PATH`, resolved when the gateway starts.

use std::collections::HashMap;

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
                let mut text = std::fs::read_to_string(&**path)
                    .map_err(|source| Unresolved::File { path: path.to_string(), source })?;
                text.truncate(text.trim_end_matches(['\r', '\n']).len());
                Ok(text)
            }
        }
    }
}
