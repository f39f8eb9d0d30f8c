//! When a timer fires: expressions, time zones with their changes of the clock, business days.
//!
//! Source of the expressions: EventBridge Scheduler user guide, "Schedule types" (`rate`, `cron` with six fields, `at`), and
//! crontab(5) for the bare five fields. Rules at a change of the clock, as EventBridge Scheduler has them: a time that the
//! clock leaps over does not come; one that it shows twice counts the first time. A schedule that fires every hour (its hour
//! field is `*`) goes by elapsed time instead: it fires in both hours that bear the same name.

mod calendar;
mod expression;
mod payload;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use serde::{Deserialize, Serialize};

pub use calendar::{Calendar, CalendarError};
pub use expression::{Expression, ExpressionError};
pub use payload::{Occurrence, payload, sample, spread_ms};

pub use crate::trigger::Format;

use crate::UnixMillis;

/// What to do about occurrences that passed while nobody could fire them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Misfire {
    /// Fire the last one of them.
    #[default]
    FireOnce,
    /// Let them pass.
    Skip,
    /// Fire each of them, the latest `most_missed` at most.
    FireAll,
}

/// What to do when the event of the occurrence before is still in the queue or running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// Both run.
    #[default]
    Allow,
    /// The new one is left out.
    Forbid,
    /// The one before is cancelled.
    Replace,
}

/// Days on which a timer fires at all, by a business-day calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Days {
    /// Working days.
    Working,
    /// All others.
    Off,
}

/// The longest time in seconds for which an occurrence may be late and still count as on time: a day.
pub const MOST_GRACE_S: u32 = 86_400;

/// What a timer is defined by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timer {
    /// `cron(…)`, `rate(…)`, `at(…)` or five fields of crontab.
    pub schedule: String,
    /// IANA name of the time zone; `UTC` when left out.
    #[serde(default = "utc")]
    pub timezone: String,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_ms: Option<UnixMillis>,
    /// Not after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_ms: Option<UnixMillis>,
    /// Each occurrence is delayed by up to so many seconds, the same for the same occurrence: a flexible window, or jitter.
    #[serde(default)]
    pub window_s: u32,
    /// What to do about missed occurrences.
    #[serde(default)]
    pub misfire: Misfire,
    /// Later than so many seconds is missed.
    #[serde(default = "grace")]
    pub grace_s: u32,
    /// Of `fire_all`: how many of the missed ones at most.
    #[serde(default = "most_missed")]
    pub most_missed: u32,
    /// What to do when the one before still runs.
    #[serde(default)]
    pub overlap: Overlap,
    /// Name of a business-day calendar of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<String>,
    /// Days of it on which the timer fires; working days when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<Days>,
    /// The payload; `<aws.scheduler.scheduled-time>` and the like in it are replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// How the function gets the event when there is no input.
    #[serde(default)]
    pub format: Format,
}

impl Timer {
    /// Whether it comes at the same times as another.
    fn comes_with(&self, other: &Self) -> bool {
        let times = |timer: &Self| {
            (
                timer.schedule.clone(),
                timer.timezone.clone(),
                (timer.start_ms, timer.end_ms),
                timer.calendar.clone(),
                timer.days,
            )
        };
        times(self) == times(other)
    }
}

/// After which time occurrences count of a timer that is changed now, when those up to `dealt_with_ms` had been dealt with. What
/// was due by the old definition and is by the new one, and has not been fired for a moment or for want of a server, is not
/// lost by the change.
pub fn since_change(
    (before, of_before): (&Timer, &Schedule),
    (after, of_after): (&Timer, &Schedule),
    dealt_with_ms: UnixMillis,
    now_ms: UnixMillis,
) -> UnixMillis {
    if before.comes_with(after) {
        return dealt_with_ms;
    }
    let grace = i64::from(before.grace_s.min(MOST_GRACE_S)) * 1_000;
    let from = dealt_with_ms.max(now_ms.saturating_sub(grace));
    let was_due = of_before.missed(from, now_ms, usize::MAX);
    let still = |at: &&UnixMillis| of_after.next_after(**at - 1) == Some(**at);
    let first = was_due.iter().find(still);
    first.map_or(now_ms, |first| first - 1)
}

