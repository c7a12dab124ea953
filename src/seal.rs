//! Sealing: what clients are handed to keep, and hand back unread and unchanged. What is sealed is not known here.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use only1mcp_model::SealKey;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::{hkdf, hmac};
use smallvec::SmallVec;

/// The keys of one purpose.
#[derive(Debug)]
pub struct Seal {
    /// The first one seals, all of them open.
    keys: Box<[Key]>,
}

/// One of them.
struct Key {
    seals: LessSafeKey,
    /// Gives the nonces of what is to come to the same token each time.
    nonces: hmac::Key,
}

/// What was sealed, opened.
pub type Opened = SmallVec<[u8; 128]>;

/// Of every token. Another one would be of another form.
const VERSION: u8 = 1;
/// Nothing longer is looked at.
const TOKEN_BYTES_MAX: usize = 1024;

impl Seal {
    /// Keys of their own, made from these, for one purpose.
    ///
    /// # Panics
    /// Never: a key is shorter than what the derivation may give.
    #[must_use]
    pub fn new(keys: &[SealKey], purpose: &'static str) -> Self {
        // The nonces are random. Where one comes twice after 2^32 tokens or so, this cipher gives away what these two
        // hold, and no key.
        let derived = keys.iter().map(|key| {
            let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, b"only1mcp").extract(key);
            let (purpose, nonces) = ([purpose.as_bytes()], [purpose.as_bytes(), b" nonces"]);
            let seals = derived.expand(&purpose, &CHACHA20_POLY1305).expect("a key is shorter than 255 hashes");
            let nonces = derived.expand(&nonces, hmac::HMAC_SHA256).expect("a key is shorter than 255 hashes");
            Key { seals: LessSafeKey::new(UnboundKey::from(seals)), nonces: hmac::Key::from(nonces) }
        });
        Self { keys: derived.collect() }
    }

    /// A key that nobody else has.
    ///
    /// # Errors
    /// There are no random bits.
    pub fn random_key() -> std::io::Result<SealKey> {
        let mut key = SealKey::default();
        rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())?;
        Ok(key)
    }

    /// Seals a text: URL-safe base64. It opens again for whoever names the same context.
    ///
    /// # Errors
    /// There are no random bits.
    pub fn seal(&self, context: &[&[u8]], plain: &[u8]) -> std::io::Result<String> {
        let mut nonce = [0; NONCE_LEN];
        rustix::rand::getrandom(&mut nonce, rustix::rand::GetRandomFlags::empty())?;
        let key = self.keys.first().ok_or(std::io::ErrorKind::NotFound)?;
        Ok(key.seal(nonce, context, plain).ok_or(std::io::ErrorKind::InvalidInput)?)
    }

    /// Does so with a token that is the same each time, for a text that has one name: it gives away that two are the same.
    /// `None` without a key.
    #[must_use]
    pub fn seal_alike(&self, context: &[&[u8]], plain: &[u8]) -> Option<String> {
        let key = self.keys.first()?;
        let mut named = hmac::Context::with_key(&key.nonces);
        named.update(aad(context).as_ref());
        named.update(plain);
        let (nonce, _) = named.sign().as_ref().split_first_chunk().map(|(nonce, rest)| (*nonce, rest.len()))?;
        key.seal(nonce, context, plain)
    }

    /// What a token holds that was sealed in this context; `None` for any other text.
    #[must_use]
    pub fn open(&self, context: &[&[u8]], token: &[u8]) -> Option<Opened> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let mut bytes = Opened::from_elem(0, base64::decoded_len_estimate(token.len()));
        let length = URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).ok()?;
        let (&VERSION, rest) = bytes.get(..length)?.split_first()? else { return None };
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        self.keys.iter().find_map(|key| {
            let mut plain = Opened::from_slice(sealed);
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let length = key.seals.open_in_place(nonce, aad(context), &mut plain).ok()?.len();
            plain.truncate(length);
            Some(plain)
        })
    }
}

// === impl Key ===

