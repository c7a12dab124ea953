//! Event streams in every chunking, beyond every bound, and there and back.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Owned {
    name: String,
    data: String,
    id: Option<String>,
    retry_ms: Option<u64>,
}

/// The events of `stream` that comes in the chunks given.
fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, max: usize) -> (Vec<Owned>, Result<(), EventTooLong>) {
    let mut decoder = Decoder::new(max);
    let mut events = Vec::new();
    for mut chunk in chunks {
        loop {
            match decoder.decode(chunk) {
                Err(error) => return (events, Err(error)),
                Ok((taken, None)) => {
                    assert_eq!(taken, chunk.len());
                    break;
                }
                Ok((taken, Some(event))) => {
                    chunk = &chunk[taken..];
                    events.push(Owned {
                        name: event.name.to_owned(),
                        data: String::from_utf8_lossy(event.data).into_owned(),
                        id: event.id.map(str::to_owned),
                        retry_ms: event.retry_ms,
                    });
                }
            }
        }
    }
    (events, Ok(()))
}

fn whole(stream: &[u8]) -> Vec<Owned> {
    let (events, end) = decode([stream], 1 << 20);
    end.unwrap();
    events
}

fn data(text: &str) -> Owned {
    Owned { data: text.to_owned(), ..Owned::default() }
}

#[test]
fn what_is_said_behind_the_last_event_is_known_once_its_line_is_empty() {
    for (stream, id, retry_ms) in [
        ("", None, None),
        ("id: 1\ndata: a\n\n", None, None),
        ("id: 1\n\n", Some("1"), None),
        ("id: 1\n", None, None),
        ("id: 1\n\nid: 2\ndata: cut", Some("1"), None),
        ("id: 1\ndata: a\n\nid: 2\n\n", Some("2"), None),
        ("id: 1\ndata: a\n\nid: 2\n", None, None),
        ("data: a\n\nretry: 5\n\n", None, Some(5)),
        ("retry: 5\ndata: a\n\n", None, None),
    ] {
        let mut decoder = Decoder::new(1 << 10);
        let mut rest = stream.as_bytes();
        while let Ok((taken, Some(_))) = decoder.decode(rest) {
            rest = &rest[taken..];
        }
        assert_eq!(decoder.left(), (id, retry_ms), "{stream:?}");
    }
}

#[test]
fn fields_are_read_as_the_html_standard_says() {
    let named = |name: &str, text: &str| Owned { name: name.to_owned(), ..data(text) };
    let table: &[(&str, Vec<Owned>)] = &[
        ("data: a\n\n", vec![data("a")]),
        ("data:a\n\n", vec![data("a")]),
        ("data:  a \n\n", vec![data(" a ")]),
        ("data: a", vec![]),
        ("data: a\n", vec![]),
        ("data\n\n", vec![data("")]),
        ("data:\n\n", vec![data("")]),
        ("data\ndata\n\n", vec![data("\n")]),
        ("data: YHOO\ndata: +2\ndata: 10\n\n", vec![data("YHOO\n+2\n10")]),
        ("data: a\n\ndata: b\n\n\n\n", vec![data("a"), data("b")]),
        ("event: message\ndata: a\n\n", vec![named("message", "a")]),
        ("event: x\n\ndata: a\n\n", vec![data("a")]),
        ("event: x\nevent: y\ndata: a\n\n", vec![named("y", "a")]),
        ("event: x\nevent\ndata: a\n\n", vec![data("a")]),
        (":comment\ndata: a\n: another\n\n", vec![data("a")]),
        ("Data: no\n data: no\ndata : no\nfoo: no\ndata: a\n\n", vec![data("a")]),
        ("id: 1\ndata: a\n\ndata: b\n\n", vec![Owned { id: Some("1".into()), ..data("a") }, data("b")]),
        ("id: 1\n\ndata: a\n\n", vec![Owned { id: Some("1".into()), ..data("a") }]),
        ("id\ndata: a\n\n", vec![Owned { id: Some(String::new()), ..data("a") }]),
        ("id: a\0b\ndata: a\n\n", vec![data("a")]),
        ("retry: 3000\n\ndata: a\n\n", vec![Owned { retry_ms: Some(3000), ..data("a") }]),
        ("retry: 3s\nretry\nretry: -1\nretry: 99999999999999999999\ndata: a\n\n", vec![data("a")]),
        ("data: {\"a\":\":\"}\n\n", vec![data("{\"a\":\":\"}")]),
    ];
    for (stream, expected) in table {
        assert_eq!(whole(stream.as_bytes()), *expected, "{stream:?}");
    }
}

#[test]
fn lines_end_with_carriage_return_line_feed_or_both() {
    let expected = vec![data("a\nb"), data("c")];
    for stream in [
        "data: a\ndata: b\n\ndata: c\n\n",
        "data: a\rdata: b\r\rdata: c\r\r",
        "data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n",
        "data: a\rdata: b\n\rdata: c\r\n\r",
        "\u{feff}data: a\r\ndata: b\r\n\ndata: c\n\r\n",
        "\r\r\n\n:x\rdata: a\n:\ndata: b\r\n\r:\ndata: c\n\n",
    ] {
        assert_eq!(whole(stream.as_bytes()), expected, "{stream:?}");
    }
}

