//! Reads schedule expressions.

use croner::Cron;
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
        Ok(Self::Cron {
            cron: Box::new(parser.parse(&fields.join(" ")).map_err(said)?),
            hourly: is_hourly(fields[1]),
        })
    }
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
    Ok(Expression::Cron {
        cron: Box::new(parser.parse(&pattern).map_err(said)?),
        hourly: is_hourly(hours),
    })
}

fn is_hourly(hours: &str) -> bool {
    matches!(hours, "*" | "*/1" | "0/1" | "0-23")
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn said(error: croner::errors::CronError) -> ExpressionError {
    ExpressionError::Cron(error.to_string())
}