fn utc() -> String {
    "UTC".to_owned()
}

fn grace() -> u32 {
    60
}

fn most_missed() -> u32 {
    100
}

/// A timer's rules, read and ready.
#[derive(Debug, Clone)]
pub struct Schedule {
    expression: Expression,
    zone: TimeZone,
    /// Where `rate` counts from.
    anchor_ms: UnixMillis,
    start_ms: UnixMillis,
    end_ms: UnixMillis,
    calendar: Option<(Calendar, Days)>,
}

/// Hours around a change of the clock in which times do not come in the order in which they are shown.
const NEAR: i64 = 3;
/// Days that are looked through for one on which the timer fires: ten years, more than the longest run of days off.
const MOST_DAYS: usize = 3_660;

impl Schedule {
    /// Reads a timer's rules. `anchor_ms` is when it was made. The text of an error names the member and the fix.
    pub fn new(timer: &Timer, calendar: Option<Calendar>, anchor_ms: UnixMillis) -> Result<Self, String> {
        let expression = Expression::parse(&timer.schedule).map_err(|error| format!("schedule: {error}"))?;
        let zone = TimeZone::get(&timer.timezone).map_err(|_| {
            format!(
                "timezone: {:?} is no time zone; write an IANA name such as Asia/Shanghai",
                timer.timezone
            )
        })?;
        if let (Some(start), Some(end)) = (timer.start_ms, timer.end_ms)
            && start >= end
        {
            return Err("end: lies before the start; leave one out or move it".to_owned());
        }
        if timer.days.is_some() && timer.calendar.is_none() {
            return Err("days: needs a calendar; name one of the server's".to_owned());
        }
        let calendar = match (&timer.calendar, calendar) {
            (None, _) => None,
            (Some(_), Some(calendar)) => Some((calendar, timer.days.unwrap_or(Days::Working))),
            (Some(name), None) => return Err(format!("calendar: the server has no calendar {name}")),
        };
        Ok(Self {
            expression,
            zone,
            anchor_ms: timer.start_ms.unwrap_or(anchor_ms),
            start_ms: timer.start_ms.unwrap_or(UnixMillis::MIN),
            end_ms: timer.end_ms.unwrap_or(UnixMillis::MAX),
            calendar,
        })
    }

    /// The first occurrence after a time; `None` when there is none any more.
    pub fn next_after(&self, after_ms: UnixMillis) -> Option<UnixMillis> {
        let mut at = after_ms.max(self.start_ms.saturating_sub(1));
        for _ in 0..MOST_DAYS {
            let next = self.next_of_expression(at)?;
            if next > self.end_ms {
                return None;
            }
            match self.day_off(next) {
                None => return Some(next),
                // The rest of this day is of the same kind.
                Some(end_of_day) => at = end_of_day.saturating_sub(1).max(next),
            }
        }
        None
    }

    /// Of an occurrence on a day on which the timer does not fire: where the next day begins.
    fn day_off(&self, at_ms: UnixMillis) -> Option<UnixMillis> {
        let (calendar, days) = self.calendar.as_ref()?;
        let local = Timestamp::from_millisecond(at_ms)
            .ok()?
            .to_zoned(self.zone.clone());
        let working = calendar.is_working(local.date());
        if working == (*days == Days::Working) {
            return None;
        }
        let tomorrow = local.date().tomorrow().ok()?;
        let start = tomorrow.to_zoned(self.zone.clone()).ok()?;
        Some(start.timestamp().as_millisecond())
    }

    /// The latest occurrences after one time and not after another, `most` at most, in order. Looks back from the end, so
    /// that a long pause costs no more than a short one.
    pub fn missed(&self, after_ms: UnixMillis, until_ms: UnixMillis, most: usize) -> Vec<UnixMillis> {
        let mut span = 60_000_i64;
        loop {
            let from = after_ms.max(until_ms.saturating_sub(span));
            let mut found = std::collections::VecDeque::new();
            let mut at = from;
            while let Some(next) = self.next_after(at).filter(|next| *next <= until_ms) {
                if found.len() == most {
                    found.pop_front();
                }
                found.push_back(next);
                at = next;
            }
            if from == after_ms || found.len() >= most {
                return found.into();
            }
            span = span.saturating_mul(4);
        }
    }

