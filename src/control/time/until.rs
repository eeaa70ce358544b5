//! Moments, as people write them: `18:00`, `tomorrow 8am`, `2026-03-29 18:00 UTC`.

use jiff::civil::{Date, DateTime, Weekday};

use super::{
    MAX_DURATION, TimeFault, Zone, describe,
    words::{Hour, number, weekday},
    zone::Moments,
};

/// The longest text that is looked at, in bytes.
const MAX_TEXT: usize = 64;

/// A quarter of a year, in milliseconds: four of them see each name of a zone.
const QUARTER_MS: u64 = 91 * 86_400_000;

/// Reads the moment that a text means at `now_ms` in a zone, in milliseconds since the Unix
/// epoch. The words may be in any order, in any case.
///
/// A time without a day, or with a weekday, is the next one there is. `tomorrow` alone is
/// this time tomorrow. `UTC`, an offset or the name of a zone moves all of it there,
/// weekdays and dates too. What the clocks are put forward over is as much after the
/// change; what they show twice is the later one, since a stop too early hurts more, unless
/// the zone is named as it is called the first time.
///
/// # Errors
/// The fault in it; that it is over, or more than 366 days away.
pub fn parse_until(text: &str, now_ms: u64, zone: &Zone) -> Result<u64, TimeFault> {
    let fault = || TimeFault::no_moment(text);
    if text.len() > MAX_TEXT {
        return Err(fault());
    }
    let phrase = Phrase::read(text, now_ms, zone).ok_or_else(fault)?;
    let at_ms = phrase.moment(now_ms).ok_or_else(fault)??;
    if at_ms <= now_ms {
        return Err(TimeFault::Past(describe(at_ms, now_ms, &phrase.zone)));
    }
    match u128::from(at_ms - now_ms) > MAX_DURATION.as_millis() {
        true => Err(TimeFault::TooLong),
        false => Ok(at_ms),
    }
}

/// The words of a text.
struct Phrase {
    day: Day,
    hour: Option<Hour>,
    zone: Zone,
    /// The name that the text gives the zone, in capitals, if it has to be called so then.
    called: Option<String>,
}

/// The day that a text names.
enum Day {
    Any,
    Today,
    Tomorrow,
    /// The day, and the word for it.
    Weekday(Weekday, String),
    Date(Date),
}

/// A word, or a part of one.
enum Word {
    Day(Day),
    Hour(Hour),
    Zone(Zone),
    Called(String),
}

impl Phrase {
    fn read(text: &str, now_ms: u64, zone: &Zone) -> Option<Self> {
        let mut phrase = Self {
            day: Day::Any,
            hour: None,
            zone: zone.clone(),
            called: None,
        };
        let mut has_zone = false;
        for word in split(text) {
            let is_new = match Word::read(&word, now_ms, zone)? {
                Word::Day(day) => {
                    matches!(std::mem::replace(&mut phrase.day, day), Day::Any)
                }
                Word::Hour(hour) => phrase.hour.replace(hour).is_none(),
                Word::Zone(zone) => {
                    phrase.zone = zone;
                    !std::mem::replace(&mut has_zone, true)
                }
                Word::Called(called) => {
                    phrase.called = Some(called);
                    !std::mem::replace(&mut has_zone, true)
                }
            };
            if !is_new {
                return None;
            }
        }
        let is_whole = phrase.hour.is_some() || !matches!(phrase.day, Day::Any);
        is_whole.then_some(phrase)
    }

    /// The moment, which may be over. `None` if the calendar has none.
    fn moment(&self, now_ms: u64) -> Option<Result<u64, TimeFault>> {
        let now = self.zone.local(now_ms);
        let today = now.date();
        let hour = match (self.hour, &self.day) {
            (Some(hour), _) => hour,
            (None, Day::Tomorrow) => Hour::At(now.time()),
            (None, Day::Weekday(_, word)) => return Some(Err(TimeFault::NoHour(word.clone()))),
            (None, Day::Date(date)) => return Some(Err(TimeFault::NoHour(date.to_string()))),
            (None, Day::Any | Day::Today) => {
                return Some(Err(TimeFault::NoHour("today".to_owned())));
            }
        };
        match &self.day {
            Day::Any => self.next(hour, now_ms, now, |_| true),
            Day::Weekday(day, _) => self.next(hour, now_ms, now, |date| date.weekday() == *day),
            Day::Today => self.at(hour.on(today)?),
            Day::Tomorrow => self.at(hour.on(today.tomorrow().ok()?)?),
            Day::Date(date) => self.at(hour.on(*date)?),
        }
    }

