//! Bodies in every chunking, cut short, and framed in ways that two readers would read differently.

use super::*;

fn decode(framing: Framing, input: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), BodyError> {
    let mut decoder = BodyDecoder::new(framing);
    let (mut out, mut taken) = (Vec::new(), 0);
    while taken < input.len() && !decoder.is_done() {
        taken += decoder.decode(&input[taken..input.len().min(taken + step)], &mut out)?;
    }
    Ok((out, taken, decoder.is_done()))
}

#[test]
fn any_chunking_of_the_input_gives_the_same_body() {
    for (framing, input, expected, taken) in [
        (Framing::Length(3), b"abcdef".as_slice(), b"abc".as_slice(), 3),
        (Framing::Chunked, b"3\r\nabc\r\n0\r\n\r\nrest", b"abc", 13),
        (Framing::Chunked, b"1;x=y\r\na\r\n02\r\nbc\r\n0\r\nT: 1\r\n\r\n", b"abc", 29),
        (Framing::None, b"abc", b"", 0),
    ] {
        for step in 1..=input.len() {
            assert_eq!(decode(framing, input, step), Ok((expected.to_vec(), taken, true)), "step {step}");
        }
    }
}

#[test]
fn a_body_cut_short_is_not_done() {
    for (framing, input) in [(Framing::Length(3), b"ab".as_slice()), (Framing::Chunked, b"3\r\nabc\r\n0\r\n")] {
        assert!(!decode(framing, input, 1).expect("well formed so far").2);
    }
}

#[test]
fn malformed_chunks_are_refused() {
    let extension = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(20 << 10));
    let trailers = format!("0\r\n{}\r\n", "T: 1\r\n".repeat(200));
    for input in [
        "0x2\r\nab\r\n0\r\n\r\n",
        "ffffffffffffffff1\r\n",
        "ffffffffffffffff\r\n",
        extension.as_str(),
        "1\na\r\n0\r\n\r\n",
        "1\r\nabc",
        "1\r\na\n",
        "\r\n",
        "-1\r\n",
        " 1\r\n",
        trailers.as_str(),
    ] {
        assert!(decode(Framing::Chunked, input.as_bytes(), 7).is_err(), "{}", &input[..input.len().min(40)]);
    }
}