    fn next_of_expression(&self, after_ms: UnixMillis) -> Option<UnixMillis> {
        match &self.expression {
            Expression::Rate { every_ms } => {
                let first = self.anchor_ms.saturating_add(if self.start_ms == self.anchor_ms {
                    0
                } else {
                    *every_ms
                });
                let next = if after_ms < first {
                    first
                } else {
                    let passed = (after_ms - first) / every_ms;
                    first.saturating_add((passed + 1).saturating_mul(*every_ms))
                };
                // Beyond the last time that there is a name for: never.
                Timestamp::from_millisecond(next).is_ok().then_some(next)
            }
            Expression::At(civil) => {
                let at = self.instants(*civil, false)[0]?;
                (at > after_ms).then_some(at)
            }
            Expression::Cron { cron, hourly } => self
                .next_with_steady_clock(cron, after_ms)
                .or_else(|| self.next_of_cron(cron, *hourly, after_ms)),
        }
    }

    /// The short way, which nearly every look takes: far from a change of the clock the next time on the wall is the next
    /// one. `None` when a change is near, or there is no such time.
    fn next_with_steady_clock(&self, cron: &croner::Cron, after_ms: UnixMillis) -> Option<UnixMillis> {
        const NEAR_MS: i64 = NEAR * 3_600_000;
        let before = Timestamp::from_millisecond(after_ms.saturating_sub(NEAR_MS)).ok()?;
        let change = self.zone.following(before).next();
        let after = Timestamp::from_second(after_ms.div_euclid(1_000)).ok()?;
        let civil = after.to_zoned(self.zone.clone()).datetime();
        let next = self.instants(cron.find_next_occurrence(&civil, false).ok()?, false)[0]?;
        let steady =
            change.is_none_or(|change| change.timestamp().as_millisecond() > next.saturating_add(NEAR_MS));
        (steady && next > after_ms).then_some(next)
    }

    /// Goes through the times that a clock on the wall would show, from a little before: near a change of the clock they do
    /// not come in the order in which they are shown.
    fn next_of_cron(&self, cron: &croner::Cron, hourly: bool, after_ms: UnixMillis) -> Option<UnixMillis> {
        let local = |ms: UnixMillis| -> Option<DateTime> {
            let stamp = Timestamp::from_millisecond(ms).ok()?;
            Some(stamp.to_zoned(self.zone.clone()).datetime())
        };
        let mut civil = local(after_ms)?.checked_sub(jiff::Span::new().hours(NEAR)).ok()?;
        let mut best: Option<UnixMillis> = None;
        loop {
            // An error is "none any more": a year in the past.
            let Ok(next) = cron.find_next_occurrence(&civil, false) else {
                return best;
            };
            if let Some(best) = best
                && next > local(best)?.checked_add(jiff::Span::new().hours(NEAR)).ok()?
            {
                return Some(best);
            }
            let instants = self.instants(next, hourly);
            let later = instants.into_iter().flatten().filter(|at| *at > after_ms).min();
            best = match (best, later) {
                (Some(best), Some(later)) => Some(best.min(later)),
                (best, later) => best.or(later),
            };
            civil = next;
        }
    }

    /// When a clock on the wall shows a time: never, once or twice; of twice the first counts unless both are wanted.
    fn instants(&self, civil: DateTime, both: bool) -> [Option<UnixMillis>; 2] {
        let at = |offset: jiff::tz::Offset| {
            let stamp = offset.to_timestamp(civil).ok();
            stamp.map(Timestamp::as_millisecond)
        };
        match self.zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => [at(offset), None],
            AmbiguousOffset::Gap { .. } => [None, None],
            AmbiguousOffset::Fold { before, after } => [at(before), if both { at(after) } else { None }],
        }
    }
}

#[cfg(test)]
mod tests;
