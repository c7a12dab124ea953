//! `Retry-After` of a response: for how long the server asks to be left alone (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const DAY_SECS: u64 = 86_400;
/// 50 years of the calendar.
const AHEAD_SECS: u64 = 50 * 31_556_952;

/// The form of dates that is written: `a` stands for a letter, `0` for a digit, `_` for a digit or a space.
const IMF: &[u8] = b"aaa, 00 aaa 0000 00:00:00 GMT";
/// That of `asctime`.
const ASCTIME: &[u8] = b"aaa aaa _0 00:00:00 0000";
/// That of RFC 850, behind the whole name of a day of the week.
const AFTER_LONG_WEEKDAY: &[u8] = b", 00-aaa-00 00:00:00 GMT";

/// How long from now, by a number of seconds or a date; `None` for what is neither, and where that has passed.
pub(crate) fn retry_after(value: &[u8], now: SystemTime) -> Option<Duration> {
    let wait = match number(value) {
        Some(seconds) => Duration::from_secs(seconds),
        None => {
            let own = now.duration_since(UNIX_EPOCH).ok()?;
            (UNIX_EPOCH + Duration::from_secs(date(value, own.as_secs())?)).duration_since(now).ok()?
        }
    };
    (!wait.is_zero()).then_some(wait)
}

/// A number without a sign; one that is too large for any purpose is as large as they are.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(std::str::from_utf8(digits).ok()?.parse().unwrap_or(u64::from(u32::MAX)).min(u64::from(u32::MAX)))
}

/// Seconds since 1970 of a date in one of its three forms (RFC 9110, section 5.6.7). One with two digits of its year is of the
/// last such year that is no more than 50 years after now.
fn date(text: &[u8], now: u64) -> Option<u64> {
    let comma = text.iter().position(|byte| *byte == b',').unwrap_or_default();
    let (weekday, rest) = text.split_at(comma);
    let (day, month, year, time) = if has_form(text, IMF) {
        (&text[5..7], &text[8..11], &text[12..16], &text[17..25])
    } else if has_form(text, ASCTIME) {
        (text[8..10].trim_ascii_start(), &text[4..7], &text[20..24], &text[11..19])
    } else if has_form(rest, AFTER_LONG_WEEKDAY) && weekday.iter().all(u8::is_ascii_alphabetic) {
        (&rest[2..4], &rest[5..8], &rest[9..11], &rest[12..20])
    } else {
        return None;
    };
    let month = (1..).zip(MONTHS).find(|(_, name)| *name == month).map(|(month, _)| month)?;
    let (day, years, [hour, minute, second]) =
        (number(day)?, number(year)?, [0..2, 3..5, 6..8].map(|place| number(&time[place])));
    let (hour, minute, second) = (hour?, minute?, second?);
    if !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let of = |year| Some(days(year, month, day)? * DAY_SECS + hour * 3600 + minute * 60 + second);
    match year.len() {
        2 => (19..100)
            .filter_map(|century| of(century * 100 + years))
            .take_while(|date| *date <= now + AHEAD_SECS)
            .last(),
        _ => of(years),
    }
}

/// Whether a text has letters, digits and everything else where a form has them.
fn has_form(text: &[u8], form: &[u8]) -> bool {
    let is = |(byte, form): (&u8, &u8)| match form {
        b'a' => byte.is_ascii_alphabetic(),
        b'0' => byte.is_ascii_digit(),
        b'_' => byte.is_ascii_digit() || *byte == b' ',
        form => byte == form,
    };
    text.len() == form.len() && text.iter().zip(form).all(is)
}

/// Days since 1970 of a day in the calendar of Gregory, from that year on. Years are counted from March, so that the day that
/// some of them have more is their last.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month > 2 { year } else { year.checked_sub(1)? };
    let month = (month + 9) % 12;
    let before = year * 365 + year / 4 - year / 100 + year / 400;
    (before + (153 * month + 2) / 5 + day - 1).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_say_how_long_from_now() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, seconds) in [
            ("5", Some(5)),
            ("007", Some(7)),
            ("0", None),
            ("99999999999999999999999", Some(u64::from(u32::MAX))),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", Some(DAY_SECS)),
            ("Thu, 29 Feb 1996 08:49:37 GMT", Some(480 * DAY_SECS)),
            ("Fri, 01 Mar 1996 08:49:37 GMT", Some(481 * DAY_SECS)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None),
            ("Sat, 05 Nov 1994 08:49:37 GMT", None),
            ("Thu, 01 Jan 1970 00:00:00 GMT", None),
            ("Wed, 31 Dec 1969 23:59:59 GMT", None),
            ("Sun, 06 Nov 1994 08:49:47 UTC", None),
            ("Sun, 06 Non 1994 08:49:47 GMT", None),
            ("Sun, 6 Nov 1994 08:49:47 GMT", None),
            ("Sun, 00 Nov 1995 08:49:47 GMT", None),
            ("Sun, 06 Nov 1995 24:49:47 GMT", None),
            ("Sunday, 06-Nov-94 08:49:47 GMT", Some(10)),
            ("Monday, 07-Nov-94 08:49:37 GMT", Some(DAY_SECS)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Friday, 06-Nov-43 08:49:37 GMT", Some(17_897 * DAY_SECS)),
            // More than 50 years ahead: it was in 1945.
            ("Monday, 06-Nov-45 08:49:37 GMT", None),
            ("Sunday, 06-Nov-1994 08:49:47 GMT", None),
            ("Sunday, 06 Nov 94 08:49:47 GMT", None),
            ("Sun?ay, 06-Nov-94 08:49:47 GMT", None),
            ("Sunday, 06-Nov-94 08:49:47", None),
            ("Sun Nov  6 08:49:47 1994", Some(10)),
            ("Sun Nov 06 08:49:47 1994", Some(10)),
            ("Wed Nov 16 08:49:37 1994", Some(10 * DAY_SECS)),
            ("Sun Nov  6 08:49:37 1994", None),
            ("Sun Nov 6 08:49:47 1994", None),
            ("Sun Nov  0 08:49:47 1995", None),
            ("Sun Nov    08:49:47 1995", None),
            ("Sun Non  6 08:49:47 1994", None),
            ("Sun Nov  6 08:49:47 1994 GMT", None),
            ("Sun Nov  6 08:49:61 1994", None),
            ("\u{fc}un Nov  6 08:49:47 1994", None),
            (",", None),
            ("-5", None),
            ("+5", None),
            ("5.0", None),
            ("5s", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value.as_bytes(), now).map(|wait| wait.as_secs()), seconds, "{value}");
        }
    }
}
