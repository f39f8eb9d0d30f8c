//! Reads schedule expressions.

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;

/// An expression that was read.
#[derive(Debug, Clone)]
pub enum Expression {
    /// Every so often, by elapsed time.
    Rate {
        /// Milliseconds from one to the next.
        every_ms: i64,
    },
    /// Once, at a time on the wall.
    At(DateTime),
    /// Whenever a clock on the wall shows a matching time.
    Cron {
        /// The rules.
        cron: Box<Cron>,
        /// It fires in every hour.
        hourly: bool,
    },
}

/// Why an expression cannot be read, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// None of the forms.
    #[error(
        "write cron(MINUTES HOURS DAY MONTH WEEKDAY YEAR), rate(NUMBER UNIT), at(YYYY-MM-DDTHH:MM:SS) or five fields of crontab"
    )]
    Form,
    /// Not a rate.
    #[error("write rate(1 minute) or rate(N minutes), with second, minute, hour or day, and N from 1")]
    Rate,
    /// Not a time.
    #[error("write at(YYYY-MM-DDTHH:MM:SS), without a zone; the timer has one")]
    At,
    /// Not six fields.
    #[error("cron() has six fields, minutes hours day-of-month month day-of-week year; there are {0}")]
    Fields(usize),
    /// Both or none of the days.
    #[error("write ? in exactly one of the fields day-of-month and day-of-week")]
    Days,
    /// A field that cannot be read.
    #[error("{field}: {text:?} cannot be read ({why}); write {form}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What stands there.
        text: String,
        /// What the parser says.
        why: String,
        /// What may stand there.
        form: &'static str,
    },
    /// Fields that can be read one by one, and not together.
    #[error("cron: {0}")]
    Cron(String),
}

impl Expression {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        if let Some(inner) = call(text, "rate") {
            return rate(inner).ok_or(ExpressionError::Rate);
        }
        if let Some(inner) = call(text, "at") {
            let plain = inner.len() == 19 && inner.as_bytes().get(10) == Some(&b'T');
            let time = plain.then(|| inner.parse::<DateTime>().ok()).flatten();
            return time.map(Self::At).ok_or(ExpressionError::At);
        }
        if let Some(inner) = call(text, "cron") {
            return six_fields(inner);
        }
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        if fields.len() != 5 || text.contains('(') {
            return Err(ExpressionError::Form);
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let parsed = parser.parse(&fields.join(" "));
        Ok(Self::Cron {
            cron: Box::new(parsed.map_err(|error| {
                let alone = |at: usize, field: &str| {
                    let mut others = ["*"; 5];
                    others[at] = field;
                    parser.parse(&others.join(" ")).err()
                };
                culprit(&FIELDS[..5], &fields, alone, &error)
            })?),
            hourly: is_hourly(fields[1]),
        })
    }
}

/// The fields of an expression in order, with what may stand in each.
const FIELDS: [(&str, &str); 6] = [
    ("minutes", "0 to 59, as 5, 0,30, 10-20 or */15"),
    ("hours", "0 to 23, as 2, 8,20, 9-17 or */6"),
    ("day-of-month", "1 to 31, ?, L, 15W"),
    ("month", "1 to 12 or JAN to DEC"),
    ("day-of-week", "a number or SUN to SAT, ?, 6L, 2#1"),
    ("year", "1970 to 2199"),
];

/// Which of the fields is to blame, found by reading each of them with nothing said in the others.
fn culprit(
    names: &[(&'static str, &'static str)],
    fields: &[&str],
    alone: impl Fn(usize, &str) -> Option<CronError>,
    whole: &CronError,
) -> ExpressionError {
    let mut all = names.iter().zip(fields).enumerate();
    let found = all.find_map(|(at, ((field, form), text))| {
        Some(ExpressionError::Field {
            field,
            text: (*text).to_owned(),
            why: alone(at, text)?.to_string(),
            form,
        })
    });
    found.unwrap_or_else(|| ExpressionError::Cron(whole.to_string()))
}

fn call<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')')
}

fn rate(inner: &str) -> Option<Expression> {
    let (number, unit) = inner.split_once(' ')?;
    // No sign, no zeros in front, no further space: as EventBridge has it.
    let plain = number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0');
    let number: i64 = plain.then(|| number.parse().ok()).flatten()?;
    let (one, seconds) = match unit.strip_suffix('s') {
        Some(unit) => (false, seconds_of(unit)?),
        None => (true, seconds_of(unit)?),
    };
    if one != (number == 1) {
        return None;
    }
    let every_ms = number.checked_mul(seconds)?.checked_mul(1_000)?;
    Some(Expression::Rate { every_ms })
}

/// Seconds are our own; EventBridge begins at minutes.
fn seconds_of(unit: &str) -> Option<i64> {
    match unit {
        "second" => Some(1),
        "minute" => Some(60),
        "hour" => Some(3_600),
        "day" => Some(86_400),
        _ => None,
    }
}

fn six_fields(inner: &str) -> Result<Expression, ExpressionError> {
    let fields: Vec<&str> = inner.split_ascii_whitespace().collect();
    let [minutes, hours, day, month, weekday, year] = fields[..] else {
        return Err(ExpressionError::Fields(fields.len()));
    };
    if (day == "?") == (weekday == "?") {
        return Err(ExpressionError::Days);
    }
    // Quartz counts days of the week from 1, Sunday; `L` alone is the last of them, Saturday.
    let weekday = if weekday == "L" { "7" } else { weekday };
    let parser = CronParser::builder()
        .seconds(Seconds::Required)
        .year(Year::Required)
        .alternative_weekdays(true)
        // `0/20`: from 0, every 20.
        .sloppy_ranges(true)
        .build();
    let pattern = format!("0 {minutes} {hours} {day} {month} {weekday} {year}");
    let parsed = parser.parse(&pattern);
    Ok(Expression::Cron {
        cron: Box::new(parsed.map_err(|error| {
            let alone = |at: usize, field: &str| {
                let mut others = ["*"; 6];
                others[at] = field;
                parser.parse(&format!("0 {}", others.join(" "))).err()
            };
            culprit(
                &FIELDS,
                &[minutes, hours, day, month, weekday, year],
                alone,
                &error,
            )
        })?),
        hourly: is_hourly(hours),
    })
}

fn is_hourly(hours: &str) -> bool {
    matches!(hours, "*" | "*/1" | "0/1" | "0-23")
}