impl Key {
    fn seal(&self, nonce: [u8; NONCE_LEN], context: &[&[u8]], plain: &[u8]) -> Option<String> {
        let mut sealed = Opened::from_slice(plain);
        let unique = Nonce::assume_unique_for_key(nonce);
        let tag = self.seals.seal_in_place_separate_tag(unique, aad(context), &mut sealed).ok()?;
        Some(URL_SAFE_NO_PAD.encode([&[VERSION], &nonce[..], &sealed, tag.as_ref()].concat()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(_)")
    }
}

/// The context with the length of each part before it, so that no other parts come to the same.
fn aad(context: &[&[u8]]) -> Aad<SmallVec<[u8; 128]>> {
    let mut bytes = SmallVec::from_slice(&[VERSION]);
    for part in context {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    Aad::from(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: SealKey = [1; 32];
    const SECOND: SealKey = [2; 32];
    const CONTEXT: &[&[u8]] = &[b"view", b"principal"];

    fn opened(seal: &Seal, context: &[&[u8]], token: &str) -> Option<Vec<u8>> {
        seal.open(context, token.as_bytes()).map(|plain| plain.to_vec())
    }

    #[test]
    fn what_is_sealed_opens_in_its_context_and_with_its_key_alone() {
        let seal = Seal::new(&[FIRST], "a");
        let token = seal.seal(CONTEXT, b"plain").expect("random bits");
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')), "{token}");
        assert_ne!(token, seal.seal(CONTEXT, b"plain").expect("random bits"));
        assert_eq!(opened(&seal, CONTEXT, &token).as_deref(), Some(&b"plain"[..]));
        assert_eq!(opened(&Seal::new(&[FIRST], "a"), CONTEXT, &token).as_deref(), Some(&b"plain"[..]));
        for (other, context) in [
            (&seal, &[&b"view"[..]][..]),
            (&seal, &[b"viewp", b"rincipal"]),
            (&seal, &[b"principal", b"view"]),
            (&Seal::new(&[SECOND], "a"), CONTEXT),
            (&Seal::new(&[FIRST], "b"), CONTEXT),
        ] {
            assert_eq!(opened(other, context, &token), None);
        }
    }

    #[test]
    fn no_byte_of_a_token_may_change() {
        let seal = Seal::new(&[FIRST], "a");
        let token = seal.seal(CONTEXT, b"plain").expect("random bits");
        for index in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            assert_eq!(seal.open(CONTEXT, &changed), None, "{index}");
            assert_eq!(seal.open(CONTEXT, &token.as_bytes()[..index]), None, "{index}");
        }
        for other in ["", "AQ", "not base64!", &"A".repeat(1024), &format!("{token}A"), &format!("{token}=")] {
            assert_eq!(opened(&seal, CONTEXT, other), None, "{other}");
        }
    }

    #[test]
    fn what_has_one_name_has_one_token_in_each_context() {
        let seal = Seal::new(&[FIRST], "a");
        let token = seal.seal_alike(CONTEXT, b"plain").expect("a key");
        assert_eq!(seal.seal_alike(CONTEXT, b"plain").as_ref(), Some(&token));
        assert_eq!(Seal::new(&[FIRST], "a").seal_alike(CONTEXT, b"plain").as_ref(), Some(&token));
        assert_eq!(opened(&seal, CONTEXT, &token).as_deref(), Some(&b"plain"[..]));
        let nonce = |token: &str| token.as_bytes()[..16].to_vec();
        for other in [
            seal.seal_alike(CONTEXT, b"plainer"),
            seal.seal_alike(&[b"view"], b"plain"),
            Seal::new(&[FIRST], "b").seal_alike(CONTEXT, b"plain"),
            Seal::new(&[SECOND], "a").seal_alike(CONTEXT, b"plain"),
        ] {
            assert_ne!(nonce(&other.expect("a key")), nonce(&token));
        }
        assert_eq!(Seal::new(&[], "a").seal_alike(CONTEXT, b"plain"), None);
    }

    #[test]
    fn a_key_that_was_taken_over_from_still_opens() {
        let old = Seal::new(&[FIRST], "a");
        let both = Seal::new(&[SECOND, FIRST], "a");
        let token = old.seal(CONTEXT, b"old").expect("random bits");
        assert_eq!(opened(&both, CONTEXT, &token).as_deref(), Some(&b"old"[..]));
        let token = both.seal(CONTEXT, b"new").expect("random bits");
        assert_eq!(opened(&old, CONTEXT, &token), None);
        assert_eq!(opened(&Seal::new(&[SECOND], "a"), CONTEXT, &token).as_deref(), Some(&b"new"[..]));
    }
}
