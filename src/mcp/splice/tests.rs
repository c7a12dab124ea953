//! Edits of a message: what they change, and that they change nothing else.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn span(start: usize, end: usize) -> Span {
    Span { start: u32::try_from(start).unwrap(), end: u32::try_from(end).unwrap() }
}

fn written(splice: &Splice<'_>) -> String {
    let mut out = Vec::new();
    splice.write(&mut out);
    assert_eq!(out.len(), splice.len());
    String::from_utf8(out).unwrap()
}

#[test]
fn without_edits_the_source_is_one_slice() {
    let mut slices = Vec::new();
    Splice::new(b"source").slices(|slice| slices.push(slice));
    assert_eq!(slices, [b"source"]);
    assert!(Splice::new(b"").is_empty());
}

#[test]
fn edits_apply_in_the_order_in_which_they_stand() {
    let mut splice = Splice::new(b"0123456789");
    splice.replace(span(8, 10), b"end");
    splice.cut(span(2, 4));
    splice.insert(0, b"<");
    splice.replace(span(4, 5), b"four");
    assert_eq!(written(&splice), "<01four567end");
}

#[test]
fn insertions_at_one_place_keep_their_order_and_stand_before_what_is_replaced_there() {
    let mut splice = Splice::new(b"abc");
    splice.cut(span(1, 2));
    splice.insert(1, b"1");
    splice.insert(1, b"2");
    splice.insert(2, b"3");
    splice.insert(3, b"4");
    assert_eq!(written(&splice), "a123c4");
}

#[test]
fn a_line_holds_no_line_breaks() {
    let mut splice = Splice::new(b"\r\n{\n\"a\\n\":\r1\n}\n");
    splice.insert(3, b"\"b\":2,");
    let mut line = b"before ".to_vec();
    splice.write_line(&mut line);
    assert_eq!(line, b"before {\"b\":2,\"a\\n\":1}");
}

proptest! {
    #[test]
    fn everything_that_is_not_edited_stays(
        source in vec(any::<u8>(), 0..200),
        // Lengths kept and replaced by turns, and what is put there.
        edits in vec((0_usize..20, 0_usize..6, vec(any::<u8>(), 0..5), any::<u64>()), 0..12),
    ) {
        let mut expected = Vec::new();
        let mut places = Vec::new();
        let mut at = 0;
        for (kept, replaced, with, order) in &edits {
            let start = (at + kept).min(source.len());
            let end = (start + replaced).min(source.len());
            expected.extend_from_slice(&source[at..start]);
            expected.extend_from_slice(with);
            // Insertions at one place keep the order of adding, so only the others are shuffled.
            if start > at || places.is_empty() {
                places.push((*order, vec![(span(start, end), with)]));
            } else if let Some((_, group)) = places.last_mut() {
                group.push((span(start, end), with));
            }
            at = end;
        }
        expected.extend_from_slice(&source[at..]);
        places.sort_by_key(|(order, _)| *order);
        let mut splice = Splice::new(&source);
        for (span, with) in places.iter().flat_map(|(_, group)| group) {
            splice.replace(*span, with);
        }
        let mut out = Vec::new();
        splice.write(&mut out);
        prop_assert_eq!(out.len(), splice.len());
        prop_assert_eq!(out, expected);
    }
}
