//! `Retry-After` of a response: for how long the server asks to be left alone (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const DAY_SECS: u64 = 86_400;

/// How long from now, by a number of seconds or a date; `None` for what is neither, and where that has passed. Dates in one of
/// the two forms that nobody writes any more are no dates here.
pub(crate) fn retry_after(value: &[u8], now: SystemTime) -> Option<Duration> {
    let wait = match number(value) {
        Some(seconds) => Duration::from_secs(seconds),
        None => (UNIX_EPOCH + Duration::from_secs(date(value)?)).duration_since(now).ok()?,
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

/// Seconds since 1970 of a date such as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7).
fn date(text: &[u8]) -> Option<u64> {
    let (_weekday, rest) = text.split_at_checked(5)?;
    let separators = [(2, b' '), (6, b' '), (11, b' '), (14, b':'), (17, b':')];
    let stands = |(at, separator): (usize, u8)| rest.get(at) == Some(&separator);
    if rest.len() != 24 || text[3..5] != *b", " || !separators.into_iter().all(stands) || rest[20..] != *b" GMT" {
        return None;
    }
    let month = (1..).zip(MONTHS).find(|(_, name)| *name == &rest[3..6]).map(|(month, _)| month)?;
    let [day, year, hour, minute, second] = [0..2, 7..11, 12..14, 15..17, 18..20].map(|place| number(&rest[place]));
    let (day, hour, minute, second) = (day?, hour?, minute?, second?);
    if !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(days(year?, month, day)? * DAY_SECS + hour * 3600 + minute * 60 + second)
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
            ("Sunday, 06-Nov-94 08:49:47 GMT", None),
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
