//! Phrases and their meanings: a row each.

use jiff::Timestamp;

use super::{TimeFault, Zone, parse_until};

/// The time at which most phrases are said, as RFC 3339.
const SAID: &str = "2026-11-26T13:20:30Z";

/// Milliseconds of a time of RFC 3339.
fn ms(rfc3339: &str) -> u64 {
    let at: Timestamp = rfc3339.parse().unwrap();
    u64::try_from(at.as_millisecond()).unwrap()
}

/// Compares what phrases mean in a zone with what they should, in rows of the moment at
/// which something is said, the phrase, and the moment that is meant.
fn check(zone: &str, rows: &[(&str, &str, &str)]) {
    let zone = Zone::parse(zone).unwrap();
    for (said, phrase, meant) in rows {
        let got = parse_until(phrase, ms(said), &zone);
        let shown = got.clone().map(|ms| {
            let ms = i64::try_from(ms).unwrap();
            Timestamp::from_millisecond(ms).unwrap().to_string()
        });
        assert_eq!(got, Ok(ms(meant)), "{phrase:?} at {said}: {shown:?}");
    }
}

#[test]
fn phrases_mean_the_next_time_the_clocks_show_it() {
    // Said on Thursday at 14:20:30 CET.
    let rows = [
        ("18:00", "2026-11-26T17:00:00Z"),
        ("18", "2026-11-26T17:00:00Z"),
        ("6pm", "2026-11-26T17:00:00Z"),
        ("6 pm", "2026-11-26T17:00:00Z"),
        ("6 p.m.", "2026-11-26T17:00:00Z"),
        ("6PM", "2026-11-26T17:00:00Z"),
        ("at 18:00", "2026-11-26T17:00:00Z"),
        ("  18:00  ", "2026-11-26T17:00:00Z"),
        ("18.30", "2026-11-26T17:30:00Z"),
        ("6:30pm", "2026-11-26T17:30:00Z"),
        ("18:00:15", "2026-11-26T17:00:15Z"),
        ("14:20", "2026-11-27T13:20:00Z"),
        ("14:21", "2026-11-26T13:21:00Z"),
        ("8", "2026-11-27T07:00:00Z"),
        ("8am", "2026-11-27T07:00:00Z"),
        ("6", "2026-11-27T05:00:00Z"),
        ("0", "2026-11-26T23:00:00Z"),
        ("00:00", "2026-11-26T23:00:00Z"),
        ("24:00", "2026-11-26T23:00:00Z"),
        ("midnight", "2026-11-26T23:00:00Z"),
        ("12am", "2026-11-26T23:00:00Z"),
        ("noon", "2026-11-27T11:00:00Z"),
        ("today 18:00", "2026-11-26T17:00:00Z"),
        ("today midnight", "2026-11-26T23:00:00Z"),
        ("tomorrow", "2026-11-27T13:20:30Z"),
        ("tomorrow 8am", "2026-11-27T07:00:00Z"),
        ("tomorrow at 8", "2026-11-27T07:00:00Z"),
        ("8am tomorrow", "2026-11-27T07:00:00Z"),
        ("8 am, tomorrow", "2026-11-27T07:00:00Z"),
        ("Tomorrow 24:00", "2026-11-27T23:00:00Z"),
        ("fri 18:00", "2026-11-27T17:00:00Z"),
        ("Friday 18:00", "2026-11-27T17:00:00Z"),
        ("on friday at 6pm", "2026-11-27T17:00:00Z"),
        ("18:00 fri", "2026-11-27T17:00:00Z"),
        ("thu 18:00", "2026-11-26T17:00:00Z"),
        ("thu 14:00", "2026-12-03T13:00:00Z"),
        ("wed 18:00", "2026-12-02T17:00:00Z"),
        ("sun midnight", "2026-11-29T23:00:00Z"),
        ("sun 0:00", "2026-11-28T23:00:00Z"),
        ("2026-11-27 18:00", "2026-11-27T17:00:00Z"),
        ("2026-11-27T18:00", "2026-11-27T17:00:00Z"),
        ("2026-11-27t18:00:00z", "2026-11-27T18:00:00Z"),
        ("2026-11-27T18:00:00+02:00", "2026-11-27T16:00:00Z"),
        ("2027-11-26 18:00", "2027-11-26T17:00:00Z"),
        ("18:00 UTC", "2026-11-26T18:00:00Z"),
        ("18:00UTC", "2026-11-26T18:00:00Z"),
        ("18:00Z", "2026-11-26T18:00:00Z"),
        ("14:00 utc", "2026-11-26T14:00:00Z"),
        ("13:00 utc", "2026-11-27T13:00:00Z"),
        ("6pm utc", "2026-11-26T18:00:00Z"),
        ("18:00 +02:00", "2026-11-26T16:00:00Z"),
        ("18:00+02:00", "2026-11-26T16:00:00Z"),
        ("18:00-05:00", "2026-11-26T23:00:00Z"),
        ("18:00 +0530", "2026-11-27T12:30:00Z"),
        ("18 +2", "2026-11-26T16:00:00Z"),
        ("18:00 UTC+2", "2026-11-26T16:00:00Z"),
        ("18:00 CET", "2026-11-26T17:00:00Z"),
        ("18:00 America/New_York", "2026-11-26T23:00:00Z"),
        ("fri 18:00 UTC", "2026-11-27T18:00:00Z"),
        // In Auckland it is Friday 02:20 already.
        ("fri 18:00 Pacific/Auckland", "2026-11-27T05:00:00Z"),
        ("tomorrow 8:00 +13:00", "2026-11-27T19:00:00Z"),
        ("2026-12-24 18:00 UTC", "2026-12-24T18:00:00Z"),
        ("UTC 18:00", "2026-11-26T18:00:00Z"),
        // Summer time begins in between.
        ("2027-04-01 18:00", "2027-04-01T16:00:00Z"),
        ("2027-04-01 18:00 CEST", "2027-04-01T16:00:00Z"),
    ];
    let rows = rows.map(|(phrase, meant)| (SAID, phrase, meant));
    check("Europe/Berlin", &rows);
    check("CET-1CEST,M3.5.0,M10.5.0/3", &rows);
}

