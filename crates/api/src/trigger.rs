//! Triggers: `/api/v1/triggers`.

use flint_model::schedule::{Days, Format, MOST_GRACE_S, Misfire, Overlap, Timer};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a timer is defined by; times are RFC 3339.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimerBody {
    /// `cron(…)`, `rate(…)`, `at(…)` or five fields of crontab.
    pub schedule: String,
    /// IANA name of the time zone; `UTC` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Not before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Not after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Each occurrence is delayed by up to so many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_s: Option<u32>,
    /// `fire_once` (the default), `skip` or `fire_all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misfire: Option<Misfire>,
    /// Later than so many seconds is missed (60).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_s: Option<u32>,
    /// Of `fire_all`: how many at most (100).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_missed: Option<u32>,
    /// `allow` (the default), `forbid` or `replace`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Overlap>,
    /// Name of a business-day calendar of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calendar: Option<String>,
    /// `working` (the default with a calendar) or `off`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<Days>,
    /// The payload: JSON, in which `<aws.scheduler.scheduled-time>` and the like are replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// `lambda` (the default) or `cloudevents`, when there is no input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
}

impl TimerBody {
    /// The timer; the text of an error names the member and the fix.
    pub fn timer(&self) -> Result<Timer, String> {
        let time = |name: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => text
                .parse::<Timestamp>()
                .map(|time| Some(time.as_millisecond()))
                .map_err(|_| format!("{name}: {text:?} is no time; write 2026-11-22T15:04:05Z")),
        };
        let timer = Timer {
            schedule: self.schedule.clone(),
            timezone: self.timezone.clone().unwrap_or_else(|| "UTC".to_owned()),
            start_ms: time("start", &self.start)?,
            end_ms: time("end", &self.end)?,
            window_s: self.window_s.unwrap_or(0),
            misfire: self.misfire.unwrap_or_default(),
            grace_s: self.grace_s.unwrap_or(60),
            most_missed: self.most_missed.unwrap_or(100),
            overlap: self.overlap.unwrap_or_default(),
            calendar: self.calendar.clone(),
            days: self.days,
            input: self.input.clone(),
            format: self.format.unwrap_or_default(),
        };
        if timer.window_s > 86_400 {
            return Err("window_s: a window has at most 86400 seconds, a day".to_owned());
        }
        if timer.grace_s > MOST_GRACE_S {
            return Err(format!(
                "grace_s: at most {MOST_GRACE_S} seconds, a day; what is later is missed (misfire)"
            ));
        }
        if timer.most_missed > 10_000 {
            return Err("most_missed: at most 10000 occurrences are made up for".to_owned());
        }
        let sample = flint_model::schedule::sample(&timer);
        if serde_json::from_slice::<serde::de::IgnoredAny>(&sample).is_err() {
            return Err("input: is no JSON once its places are filled; put texts in quotes".to_owned());
        }
        Ok(timer)
    }

    /// How a timer is shown.
    pub fn of(timer: Timer) -> Self {
        let time = |at: Option<i64>| {
            let stamp = at.and_then(|at| Timestamp::from_millisecond(at).ok());
            stamp.map(|stamp| stamp.to_string())
        };
        Self {
            start: time(timer.start_ms),
            end: time(timer.end_ms),
            schedule: timer.schedule,
            timezone: Some(timer.timezone),
            window_s: Some(timer.window_s),
            misfire: Some(timer.misfire),
            grace_s: Some(timer.grace_s),
            most_missed: Some(timer.most_missed),
            overlap: Some(timer.overlap),
            calendar: timer.calendar,
            days: timer.days,
            input: timer.input,
            format: Some(timer.format),
        }
    }
}

/// Body of a POST and PUT.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TriggerBody {
    /// Its name; in the path of a PUT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The function that it calls.
    pub function: String,
    /// Version or alias; `$LATEST` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qualifier: Option<String>,
    /// Whether it works; true when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Of a timer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timer: Option<TimerBody>,
}

/// An occurrence of a timer that is over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FireInfo {
    /// When it was to be.
    pub scheduled: String,
    /// When it was.
    pub fired: String,
    /// `fired`, `passed` (missed) or `overlapped`.
    pub fate: String,
    /// Of its event.
    pub request_id: String,
}

/// A trigger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TriggerInfo {
    /// A UUID.
    pub id: String,
    /// `timer` or `kafka`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The function that it calls.
    pub function: String,
    /// Version or alias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qualifier: Option<String>,
    /// Whether it works.
    pub enabled: bool,
    /// Of a timer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timer: Option<TimerBody>,
    /// Of other kinds: what defines it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<serde_json::Value>,
    /// Of a timer that works: its next occurrences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<String>,
    /// Of a timer that is shown alone: its last occurrences, the latest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<FireInfo>,
    /// What it last said of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<serde_json::Value>,
    /// When it was made.
    pub created: String,
    /// When it was last changed.
    pub modified: String,
}

/// All triggers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TriggerList {
    /// By kind and name.
    pub triggers: Vec<TriggerInfo>,
}