#[test]
fn only_the_first_byte_order_mark_is_skipped() {
    assert_eq!(whole("\u{feff}data: a\n\n\u{feff}data: b\n\n".as_bytes()), vec![data("a")]);
    assert_eq!(whole("\u{feff}\u{feff}data: a\n\n".as_bytes()), vec![]);
    assert_eq!(whole(b"\xef\xbbdata: a\n\ndata: b\n\n"), vec![data("b")]);
    assert_eq!(whole(b"\xefdata: a\n\ndata: b\n\n"), vec![data("b")]);
}

#[test]
fn an_event_cut_at_every_byte_offset_is_the_same_event() {
    let stream =
        "\u{feff}: hi\r\nevent: message\r\nid: 7\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\nretry: 5\ndata: é\r\r".as_bytes();
    let expected = whole(stream);
    assert_eq!(expected.len(), 2);
    for first in 0..=stream.len() {
        for second in first..=stream.len() {
            let chunks = [&stream[..first], &stream[first..second], &stream[second..]];
            assert_eq!(decode(chunks, 1 << 20), (expected.clone(), Ok(())), "{first} {second}");
        }
    }
}

#[test]
fn the_bound_holds_wherever_the_event_is_cut() {
    // Two lines, each counted with one byte for its end.
    let stream = b"data: 123\r\ndata: 4\n\ndata: 5\n\n";
    for size in 1..=stream.len() {
        let (events, end) = decode(stream.chunks(size), 18);
        assert_eq!((events.len(), end), (2, Ok(())), "{size}");
        let (events, end) = decode(stream.chunks(size), 17);
        assert_eq!((events.len(), end), (0, Err(EventTooLong(17))), "{size}");
    }
}

#[test]
fn a_line_that_never_ends_is_refused_at_the_bound() {
    let mut decoder = Decoder::new(1000);
    let refused = (0..100).find_map(|round| decoder.decode(&[b'x'; 100]).err().map(|error| (round, error)));
    assert_eq!(refused, Some((10, EventTooLong(1000))));
}

#[test]
fn a_flood_of_comments_is_neither_kept_nor_counted() {
    let mut decoder = Decoder::new(100);
    for _ in 0..1000 {
        assert_eq!(decoder.decode(b": a comment that nobody needs\n").unwrap(), (30, None));
        assert_eq!(decoder.decode(b": begun").unwrap(), (7, None));
        assert_eq!(decoder.decode(&[b'.'; 500]).unwrap(), (500, None));
        assert_eq!(decoder.decode(b"\r").unwrap(), (1, None));
        assert_eq!(decoder.line.capacity() + decoder.pending.data.capacity(), 0);
    }
    let (taken, event) = decoder.decode(b"\ndata: a\n\n").unwrap();
    assert_eq!((taken, event.unwrap().data), (10, &b"a"[..]));
}

#[test]
fn an_event_of_one_line_is_not_copied() {
    let stream = b"event: message\ndata: {}\n\n".to_vec();
    let mut decoder = Decoder::new(100);
    let (_, event) = decoder.decode(&stream).unwrap();
    assert!(stream.as_ptr_range().contains(&event.unwrap().data.as_ptr()));
}

#[test]
fn memory_of_a_long_event_is_given_back() {
    let mut decoder = Decoder::new(1 << 20);
    let mut stream = b"data: ".to_vec();
    stream.resize(500_000, b'x');
    stream.extend_from_slice(b"\n\n");
    let (first, second) = stream.split_at(250_000);
    assert_eq!(decoder.decode(first).unwrap(), (first.len(), None));
    assert_eq!(decoder.decode(second).unwrap().1.unwrap().data.len(), 500_000 - 6);
    assert_eq!(decoder.decode(b"").unwrap(), (0, None));
    assert!(decoder.line.capacity() + decoder.pending.data.capacity() <= 2 * RETAINED_BYTES);
}

#[test]
fn an_encoded_message_is_one_event_even_where_the_json_has_line_breaks() {
    let mut stream = Vec::new();
    encode(&[b"{\r\n\"a\":\r1,\n", b"\"b\":\"\\n\"}\n\n"], &mut stream);
    encode(&[b"{}"], &mut stream);
    assert_eq!(stream, b"event: message\ndata: {\"a\":1,\"b\":\"\\n\"}\n\nevent: message\ndata: {}\n\n");
    assert_eq!(whole(&stream).len(), 2);
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let parts = &[
        "\n",
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "data: a",
        "data",
        "data:",
        "data: {\"long\":\"a value\"}",
        "event: x",
        "id: 1",
        "id: \0",
        "retry: 10",
        "retry: x",
        ":",
        ": comment",
        " ",
        "\u{feff}",
        "é",
        "unknown: x",
    ][..];
    vec(select(parts), 0..40).prop_map(|parts| parts.concat().into_bytes())
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_events(
        stream in prop_oneof![stream(), vec(select(&b"\r\n:\xef\xbb\xbf data"[..]), 0..80)],
        cuts in vec(any::<Index>(), 0..10),
        max in prop_oneof![Just(1 << 20), 1_usize..60],
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let chunks = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
        prop_assert_eq!(decode(chunks, max), decode([&stream[..]], max));
        prop_assert_eq!(decode(stream.chunks(1), max), decode([&stream[..]], max));
    }

    #[test]
    fn what_is_encoded_is_decoded(messages in vec("[ -~é]{0,300}", 1..5), size in 1_usize..50) {
        let mut stream = Vec::new();
        for message in &messages {
            encode(&[message.as_bytes()], &mut stream);
        }
        let expected: Vec<Owned> = messages.iter().map(|message| Owned { name: "message".into(), ..data(message) }).collect();
        prop_assert_eq!(decode(stream.chunks(size), 1 << 20), (expected, Ok(())));
    }
}
