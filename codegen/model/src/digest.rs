//! SHA-256 as the text that locks, plans and shortened names hold.

use sha2::{Digest, Sha256};

/// The digest in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest as a lock holds it: `sha256:` and hex.
pub(crate) fn tagged(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(bytes))
}
