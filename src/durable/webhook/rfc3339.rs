use std::time::{SystemTime, UNIX_EPOCH};

const DAY: u64 = 24 * 60 * 60;

/// Writes a time as RFC 3339 does, in UTC with milliseconds. A time before 1970 is written as its beginning.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (since.as_secs(), since.subsec_millis());
    let (year, month, day) = date(seconds / DAY);
    let of_day = seconds % DAY;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Returns the year, month and day of a day since 1970-01-01.
fn date(mut day: u64) -> (u64, u64, u64) {
    // The calendar repeats itself after 400 years, so that the loops are short.
    const CYCLE: u64 = 146_097;
    let (mut year, mut month) = (1970 + day / CYCLE * 400, 1);
    day %= CYCLE;
    while day >= days_of_year(year) {
        day -= days_of_year(year);
        year += 1;
    }
    while day >= days_of_month(year, month) {
        day -= days_of_month(year, month);
        month += 1;
    }
    (year, month, day + 1)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_date_does() {
        // `date -u -d @SECONDS +%FT%T`
        for (seconds, written) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (86_399, "1970-01-01T23:59:59.007Z"),
            (68_169_600, "1972-02-29T00:00:00.007Z"),
            (68_256_000, "1972-03-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_827_696, "2000-02-29T12:34:56.007Z"),
            (978_307_199, "2000-12-31T23:59:59.007Z"),
            (978_307_200, "2001-01-01T00:00:00.007Z"),
            (1_667_507_170, "2022-11-03T20:26:10.007Z"),
            (4_107_542_399, "2100-02-28T23:59:59.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
            (13_574_563_200, "2400-02-29T00:00:00.007Z"),
        ] {
            let time = UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(7_999);
            assert_eq!(rfc3339(time), written, "{seconds}");
        }
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(rfc3339(before), "1970-01-01T00:00:00.000Z");
    }
}
