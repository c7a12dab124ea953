//! What a keeper has of the gateway's memory: code, and what was laid out with it. All else is given back, lest it is kept
//! twice as the gateway changes it.

use std::ops::Range;

use rustix::fs::{Mode, OFlags};

use crate::upstream::children::forked::Forked;

/// The mappings of a process, a line each.
const MAPPINGS: &str = "/proc/self/maps";
/// How much of them is read at a time.
const READ_BYTES: usize = 4096;
/// How much of a line matters: two addresses, rights, offset, device, inode, and the beginning of a name.
const LINE_BYTES: usize = 128;

/// Gives back all memory but that of the program's files and the stack of the caller.
///
/// What was allocated is gone with it: afterwards only system calls may be made.
pub(super) fn release(forked: &Forked) {
    let Ok(mappings) = rustix::fs::open(MAPPINGS, OFlags::RDONLY, Mode::empty()) else { return };
    let (mut read, mut line, mut length, mut file_end) = ([0; READ_BYTES], [0; LINE_BYTES], 0, 0);
    let stack = (&raw const read).addr();
    while let Ok(count @ 1..) = rustix::io::read(&mappings, &mut read) {
        for byte in read.iter().take(count) {
            if *byte != b'\n' {
                if let Some(place) = line.get_mut(length) {
                    *place = *byte;
                    length += 1;
                }
                continue;
            }
            let mapping = line.get(..length).and_then(Mapping::parse);
            length = 0;
            let Some(mapping) = mapping else { continue };
            if mapping.is_file {
                file_end = mapping.range.end;
            } else if mapping.is_working && mapping.range.start != file_end && !mapping.range.contains(&stack) {
                forked.unmap(mapping.range);
            }
        }
    }
}

/// A line of them.
#[derive(Debug, PartialEq, Eq)]
struct Mapping {
    range: Range<usize>,
    /// It is of a file. What follows it without a gap is of the same program: variables that begin as zero.
    is_file: bool,
    /// The program got it while it ran, as its heap, its stacks, or for whatever else.
    is_working: bool,
}

impl Mapping {
    /// `7f00-7f10 rw-p 00000000 00:00 0    [heap]`.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
        let (start, end) = str::from_utf8(fields.next()?).ok()?.split_once('-')?;
        let address = |text| usize::from_str_radix(text, 16).ok();
        let range = address(start)?..address(end)?;
        let is_private = fields.next()?.ends_with(b"p");
        let is_file = fields.nth(2)? != b"0";
        let own: [&[u8]; 3] = [b"[heap]", b"[stack]", b"[anon:"];
        let is_own = fields.next().is_none_or(|name| own.iter().any(|own| name.starts_with(own)));
        Some(Self { range, is_file, is_working: is_private && !is_file && is_own })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_got_while_it_ran_is_told_from_what_it_is() {
        for (line, is_file, is_working) in [
            ("00400000-00401000 r-xp 00000000 fe:00 1234                       /usr/bin/program", true, false),
            ("00400000-00401000 rw-p 00002000 fe:00 1234                       /home/m\u{fc}ller/program", true, false),
            ("00400000-00401000 rw-p 00000000 00:00 0 ", false, true),
            ("00400000-00401000 ---p 00000000 00:00 0 ", false, true),
            ("00400000-00401000 rw-p 00000000 00:00 0                          [heap]", false, true),
            ("00400000-00401000 rw-p 00000000 00:00 0                          [stack]", false, true),
            ("00400000-00401000 rw-p 00000000 00:00 0                          [anon: arena]", false, true),
            ("00400000-00401000 r-xp 00000000 00:00 0                          [vdso]", false, false),
            ("00400000-00401000 rw-s 00000000 00:01 77                         /dev/zero (deleted)", true, false),
        ] {
            let expected = Mapping { range: 0x40_0000..0x40_1000, is_file, is_working };
            assert_eq!(Mapping::parse(line.as_bytes()), Some(expected), "{line}");
        }
        assert_eq!(Mapping::parse(b"00400000 rw-p 00000000 00:00 0"), None);
        assert_eq!(Mapping::parse(b"7f00-7f10 rw-p"), None);
    }
}