#[test]
fn an_hour_that_is_left_out_is_as_much_after_the_change() {
    check(
        "Europe/Berlin",
        &[
            // 02:00 CET becomes 03:00 CEST at 01:00 UTC.
            ("2026-03-28T20:00:00Z", "2:30", "2026-03-29T01:30:00Z"),
            ("2026-03-28T20:00:00Z", "2:00", "2026-03-29T01:00:00Z"),
            ("2026-03-28T20:00:00Z", "1:59", "2026-03-29T00:59:00Z"),
            ("2026-03-28T20:00:00Z", "3:00", "2026-03-29T01:00:00Z"),
            (
                "2026-03-28T20:00:00Z",
                "tomorrow 2:30",
                "2026-03-29T01:30:00Z",
            ),
            ("2026-03-28T20:00:00Z", "sun 2:30", "2026-03-29T01:30:00Z"),
            (
                "2026-03-28T20:00:00Z",
                "2026-03-29 02:30",
                "2026-03-29T01:30:00Z",
            ),
            ("2026-03-28T20:00:00Z", "2:30 UTC", "2026-03-29T02:30:00Z"),
            // Before it, and after it at 03:10 CEST.
            ("2026-03-29T00:59:00Z", "2:30", "2026-03-29T01:30:00Z"),
            ("2026-03-29T01:10:00Z", "2:30", "2026-03-30T00:30:00Z"),
            // Over it: by the clock, not 24 hours.
            ("2026-03-28T17:00:00Z", "18:00", "2026-03-29T16:00:00Z"),
            ("2026-03-28T17:00:00Z", "tomorrow", "2026-03-29T16:00:00Z"),
            ("2026-03-27T12:00:00Z", "mon 8:00", "2026-03-30T06:00:00Z"),
        ],
    );
    check(
        "Australia/Lord_Howe",
        // 02:00 +10:30 becomes 02:30 +11 on 2026-10-04, at 15:30 UTC of the day before.
        &[
            ("2026-10-03T12:00:00Z", "2:15", "2026-10-03T15:45:00Z"),
            ("2026-10-03T12:00:00Z", "2:30", "2026-10-03T15:30:00Z"),
            ("2026-10-03T12:00:00Z", "18:00", "2026-10-04T07:00:00Z"),
        ],
    );
    check(
        "Pacific/Auckland",
        // 02:00 NZST becomes 03:00 NZDT on 2026-09-27, at 14:00 UTC of the day before.
        &[
            ("2026-09-26T10:00:00Z", "2:30", "2026-09-26T14:30:00Z"),
            ("2026-09-26T10:00:00Z", "sun 8:00", "2026-09-26T19:00:00Z"),
        ],
    );
}

