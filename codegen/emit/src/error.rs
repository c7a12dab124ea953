//! What the emitter refuses. A topology that passed the model's checks never gets here.

/// Why a plan has no code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A perfect hash of equal names does not exist.
    #[error("{kind} `{name}` is in the catalog twice")]
    Duplicate {
        /// What it is.
        kind: &'static str,
        /// The name that two entries have.
        name: String,
    },
    /// A list item must be a JSON object to be edited and listed.
    #[error("list item of `{name}` is not a JSON object")]
    Item {
        /// The exposed name.
        name: String,
        /// What the JSON reader says.
        #[source]
        source: serde_json::Error,
    },
    /// Pages point into the items with 32 bits.
    #[error("list items take more than 4 GiB")]
    TooLarge,
    /// Nothing to dispatch to.
    #[error("topology `{0}` has no backend")]
    NoBackend(String),
    /// Backends are numbered with 16 bits.
    #[error("backend `{0}` is one of more than 65536")]
    TooManyBackends(String),
    /// Views are bits of 64, one of which is the whole catalog.
    #[error("view `{0}` is one of more than 63")]
    TooManyViews(String),
    /// The emitter wrote something that does not parse.
    #[error("generated code does not parse")]
    Syntax(#[source] syn::Error),
}
