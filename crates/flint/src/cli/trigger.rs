//! `flint trigger`: what calls functions by itself.

use flint_api::event_source_mapping::{
    Filter, FilterCriteria, KafkaSource, MappingConfiguration, MappingDestination, MappingRequest, OnFailure,
    Pollers, ResetMappingRequest, SelfManagedEventSource, SourceAccess,
};
use flint_api::trigger::{TimerBody, TriggerBody, TriggerInfo, TriggerList};
use serde::de::DeserializeOwned;

use super::failure::{Exit, Result};
use super::language::Message;
use super::server::{Server, encode};
use super::terminal::{Rows, Terminal};

/// Where a trigger's facts come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// The clock.
    Timer,
    /// A topic.
    Kafka,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Timer => "timer",
            Self::Kafka => "kafka",
        }
    }
}

/// Flags of `flint trigger add`.
#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    /// Trigger.
    name: String,
    /// Function, or FUNCTION:ALIAS or FUNCTION:VERSION.
    #[arg(short, long)]
    function: String,
    /// When: cron(MINUTES HOURS DAY MONTH WEEKDAY YEAR), rate(NUMBER UNIT), at(TIME), or five fields of crontab.
    #[arg(short, long, value_name = "SCHEDULE")]
    timer: String,
    /// Time zone, as Asia/Shanghai; UTC when left out.
    #[arg(short = 'z', long)]
    timezone: Option<String>,
    /// Not before this time, as 2026-12-01T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// Not after this time.
    #[arg(long, value_name = "TIME")]
    end: Option<String>,
    /// Put each occurrence off by up to so many seconds.
    #[arg(long, value_name = "SECONDS")]
    window: Option<u32>,
    /// What to do about missed occurrences: fire_once, skip or fire_all.
    #[arg(long, value_parser = word::<flint_model::schedule::Misfire>)]
    misfire: Option<flint_model::schedule::Misfire>,
    /// What to do while the one before still runs: allow, forbid or replace.
    #[arg(long, value_parser = word::<flint_model::schedule::Overlap>)]
    overlap: Option<flint_model::schedule::Overlap>,
    /// Business-day calendar of the server.
    #[arg(long)]
    calendar: Option<String>,
    /// Days of the calendar on which it fires: working or off.
    #[arg(long, requires = "calendar", value_parser = word::<flint_model::schedule::Days>)]
    days: Option<flint_model::schedule::Days>,
    /// The event, as JSON; <aws.scheduler.scheduled-time> and the like in it are replaced.
    #[arg(long, value_name = "JSON")]
    input: Option<String>,
    /// Send the event as a CloudEvent.
    #[arg(long, conflicts_with = "input")]
    cloudevents: bool,
    /// Do not let it work yet.
    #[arg(long)]
    paused: bool,
}

/// Flags of `flint trigger kafka`.
#[derive(Debug, clap::Args)]
pub(crate) struct Kafka {
    /// Function, or FUNCTION:ALIAS or FUNCTION:VERSION.
    #[arg(short, long)]
    function: String,
    /// Brokers, as HOST:PORT,HOST:PORT.
    #[arg(short, long, value_delimiter = ',', required = true)]
    brokers: Vec<String>,
    /// Topic.
    #[arg(short, long)]
    topic: String,
    /// Where to begin: TRIM_HORIZON (the oldest record), LATEST or a time, as 2026-12-01T00:00:00Z.
    #[arg(long, value_name = "POSITION|TIME", default_value = "TRIM_HORIZON")]
    from: String,
    /// Consumer group; one of its own when left out.
    #[arg(long)]
    group: Option<String>,
    /// Records of a call at most.
    #[arg(long, value_name = "RECORDS")]
    batch: Option<i64>,
    /// Seconds to wait for more records of a call.
    #[arg(long, value_name = "SECONDS")]
    window: Option<i64>,
    /// Event pattern; records that match none of them are left out. May be given several times.
    #[arg(long, value_name = "JSON")]
    filter: Vec<String>,
    /// Calls of a partition at once; records of one key stay in order.
    #[arg(long, value_name = "CALLS")]
    parallel: Option<i64>,
    /// Partitions worked on at once, at most.
    #[arg(long, value_name = "PARTITIONS")]
    pollers: Option<i64>,
    /// Tries of a record after the first; -1 for any number.
    #[arg(long, value_name = "TRIES", allow_hyphen_values = true)]
    retries: Option<i64>,
    /// Seconds after which a record is given up; -1 for never.
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    max_age: Option<i64>,
    /// The function says which records failed (batchItemFailures).
    #[arg(long)]
    reports_failures: bool,
    /// Send CloudEvents.
    #[arg(long)]
    cloudevents: bool,
    /// Where records that are given up go; dead letters when left out.
    #[arg(long, value_name = "DESTINATION")]
    on_failure: Option<String>,
    /// How to get in, as TYPE=SECRET (BASIC_AUTH, SASL_SCRAM_512_AUTH, …); may be given several times.
    #[arg(long, value_name = "TYPE=SECRET")]
    access: Vec<String>,
}