#[test]
fn an_hour_that_is_shown_twice_is_the_later_one() {
    check(
        "Europe/Berlin",
        &[
            // 03:00 CEST becomes 02:00 CET at 01:00 UTC.
            ("2026-10-24T20:00:00Z", "2:30", "2026-10-25T01:30:00Z"),
            ("2026-10-24T20:00:00Z", "2:00", "2026-10-25T01:00:00Z"),
            ("2026-10-24T20:00:00Z", "3:00", "2026-10-25T02:00:00Z"),
            ("2026-10-24T20:00:00Z", "1:59", "2026-10-24T23:59:00Z"),
            ("2026-10-24T20:00:00Z", "2:30 CET", "2026-10-25T01:30:00Z"),
            ("2026-10-24T20:00:00Z", "2:30 CEST", "2026-10-25T00:30:00Z"),
            (
                "2026-10-24T20:00:00Z",
                "2:30 +02:00",
                "2026-10-25T00:30:00Z",
            ),
            // Said in the first of them at 02:40 CEST, and in the second.
            ("2026-10-25T00:40:00Z", "2:30", "2026-10-25T01:30:00Z"),
            ("2026-10-25T01:40:00Z", "2:30", "2026-10-26T01:30:00Z"),
            ("2026-10-24T16:00:00Z", "tomorrow", "2026-10-25T17:00:00Z"),
            ("2026-10-24T16:00:01Z", "18:00", "2026-10-25T17:00:00Z"),
        ],
    );
    check(
        "Australia/Lord_Howe",
        // 02:00 +11 becomes 01:30 +10:30 on 2026-04-05, at 15:00 UTC of the day before.
        &[
            ("2026-04-04T12:00:00Z", "1:45", "2026-04-04T15:15:00Z"),
            (
                "2026-04-04T12:00:00Z",
                "1:45 UTC+11",
                "2026-04-04T14:45:00Z",
            ),
            ("2026-04-04T12:00:00Z", "2:00", "2026-04-04T15:30:00Z"),
        ],
    );
    check(
        "Pacific/Auckland",
        // 03:00 NZDT becomes 02:00 NZST on 2026-04-05, at 14:00 UTC of the day before.
        &[
            ("2026-04-04T10:00:00Z", "2:30", "2026-04-04T14:30:00Z"),
            ("2026-04-04T10:00:00Z", "2:30 nzdt", "2026-04-04T13:30:00Z"),
        ],
    );
}

#[test]
fn weekdays_are_those_of_the_zone() {
    // Sunday 13:30 UTC is Monday 02:30 in Auckland.
    check(
        "Pacific/Auckland",
        &[
            ("2026-11-29T13:30:00Z", "mon 8:00", "2026-11-29T19:00:00Z"),
            ("2026-11-29T13:30:00Z", "today 8:00", "2026-11-29T19:00:00Z"),
            (
                "2026-11-29T13:30:00Z",
                "tomorrow 8:00",
                "2026-11-30T19:00:00Z",
            ),
            ("2026-11-29T13:30:00Z", "sun 8:00", "2026-12-05T19:00:00Z"),
            ("2026-11-29T13:30:00Z", "mon 2:00", "2026-12-06T13:00:00Z"),
        ],
    );
}

