//! Business days: weekends, holidays and the working days that make up for them, from a file.
//!
//! The file has one day a line: `2026-10-01 holiday National Day`, `2026-10-10 workday`; `#` begins a remark. Days that it does
//! not name are working days from Monday to Friday.

use std::collections::BTreeMap;

use jiff::civil::{Date, Weekday};

/// A calendar.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calendar {
    days: BTreeMap<Date, bool>,
}

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: write YYYY-MM-DD holiday, or YYYY-MM-DD workday, each day once; not {text:?}")]
pub struct CalendarError {
    /// From 1.
    pub line: usize,
    /// What it says.
    pub text: String,
}

impl Calendar {
    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<Self, CalendarError> {
        let mut days = BTreeMap::new();
        for (at, whole) in text.lines().enumerate() {
            let line = whole.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let wrong = || CalendarError {
                line: at + 1,
                text: whole.trim().to_owned(),
            };
            let mut words = line.split_ascii_whitespace();
            let date: Date = words
                .next()
                .and_then(|word| word.parse().ok())
                .ok_or_else(wrong)?;
            let working = match words.next() {
                Some("holiday") => false,
                Some("workday") => true,
                _ => return Err(wrong()),
            };
            if days.insert(date, working).is_some() {
                return Err(wrong());
            }
        }
        Ok(Self { days })
    }

    /// Whether a day is a working day.
    pub fn is_working(&self, date: Date) -> bool {
        let weekend = matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
        self.days.get(&date).copied().unwrap_or(!weekend)
    }

    /// The last day that it names: later ones are taken by the day of the week alone.
    pub fn ends(&self) -> Option<Date> {
        self.days.keys().next_back().copied()
    }
}