/// Verbs of `flint trigger`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// List triggers, with when each fires next.
    #[command(alias = "ls")]
    List {
        /// Those of one function.
        function: Option<String>,
    },
    /// Add a timer, or change it.
    Add(Box<Add>),
    /// Call a function with the records of a topic.
    Kafka(Box<Kafka>),
    /// Let a Kafka trigger begin elsewhere: at the oldest record, at the latest, or at a time.
    Reset {
        /// Its name, which is its id.
        name: String,
        /// TRIM_HORIZON, LATEST or a time, as 2026-12-01T00:00:00Z.
        #[arg(long, value_name = "POSITION|TIME")]
        to: String,
    },
    /// Show a trigger, its next and its last occurrences.
    Show {
        /// Trigger.
        name: String,
        /// Its kind.
        #[arg(long, value_enum, default_value = "timer")]
        kind: Kind,
    },
    /// Let a trigger rest.
    Pause {
        /// Trigger.
        name: String,
        /// Its kind.
        #[arg(long, value_enum, default_value = "timer")]
        kind: Kind,
    },
    /// Let it work again.
    Resume {
        /// Trigger.
        name: String,
        /// Its kind.
        #[arg(long, value_enum, default_value = "timer")]
        kind: Kind,
    },
    /// Fire a timer now, beside its schedule.
    Test {
        /// Trigger.
        name: String,
    },
    /// Delete a trigger.
    #[command(alias = "rm")]
    Delete {
        /// Trigger.
        name: String,
        /// Its kind.
        #[arg(long, value_enum, default_value = "timer")]
        kind: Kind,
    },
}

/// A word of the API as a flag's value.
fn word<T: DeserializeOwned>(text: &str) -> std::result::Result<T, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|error| error.to_string())
}

pub(crate) fn run(verb: Verb, server: &Server, terminal: Terminal) -> Result<Exit> {
    match verb {
        Verb::List { function } => {
            let query = function.map_or_else(String::new, |name| format!("?function={}", encode(&name)));
            let list: TriggerList = server.own("GET", &format!("/api/v1/triggers{query}"), &())?;
            let all = list.triggers;
            let names = || all.iter().map(|is| is.name.clone()).collect();
            terminal.show(&all, names, || rows(&all))?;
        }
        Verb::Add(add) => {
            let route = path(Kind::Timer, &add.name, "");
            let made: TriggerInfo = server.own("PUT", &route, &body(*add))?;
            terminal.show(&made, || vec![made.name.clone()], || one(&made))?;
        }
        Verb::Kafka(kafka) => {
            let route = "/2015-03-31/event-source-mappings";
            let made: MappingConfiguration = server.aws("POST", route, &mapping(*kafka)?)?;
            let is: TriggerInfo = server.own("GET", &path(Kind::Kafka, &made.uuid, ""), &())?;
            terminal.show(&is, || vec![made.uuid.clone()], || one(&is))?;
        }
        Verb::Reset { name, to } => {
            let route = format!("/api/v1/event-source-mappings/{}/reset", encode(&name));
            let _: MappingConfiguration = server.own("POST", &route, &position(&to))?;
            terminal.say(Message::TriggerReset.with("name", name).with("to", to));
        }
        Verb::Show { name, kind } => {
            let is: TriggerInfo = server.own("GET", &path(kind, &name, ""), &())?;
            terminal.show(&is, || vec![is.id.clone()], || one(&is))?;
        }
        Verb::Pause { name, kind } => {
            let _: TriggerInfo = server.own("POST", &path(kind, &name, "/pause"), &())?;
            terminal.say(Message::TriggerPaused.with("name", name));
        }
        Verb::Resume { name, kind } => {
            let _: TriggerInfo = server.own("POST", &path(kind, &name, "/resume"), &())?;
            terminal.say(Message::TriggerResumed.with("name", name));
        }
        Verb::Test { name } => {
            let sent: serde_json::Value = server.own("POST", &path(Kind::Timer, &name, "/test"), &())?;
            let id = sent["request_id"].as_str().unwrap_or_default().to_owned();
            terminal.say(Message::Queued.with("id", id));
        }
        Verb::Delete { name, kind } => {
            let ask = Message::AskDeleteTrigger
                .with("kind", kind.word())
                .with("name", &name);
            terminal.confirm(ask)?;
            let () = server.own("DELETE", &path(kind, &name, ""), &())?;
            terminal.say(Message::Deleted.with("what", name));
        }
    }
    Ok(Exit::Good)
}

/// A word of the API, or a time.
pub(super) fn position(to: &str) -> ResetMappingRequest {
    match to.parse::<jiff::Timestamp>() {
        Ok(time) => ResetMappingRequest {
            position: Some("AT_TIMESTAMP".to_owned()),
            timestamp: Some(time.as_millisecond() as f64 / 1e3),
        },
        Err(_) => ResetMappingRequest {
            position: Some(to.to_uppercase()),
            timestamp: None,
        },
    }
}

