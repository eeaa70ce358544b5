//! One rule of a schedule: days, and what is to be on them when.

use jiff::civil::{Date, Weekday};

use super::words::{Hour, weekday};
use crate::util::words;

/// The longest rule, in bytes.
const MAX_RULE: usize = 256;

/// The most of a rule that a sentence repeats, in characters.
const MAX_QUOTED: usize = 48;

/// The days of a rule that names none, from Monday.
const DAILY: [bool; 7] = [true; 7];
const WEEKDAYS: [bool; 7] = [true, true, true, true, true, false, false];
const WEEKENDS: [bool; 7] = [false, false, false, false, false, true, true];

/// One rule of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// True for the days, from Monday, on which its windows begin and its edges are.
    days: [bool; 7],
    times: Vec<Time>,
}

/// The state that is to be at an hour or from an hour to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    /// The target is up from the one to the other, on the next day if that is earlier.
    Window {
        /// The beginning, before 24:00.
        from: Hour,
        /// The end; not the same.
        to: Hour,
    },
    /// The target is started.
    Start(Hour),
    /// The target is stopped.
    Stop(Hour),
}

/// The part of a schedule that cannot be read, in a sentence that follows its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleFault {
    /// There is none.
    #[error("has no rule: write one such as “Mon-Fri 08:00-18:00”, or leave it out")]
    NoRule,
    /// There are more than this.
    #[error("has more than {0} rules: write several hours in one, as in “daily 8-12,13-18”")]
    TooManyRules(usize),
    /// A rule is of another form.
    #[error(
        "has “{0}”, which is no rule: write “Mon-Fri 08:00-18:00”, “start weekdays 8:00” or \
         “stop daily 20:00”"
    )]
    Form(String),
    /// A part is no day.
    #[error("has “{0}”, which is no day: write Mon-Fri, Sat,Sun, weekdays, weekends or daily")]
    Day(String),
    /// A part is no window.
    #[error("has “{0}”, which is no window: write 08:00-18:00, or 22:00-06:00 over midnight")]
    Window(String),
    /// A window ends where it begins.
    #[error("has “{0}”, which ends where it begins: write 00:00-24:00 for whole days")]
    Nothing(String),
    /// A part is no hour.
    #[error("has “{0}”, which is no hour: write 08:00, 8 or 8am")]
    Hour(String),
}

impl Rule {
    /// Reads a rule: `[start|stop] [DAYS] HOURS`, in any case.
    ///
    /// # Errors
    /// The part that cannot be read.
    pub(super) fn parse(text: &str) -> Result<Self, ScheduleFault> {
        let form = || ScheduleFault::Form(quoted(text));
        if text.len() > MAX_RULE {
            return Err(form());
        }
        let lower = joined(&text.to_ascii_lowercase().replace('–', "-"));
        let mut parts: Vec<&str> = lower.split_whitespace().collect();
        let verb = match parts.first() {
            Some(&verb @ ("start" | "stop")) => {
                parts.remove(0);
                Some(verb)
            }
            _ => None,
        };
        if parts.first() == Some(&"every") {
            parts.remove(0);
        }
        let (days, hours) = match parts[..] {
            [days, hours] => (days_of(days)?, hours),
            // A day alone is a rule without hours, not an hour that cannot be read.
            [hours] if days_of(hours).is_err() => (DAILY, hours),
            _ => return Err(form()),
        };
        let times = hours.split(',').map(|part| match verb {
            None => window(part),
            Some("start") => hour(part).map(Time::Start),
            Some(_) => hour(part).map(Time::Stop),
        });
        Ok(Self {
            days,
            times: times.collect::<Result<_, _>>()?,
        })
    }

    /// The state that is to be on a day.
    pub(super) fn times_on(&self, day: Date) -> &[Time] {
        match self.days.get(index(day.weekday())) {
            Some(true) => &self.times,
            _ => &[],
        }
    }
}

