//! How keys are written that seal what clients are given to keep. What is sealed, and how, is not known here.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// One key.
pub type SealKey = [u8; SEAL_KEY_BYTES];

/// How long a key is.
const SEAL_KEY_BYTES: usize = 32;
/// How many keys there may be at once: the one in use, and those that it takes over from.
const SEAL_KEYS_MAX: usize = 8;

/// The keys in a text: 32 bytes in hex or base64 each, separated by commas. The first one seals, all of them open.
///
/// # Errors
/// Why it holds none. Nothing of the text is in it.
pub fn seal_keys(text: &str) -> Result<Vec<SealKey>, &'static str> {
    let written: Vec<&str> = text.split(',').map(str::trim).collect();
    match written.as_slice() {
        [""] => Err("it is empty"),
        all if all.len() > SEAL_KEYS_MAX => Err("there are more than 8 keys"),
        all => all.iter().map(|key| decode(key).ok_or("a key is not 32 bytes in hex or base64")).collect(),
    }
}

fn decode(written: &str) -> Option<SealKey> {
    let mut key = SealKey::default();
    if written.len() == 2 * SEAL_KEY_BYTES {
        for (byte, pair) in key.iter_mut().zip(written.as_bytes().chunks_exact(2)) {
            let digit = |index: usize| char::from(pair[index]).to_digit(16);
            *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
        }
        return Some(key);
    }
    let bare = written.strip_suffix('=').unwrap_or(written);
    let bytes = STANDARD_NO_PAD.decode(bare).or_else(|_another_alphabet| URL_SAFE_NO_PAD.decode(bare)).ok()?;
    key.copy_from_slice(bytes.get(..).filter(|bytes| bytes.len() == SEAL_KEY_BYTES)?);
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_in_hex_and_in_base64_and_nothing_else_is_one() {
        let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1dFEff";
        let base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd/v8";
        let key = seal_keys(hex).expect("a key")[0];
        assert_eq!((key[1], key[30], key[31]), (1, 0xfe, 0xff));
        for same in [base64, &format!("{base64}="), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd_v8", &format!(" {hex}\n")]
        {
            assert_eq!(seal_keys(same), Ok(vec![key]), "{same}");
        }
        assert_eq!(seal_keys(&format!("{hex}, {base64}")), Ok(vec![key, key]));
        for (text, why) in [
            ("", "it is empty"),
            (" ", "it is empty"),
            ("x", "a key is not 32 bytes in hex or base64"),
            (&hex[2..], "a key is not 32 bytes in hex or base64"),
            (&hex.replace('F', "G"), "a key is not 32 bytes in hex or base64"),
            (&base64[1..], "a key is not 32 bytes in hex or base64"),
            (&format!("{hex},"), "a key is not 32 bytes in hex or base64"),
            (&[hex; 9].join(","), "there are more than 8 keys"),
        ] {
            assert_eq!(seal_keys(text), Err(why), "{text}");
        }
    }
}