fn mapping(kafka: Kafka) -> Result<MappingRequest> {
    let access = kafka.access.iter().map(|pair| {
        let (kind, secret) = super::pair(pair)?;
        Ok(SourceAccess {
            kind: Some(kind),
            uri: Some(secret),
        })
    });
    let start = position(&kafka.from);
    let patterns = kafka.filter.into_iter().map(|pattern| Filter {
        pattern: Some(pattern),
    });
    let patterns: Vec<Filter> = patterns.collect();
    let endpoints = std::collections::BTreeMap::from([("KAFKA_BOOTSTRAP_SERVERS".to_owned(), kafka.brokers)]);
    Ok(MappingRequest {
        function_name: Some(kafka.function),
        topics: Some(vec![kafka.topic]),
        starting_position: start.position,
        starting_position_timestamp: start.timestamp,
        self_managed_kafka_event_source_config: kafka.group.map(|group| KafkaSource {
            consumer_group_id: Some(group),
        }),
        batch_size: kafka.batch,
        maximum_batching_window_in_seconds: kafka.window,
        filter_criteria: (!patterns.is_empty()).then_some(FilterCriteria {
            filters: Some(patterns),
        }),
        parallelization_factor: kafka.parallel,
        provisioned_poller_config: kafka.pollers.map(|most| Pollers {
            minimum_pollers: None,
            maximum_pollers: Some(most),
        }),
        maximum_retry_attempts: kafka.retries,
        maximum_record_age_in_seconds: kafka.max_age,
        function_response_types: kafka
            .reports_failures
            .then(|| vec!["ReportBatchItemFailures".to_owned()]),
        flint_format: kafka.cloudevents.then(|| "cloudevents".to_owned()),
        destination_config: kafka.on_failure.map(|destination| MappingDestination {
            on_failure: Some(OnFailure {
                destination: Some(destination),
            }),
        }),
        source_access_configurations: Some(access.collect::<Result<_>>()?),
        self_managed_event_source: Some(SelfManagedEventSource {
            endpoints: Some(endpoints),
        }),
        ..MappingRequest::default()
    })
}

fn body(add: Add) -> TriggerBody {
    let (function, qualifier) = match add.function.split_once(':') {
        Some((function, qualifier)) => (function.to_owned(), Some(qualifier.to_owned())),
        None => (add.function, None),
    };
    TriggerBody {
        name: None,
        function,
        qualifier,
        enabled: Some(!add.paused),
        timer: Some(TimerBody {
            schedule: add.timer,
            timezone: add.timezone,
            start: add.start,
            end: add.end,
            window_s: add.window,
            misfire: add.misfire,
            overlap: add.overlap,
            calendar: add.calendar,
            days: add.days,
            input: add.input,
            format: add
                .cloudevents
                .then_some(flint_model::schedule::Format::CloudEvents),
            ..TimerBody::default()
        }),
    }
}

fn path(kind: Kind, name: &str, verb: &str) -> String {
    format!("/api/v1/triggers/{}/{}{verb}", kind.word(), encode(name))
}

fn target(is: &TriggerInfo) -> String {
    match &is.qualifier {
        Some(qualifier) => format!("{}:{qualifier}", is.function),
        None => is.function.clone(),
    }
}

fn state(is: &TriggerInfo) -> String {
    if is.enabled { "works" } else { "paused" }.to_owned()
}

fn schedule(is: &TriggerInfo) -> String {
    is.timer.as_ref().map_or_else(String::new, |timer| {
        format!(
            "{} {}",
            timer.schedule,
            timer.timezone.as_deref().unwrap_or_default()
        )
    })
}

fn rows(all: &[TriggerInfo]) -> Rows {
    let row = |is: &TriggerInfo| {
        vec![
            is.kind.clone(),
            is.name.clone(),
            target(is),
            state(is),
            schedule(is),
            is.next.first().cloned().unwrap_or_default(),
        ]
    };
    Rows {
        titles: vec!["KIND", "NAME", "FUNCTION", "STATE", "SCHEDULE", "NEXT"],
        rows: all.iter().map(row).collect(),
    }
}

fn one(is: &TriggerInfo) -> Rows {
    let mut shown = vec![
        ("kind", is.kind.clone()),
        ("name", is.name.clone()),
        ("id", is.id.clone()),
        ("function", target(is)),
        ("state", state(is)),
    ];
    if is.timer.is_some() {
        shown.push(("schedule", schedule(is)));
        shown.push(("next", is.next.join("\n")));
    }
    if !is.past.is_empty() {
        let line = |fire: &flint_api::trigger::FireInfo| {
            format!("{} {} at {}", fire.scheduled, fire.fate, fire.fired)
        };
        let past: Vec<String> = is.past.iter().take(5).map(line).collect();
        shown.push(("last", past.join("\n")));
    }
    for (name, value) in [("settings", &is.settings), ("status", &is.status)] {
        if let Some(value) = value {
            shown.push((name, value.to_string()));
        }
    }
    Rows {
        titles: Vec::new(),
        rows: shown
            .into_iter()
            .map(|(name, value)| vec![name.to_owned(), value])
            .collect(),
    }
}