#[test]
fn what_is_over_is_refused_with_the_moment_that_it_was() {
    let zone = Zone::parse("Europe/Berlin").unwrap();
    for (phrase, was) in [
        ("2026-11-26 14:00", "Thu 14:00 CET (21 min ago)"),
        ("today 8am", "Thu 08:00 CET (6 h 21 min ago)"),
        (
            "2026-03-29 18:00",
            "Sun 2026-03-29 18:00 CEST (241 d 21 h 21 min ago)",
        ),
        (
            "2026-11-26 13:20:30 UTC",
            "Thu 13:20 UTC (less than a minute ago)",
        ),
        (
            "1970-01-02 00:00",
            "Fri 1970-01-02 00:00 CET (20782 d 14 h 21 min ago)",
        ),
    ] {
        let fault = parse_until(phrase, ms(SAID), &zone);
        assert_eq!(fault, Err(TimeFault::Past(was.to_owned())), "{phrase}");
    }
}

#[test]
fn what_is_no_moment_is_refused_with_examples() {
    let zone = Zone::parse("Europe/Berlin").unwrap();
    for phrase in [
        "",
        " ",
        "at",
        "soon",
        "UTC",
        "+02:00",
        "pm",
        "6 pm pm",
        "25:00",
        "18:60",
        "24:30",
        "1800",
        "18h",
        "2h30m",
        "8 9",
        "18:00 19:00",
        "fri sat 18:00",
        "tomorrow today",
        "next fri 18:00",
        "yesterday 18:00",
        "2026-02-29 18:00",
        "2026-13-01 18:00",
        "26-03-29 18:00",
        "2026-3-29 18:00",
        "29.03.2026 18:00",
        "2026-03-29-01 18:00",
        "18:00 UTC CET",
        "18:00 UTC UTC",
        "18:00 EST",
        "18:00 +15:00",
        "18:00 +02:60",
        "18:00 +",
        "8-18",
        "18:00-20:00",
        "18:00 Mars/Olympus",
        "18:00 ../../etc",
        "-18:00",
        "18:00\0",
        "१८:००",
        "friday the 13th",
        "1960-01-01 18:00",
        "99999-01-01 18:00",
        "18:00 or so",
    ] {
        let fault = parse_until(phrase, ms(SAID), &zone).unwrap_err();
        assert!(
            matches!(fault, TimeFault::NoMoment(_)),
            "{phrase:?}: {fault:?}"
        );
    }
    assert!(parse_until(&"9".repeat(4_000), ms(SAID), &zone).is_err());
}

#[test]
fn a_day_without_an_hour_and_another_name_of_the_zone_are_asked_back() {
    let zone = Zone::parse("Europe/Berlin").unwrap();
    let sentence = |phrase| {
        parse_until(phrase, ms(SAID), &zone)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(sentence("fri"), "the hour is missing: write “fri 18:00”");
    assert_eq!(
        sentence("today"),
        "the hour is missing: write “today 18:00”"
    );
    assert_eq!(
        sentence("2026-12-24"),
        "the hour is missing: write “2026-12-24 18:00”"
    );
    assert_eq!(
        sentence("18:00 CEST"),
        "the zone is CET at that time, not CEST: write CET, or an offset such as +02:00"
    );
    assert_eq!(
        parse_until("2028-11-26 18:00", ms(SAID), &zone),
        Err(TimeFault::TooLong)
    );
}

#[test]
fn no_text_and_no_time_of_the_clock_is_too_much() {
    let zone = Zone::parse("Pacific/Auckland").unwrap();
    for now in [0, 1, u64::MAX / 2, u64::MAX] {
        for phrase in [
            "18:00",
            "tomorrow",
            "sun 24:00",
            "2026-03-29 02:30",
            "9999-12-31 24:00",
        ] {
            let _ = parse_until(phrase, now, &zone);
        }
    }
}