    /// The next moment at which it is that hour on such a day.
    fn next(
        &self,
        hour: Hour,
        now_ms: u64,
        now: DateTime,
        is_meant: impl Fn(Date) -> bool,
    ) -> Option<Result<u64, TimeFault>> {
        let mut day = now.date();
        // From today to the same weekday of the next week.
        for _ in 0..=7 {
            if is_meant(day) {
                let shown = hour.on(day)?;
                let moments = self.zone.moments(shown)?;
                // Once the clocks are past an hour that they leave out, its moment, which is
                // as much after the change, may be still to come: it is not meant.
                let is_over = moments.last <= now_ms || moments.is_left_out && shown <= now;
                if !is_over {
                    match self.called(moments) {
                        // The first of two, which the name of the zone asks for.
                        Ok(at_ms) if at_ms <= now_ms => {}
                        found => return Some(found),
                    }
                }
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    /// The moment at which the clocks show this.
    fn at(&self, shown: DateTime) -> Option<Result<u64, TimeFault>> {
        Some(self.called(self.zone.moments(shown)?))
    }

    /// The last of the moments, or the last at which the zone is called as the text has it.
    fn called(&self, moments: Moments) -> Result<u64, TimeFault> {
        let Some(said) = &self.called else {
            return Ok(moments.last);
        };
        let is_called_so = |ms: &u64| self.zone.abbreviation(*ms).eq_ignore_ascii_case(said);
        let mut moments_in_order = [moments.last, moments.first].into_iter();
        let found = moments_in_order.find(is_called_so);
        found.ok_or_else(|| TimeFault::OtherAbbreviation {
            said: said.clone(),
            is: self.zone.abbreviation(moments.last),
        })
    }
}

impl Word {
    /// Reads a word; that a zone goes by a name is seen over the year after `now_ms`.
    fn read(word: &str, now_ms: u64, zone: &Zone) -> Option<Self> {
        match word {
            "today" => return Some(Self::Day(Day::Today)),
            "tomorrow" => return Some(Self::Day(Day::Tomorrow)),
            "utc" | "gmt" | "z" => return Some(Self::Zone(Zone::utc())),
            _ => {}
        }
        if let Some(day) = weekday(word) {
            return Some(Self::Day(Day::Weekday(day, word.to_owned())));
        }
        if let Some(date) = date(word) {
            return Some(Self::Day(Day::Date(date)));
        }
        if let Some(hour) = Hour::read(word) {
            return Some(Self::Hour(hour));
        }
        if let Some(zone) = offset(word) {
            return Some(Self::Zone(zone));
        }
        if word.contains('/') {
            return Zone::parse(word).ok().map(Self::Zone);
        }
        let is_name = (0..=4).any(|quarters| {
            let at_ms = now_ms.saturating_add(quarters * QUARTER_MS);
            zone.abbreviation(at_ms).eq_ignore_ascii_case(word)
        });
        is_name.then(|| Self::Called(word.to_ascii_uppercase()))
    }
}

/// The words of a text in lower case: what belongs together is joined (`6 pm`), what is
/// written together and does not belong is parted (`2026-03-29T18:00Z`), `at` and `on` are
/// left out.
fn split(text: &str) -> Vec<String> {
    let lower = text.to_ascii_lowercase().replace("a.m.", "am");
    let lower = lower.replace("p.m.", "pm");
    let mut words: Vec<String> = Vec::new();
    let between = |c: char| c.is_whitespace() || c == ',';
    for word in lower.split(between).filter(|word| !word.is_empty()) {
        match (word, words.last_mut()) {
            ("at" | "on", _) => {}
            ("am" | "pm", Some(hour)) => hour.push_str(word),
            _ => {
                let (day, rest) = match word.split_once('t') {
                    Some((day, rest)) if date(day).is_some() => (Some(day), rest),
                    _ => (None, word),
                };
                let zone_from = rest.find(':').and_then(|colon| {
                    let behind = rest.get(colon..)?;
                    Some(colon + behind.find(['+', '-', 'z', 'u', 'g'])?)
                });
                let (hour, zone) = rest.split_at(zone_from.unwrap_or(rest.len()));
                let parts = [day.unwrap_or_default(), hour, zone];
                words.extend(parts.map(str::to_owned));
                words.retain(|part| !part.is_empty());
            }
        }
    }
    words
}

/// A date of the form `2026-03-29`.
fn date(word: &str) -> Option<Date> {
    let mut parts = word.split('-');
    let year = number(parts.next()?, 4..=4)?;
    let month = number(parts.next()?, 2..=2)?;
    let day = number(parts.next()?, 2..=2)?;
    let date = Date::new(year, month, day).ok();
    date.filter(|_| parts.next().is_none())
}

/// The zone of an offset: `+02:00`, `+0200`, `+2`, `UTC+2`. As people and ISO 8601 write
/// it, `+` is east.
fn offset(word: &str) -> Option<Zone> {
    let word = word.strip_prefix("utc").unwrap_or(word);
    let word = word.strip_prefix("gmt").unwrap_or(word);
    let (sign, digits) = match (word.strip_prefix('+'), word.strip_prefix('-')) {
        (Some(digits), _) => (1, digits),
        (_, Some(digits)) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match (digits.split_once(':'), digits.len()) {
        (Some(parts), _) => parts,
        (None, 4) => digits.split_at_checked(2)?,
        (None, _) => (digits, "00"),
    };
    let hours: i16 = number(hours, 1..=2)?;
    let minutes: i16 = number(minutes, 2..=2)?;
    let minutes = (minutes < 60).then_some(60 * hours + minutes)?;
    Zone::ahead(sign * minutes)
}