/// A text with one space between its words and none around what joins them: `8 am - 6 pm`
/// is one word.
fn joined(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        let is_joined = matches!(word, "am" | "pm")
            || word.starts_with(['-', ','])
            || line.is_empty()
            || line.ends_with(['-', ',']);
        if !is_joined {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// The place of a weekday among the days.
fn index(day: Weekday) -> usize {
    usize::try_from(day.to_monday_zero_offset()).unwrap_or_default()
}

/// Reads days: names, ranges of them, over the end of the week too, and words for several.
fn days_of(text: &str) -> Result<[bool; 7], ScheduleFault> {
    let fault = |part: &str| ScheduleFault::Day(quoted(part));
    let mut days = [false; 7];
    for part in text.split(',') {
        let added = match part {
            "daily" | "day" | "days" => DAILY,
            "weekdays" | "weekday" => WEEKDAYS,
            "weekends" | "weekend" => WEEKENDS,
            _ => {
                let (from, to) = part.split_once('-').unwrap_or((part, part));
                let from = named(from).ok_or_else(|| fault(part))?;
                let to = named(to).ok_or_else(|| fault(part))?;
                range(from, to)
            }
        };
        for (day, is_added) in days.iter_mut().zip(added) {
            *day |= is_added;
        }
    }
    Ok(days)
}

/// A weekday by its name, in the plural too.
fn named(word: &str) -> Option<Weekday> {
    weekday(word).or_else(|| weekday(word.strip_suffix('s')?))
}

/// The days from one to another.
fn range(from: Weekday, to: Weekday) -> [bool; 7] {
    let (from, to) = (index(from), index(to));
    std::array::from_fn(|day| match from <= to {
        true => (from..=to).contains(&day),
        false => day >= from || day <= to,
    })
}

/// Reads a window.
fn window(part: &str) -> Result<Time, ScheduleFault> {
    let fault = || ScheduleFault::Window(quoted(part));
    let (from, to) = part.split_once('-').ok_or_else(fault)?;
    let from = Hour::read(from).ok_or_else(fault)?;
    let to = Hour::read(to).ok_or_else(fault)?;
    match from {
        _ if from == to => Err(ScheduleFault::Nothing(quoted(part))),
        Hour::End => Err(fault()),
        Hour::At(_) => Ok(Time::Window { from, to }),
    }
}

/// Reads an hour.
fn hour(part: &str) -> Result<Hour, ScheduleFault> {
    Hour::read(part).ok_or_else(|| ScheduleFault::Hour(quoted(part)))
}

/// A part of a rule for a sentence.
fn quoted(text: &str) -> String {
    words(text, MAX_QUOTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i8, minute: i8) -> Hour {
        Hour::At(jiff::civil::time(hour, minute, 0, 0))
    }

    /// The days of a rule as `M-W----`.
    fn days(rule: &str) -> String {
        let rule = Rule::parse(rule).unwrap();
        let letters = "MTWTFSS".chars().zip(rule.days);
        letters
            .map(|(c, is_on)| if is_on { c } else { '-' })
            .collect()
    }

    #[test]
    fn days_are_names_ranges_and_words() {
        for (rule, meant) in [
            ("Mon-Fri 8-18", "MTWTF--"),
            ("mon - fri 8 - 18", "MTWTF--"),
            ("Mon–Fri 8–18", "MTWTF--"),
            ("monday-friday 8-18", "MTWTF--"),
            ("weekdays 8-18", "MTWTF--"),
            ("Sat,Sun 8-18", "-----SS"),
            ("Sat, Sun 8-18", "-----SS"),
            ("weekends 8-18", "-----SS"),
            ("daily 8-18", "MTWTFSS"),
            ("every day 8-18", "MTWTFSS"),
            ("8-18", "MTWTFSS"),
            ("Sun-Fri 8-18", "MTWTF-S"),
            ("Sat-Mon 8-18", "M----SS"),
            ("Mon-Sun 8-18", "MTWTFSS"),
            ("Mon-Wed,Fri 8-18", "MTW-F--"),
            ("weekdays,sat 8-18", "MTWTFS-"),
            ("Wed-Wed 8-18", "--W----"),
            ("mondays 8-18", "M------"),
            ("start Mon-Fri 08:00", "MTWTF--"),
            ("Stop daily 20:00", "MTWTFSS"),
            ("stop 20:00", "MTWTFSS"),
        ] {
            assert_eq!(days(rule), meant, "{rule}");
        }
    }

    #[test]
    fn hours_are_windows_or_edges() {
        let window = |from, to| Time::Window { from, to };
        for (rule, meant) in [
            ("8-18", vec![window(at(8, 0), at(18, 0))]),
            ("08:00-18:30", vec![window(at(8, 0), at(18, 30))]),
            ("8am-6pm", vec![window(at(8, 0), at(18, 0))]),
            ("daily 8 am - 6 pm", vec![window(at(8, 0), at(18, 0))]),
            ("22:00-06:00", vec![window(at(22, 0), at(6, 0))]),
            ("0-24", vec![window(at(0, 0), Hour::End)]),
            ("18-0", vec![window(at(18, 0), at(0, 0))]),
            (
                "daily 8-12, 13-18",
                vec![window(at(8, 0), at(12, 0)), window(at(13, 0), at(18, 0))],
            ),
            ("start fri 8", vec![Time::Start(at(8, 0))]),
            ("stop daily midnight", vec![Time::Stop(Hour::End)]),
            (
                "stop 12,20",
                vec![Time::Stop(at(12, 0)), Time::Stop(at(20, 0))],
            ),
        ] {
            assert_eq!(Rule::parse(rule).unwrap().times, meant, "{rule}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_a_fault_that_names_the_piece() {
        use ScheduleFault::{Day, Form, Hour, Nothing, Window};
        let text = str::to_owned;
        for (rule, fault) in [
            ("", Form(text(""))),
            ("false", Window(text("false"))),
            ("Mon-Fri", Form(text("Mon-Fri"))),
            ("start", Form(text("start"))),
            ("start Mon", Form(text("start Mon"))),
            ("Mon Tue 8-18", Form(text("Mon Tue 8-18"))),
            ("Mun-Fri 8-18", Day(text("mun-fri"))),
            ("Mon-Fri-Sun 8-18", Day(text("mon-fri-sun"))),
            ("Mon,,Fri 8-18", Day(text(""))),
            ("Mon-Fri 8", Window(text("8"))),
            ("Mon-Fri 8-25", Window(text("8-25"))),
            ("Mon-Fri 8-12-18", Window(text("8-12-18"))),
            ("Mon-Fri 24-6", Window(text("24-6"))),
            ("Mon-Fri 8-12,", Window(text(""))),
            ("daily 8-8", Nothing(text("8-8"))),
            ("daily 24-24", Nothing(text("24-24"))),
            ("start daily 8-18", Hour(text("8-18"))),
            ("stop daily noonish", Hour(text("noonish"))),
            ("8-18 Mon-Fri", Day(text("8-18"))),
        ] {
            assert_eq!(Rule::parse(rule), Err(fault), "{rule}");
        }
        assert!(Rule::parse(&"Mon,".repeat(1_000)).is_err());
    }
}
