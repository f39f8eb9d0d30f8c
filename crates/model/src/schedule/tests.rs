//! Schedules against the clock on the wall, EventBridge's refusals and a year of minutes.

use super::*;

fn timer(schedule: &str, timezone: &str) -> Timer {
    serde_json::from_value(serde_json::json!({ "schedule": schedule, "timezone": timezone })).unwrap()
}

fn ms(text: &str) -> UnixMillis {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

/// The first occurrences after a time, as UTC.
fn fires(schedule: &str, timezone: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::new(&timer(schedule, timezone), None, ms(after)).unwrap();
    list(&schedule, after, count)
}

fn list(schedule: &Schedule, after: &str, count: usize) -> Vec<String> {
    let mut at = ms(after);
    let mut found = Vec::new();
    while found.len() < count {
        let Some(next) = schedule.next_after(at) else {
            break;
        };
        assert!(next > at, "time goes on");
        found.push(Timestamp::from_millisecond(next).unwrap().to_string());
        at = next;
    }
    found
}

#[test]
fn each_form_is_read() {
    let after = "2026-11-22T21:54:00Z";
    assert_eq!(
        fires("rate(5 minutes)", "UTC", after, 2),
        ["2026-11-22T21:59:00Z", "2026-11-22T22:04:00Z"]
    );
    assert_eq!(
        fires("rate(10 seconds)", "UTC", after, 1),
        ["2026-11-22T21:54:10Z"]
    );
    assert_eq!(
        fires("at(2026-11-23T01:02:03)", "Asia/Shanghai", after, 9),
        ["2026-11-22T17:02:03Z"; 0]
    );
    assert_eq!(
        fires("at(2026-11-24T01:02:03)", "Asia/Shanghai", after, 9),
        ["2026-11-23T17:02:03Z"]
    );
    assert_eq!(
        fires("30 2 * * 1-5", "UTC", after, 2),
        ["2026-11-23T02:30:00Z", "2026-11-24T02:30:00Z"]
    );
    assert_eq!(
        fires("cron(0 2 * * ? *)", "Asia/Shanghai", after, 1),
        ["2026-11-23T18:00:00Z"]
    );
}

#[test]
fn the_signs_of_quartz_mean_what_they_mean_there() {
    let after = "2026-11-01T00:00:00Z";
    assert_eq!(
        fires("cron(0 0 L * ? *)", "UTC", after, 2),
        ["2026-11-30T00:00:00Z", "2026-12-31T00:00:00Z"]
    );
    // The 15th of November 2026 is a Sunday: the nearest weekday is the 16th.
    assert_eq!(
        fires("cron(0 0 15W * ? *)", "UTC", after, 1),
        ["2026-11-16T00:00:00Z"]
    );
    // Six is Friday: the third, and the last.
    assert_eq!(
        fires("cron(0 0 ? * 6#3 *)", "UTC", after, 1),
        ["2026-11-20T00:00:00Z"]
    );
    assert_eq!(
        fires("cron(0 0 ? * 6L *)", "UTC", after, 1),
        ["2026-11-27T00:00:00Z"]
    );
    assert_eq!(
        fires("cron(0 0 ? * L *)", "UTC", after, 1),
        ["2026-11-07T00:00:00Z"]
    );
    assert_eq!(
        fires("cron(15 10 ? * MON-FRI *)", "UTC", after, 1),
        ["2026-11-02T10:15:00Z"]
    );
    assert_eq!(fires("cron(0/20 9 1 1 ? 2027)", "UTC", after, 9).len(), 3);
    assert_eq!(
        fires("cron(0 0 1 1 ? 2020)", "UTC", after, 1),
        Vec::<String>::new()
    );
}

#[test]
fn what_eventbridge_refuses_is_refused() {
    for bad in [
        "rate(0 minutes)",
        "rate(1 minutes)",
        "rate(5 minute)",
        "rate( 10 minutes )",
        "rate(10 months)",
        "rate(-1 days)",
        "at(2026-11-22T10:00:00Z)",
        "at(2026-11-22)",
        "at(tomorrow)",
        "cron(0 1 * * * *)",
        "cron(0 1 ? * ? *)",
        "cron(0 1 * * ?)",
        "cron(61 1 * * ? *)",
        "cron(0 25 * * ? *)",
        "cron(0 1 32 * ? *)",
        "* * * *",
        "* * * * * *",
        "every day",
        "",
        "rate()",
        "cron()",
        "rate(5 minutes) ",
        "RATE(5 minutes)",
    ] {
        assert!(Expression::parse(bad).is_err(), "{bad}");
    }
}

/// Central Europe: on 29 March 2026 the clock leaps from 2 to 3, on 25 October 2026 it shows 2 to 3 twice.
#[test]
fn a_time_that_the_clock_leaps_over_does_not_come() {
    assert_eq!(
        fires("cron(30 2 * * ? *)", "Europe/Berlin", "2026-03-28T00:00:00Z", 2),
        ["2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z"]
    );
}

#[test]
fn a_time_that_the_clock_shows_twice_comes_once() {
    assert_eq!(
        fires("cron(30 2 * * ? *)", "Europe/Berlin", "2026-10-24T22:00:00Z", 2),
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
    // Several in that hour: each once, in its first showing.
    assert_eq!(
        fires("cron(0/20 2 * * ? *)", "Europe/Berlin", "2026-10-24T22:00:00Z", 4),
        [
            "2026-10-25T00:00:00Z",
            "2026-10-25T00:20:00Z",
            "2026-10-25T00:40:00Z",
            "2026-10-26T01:00:00Z"
        ]
    );
    // Asked in the middle of the second showing, it does not fall back into it.
    assert_eq!(
        fires("cron(30 2 * * ? *)", "Europe/Berlin", "2026-10-25T01:10:00Z", 1),
        ["2026-10-26T01:30:00Z"]
    );
}

#[test]
fn what_fires_every_hour_goes_by_elapsed_time() {
    assert_eq!(
        fires("cron(30 * * * ? *)", "Europe/Berlin", "2026-10-24T23:00:00Z", 4),
        [
            "2026-10-24T23:30:00Z",
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:30:00Z",
            "2026-10-25T02:30:00Z"
        ]
    );
    assert_eq!(
        fires("30 * * * *", "Europe/Berlin", "2026-03-28T23:45:00Z", 3),
        [
            "2026-03-29T00:30:00Z",
            "2026-03-29T01:30:00Z",
            "2026-03-29T02:30:00Z"
        ]
    );
    assert_eq!(
        fires("rate(1 day)", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T12:00:00Z", "2026-10-26T12:00:00Z"]
    );
}

/// Independent of the code under test: every minute of a year is looked at on the wall.
#[test]
fn a_year_of_minutes_agrees_with_the_clock_on_the_wall() {
    for (zone, hour, minute) in [
        ("Europe/Berlin", 2, 30),
        ("America/New_York", 1, 30),
        ("Australia/Lord_Howe", 1, 45),
    ] {
        let tz = TimeZone::get(zone).unwrap();
        let start = ms("2026-01-01T00:00:00Z");
        let mut shown: Vec<(jiff::civil::Date, UnixMillis)> = Vec::new();
        for step in 0..365 * 24 * 60 {
            let at = start + step * 60_000;
            let wall = Timestamp::from_millisecond(at).unwrap().to_zoned(tz.clone());
            let hit = wall.hour() == hour && wall.minute() == minute;
            if hit && shown.last().is_none_or(|(date, _)| *date != wall.date()) {
                shown.push((wall.date(), at));
            }
        }
        let schedule = Schedule::new(
            &timer(&format!("cron({minute} {hour} * * ? *)"), zone),
            None,
            start,
        )
        .unwrap();
        let mut at = start - 1;
        for (date, expected) in shown {
            at = schedule.next_after(at).unwrap();
            assert_eq!(at, expected, "{zone} on {date}");
        }
    }
}

#[test]
fn start_end_and_business_days_bound_it() {
    let calendar = Calendar::parse(
        "# China 2026\n2026-10-01 holiday National Day\n2026-10-02 holiday\n2026-10-05 holiday\n2026-10-06 holiday\n\
         2026-10-07 holiday\n2026-10-10 workday make-up\n",
    )
    .unwrap();
    let mut each_day = timer("cron(0 2 * * ? *)", "Asia/Shanghai");
    each_day.calendar = Some("cn".into());
    let schedule = Schedule::new(&each_day, Some(calendar.clone()), 0).unwrap();
    assert_eq!(
        list(&schedule, "2026-09-29T18:30:00Z", 4),
        ["2026-09-29T18:00:00Z"; 0]
            .into_iter()
            .chain([
                "2026-10-07T18:00:00Z",
                "2026-10-08T18:00:00Z",
                "2026-10-09T18:00:00Z",
                "2026-10-11T18:00:00Z"
            ])
            .collect::<Vec<_>>(),
        "8, 9 and 10 October (a Saturday that makes up) and Monday the 12th, at two in the morning there"
    );
    each_day.days = Some(Days::Off);
    each_day.end_ms = Some(ms("2026-10-03T00:00:00Z"));
    let off = Schedule::new(&each_day, Some(calendar), 0).unwrap();
    assert_eq!(
        list(&off, "2026-09-29T18:30:00Z", 9),
        [
            "2026-09-30T18:00:00Z",
            "2026-10-01T18:00:00Z",
            "2026-10-02T18:00:00Z"
        ]
    );
    let mut rate = timer("rate(1 hour)", "UTC");
    rate.start_ms = Some(ms("2026-12-01T00:00:00Z"));
    let schedule = Schedule::new(&rate, None, 0).unwrap();
    assert_eq!(
        list(&schedule, "2026-11-22T00:00:00Z", 2),
        ["2026-12-01T00:00:00Z", "2026-12-01T01:00:00Z"]
    );
}

#[test]
fn bad_rules_name_the_member() {
    let wrong = |change: fn(&mut Timer)| {
        let mut timer = timer("rate(1 hour)", "UTC");
        change(&mut timer);
        Schedule::new(&timer, None, 0).unwrap_err()
    };
    assert!(wrong(|it| it.timezone = "Mars/Base".into()).starts_with("timezone:"));
    assert!(wrong(|it| it.schedule = "often".into()).starts_with("schedule:"));
    assert!(wrong(|it| it.calendar = Some("x".into())).starts_with("calendar:"));
    assert!(wrong(|it| it.days = Some(Days::Off)).starts_with("days:"));
    assert!(wrong(|it| (it.start_ms, it.end_ms) = (Some(2), Some(1))).starts_with("end:"));
    assert!(Calendar::parse("2026-13-01 holiday").is_err());
    assert_eq!(Calendar::parse("\n2026-01-01 party").unwrap_err().line, 2);
}

#[test]
fn missed_ones_are_found_from_the_end() {
    let schedule = Schedule::new(&timer("rate(1 second)", "UTC"), None, ms("2026-01-01T00:00:00Z")).unwrap();
    let now = ms("2026-11-22T00:00:00Z");
    let found = schedule.missed(ms("2026-01-01T00:00:00Z"), now, 3);
    assert_eq!(
        found,
        [now - 2_000, now - 1_000, now],
        "ten months of seconds are not gone through"
    );
    let daily = Schedule::new(&timer("cron(0 2 * * ? *)", "UTC"), None, 0).unwrap();
    assert_eq!(
        daily.missed(ms("2026-11-19T02:00:00Z"), now, 10).len(),
        2,
        "the 20th and the 21st"
    );
    assert_eq!(daily.missed(now, now, 10), Vec::<UnixMillis>::new());
}

#[test]
fn payloads_have_the_forms_of_their_sources() {
    let mut timer = timer("rate(1 hour)", "UTC");
    let of = Occurrence {
        region: "eu-central-1",
        account: "111111111111",
        id: "7",
        name: "nightly",
        scheduled_ms: ms("2026-11-22T02:00:00Z"),
        fired_ms: ms("2026-11-22T02:00:00.012Z"),
        request_id: "r",
    };
    let read = |timer: &Timer| serde_json::from_slice::<serde_json::Value>(&payload(timer, &of)).unwrap();
    let event = read(&timer);
    assert_eq!(
        (&event["detail-type"], &event["time"]),
        (&"Scheduled Event".into(), &"2026-11-22T02:00:00Z".into())
    );
    assert_eq!(
        event["resources"][0],
        "arn:aws:scheduler:eu-central-1:111111111111:schedule/default/nightly"
    );
    timer.format = Format::CloudEvents;
    assert_eq!(read(&timer)["type"], "dev.flint.timer.fired");
    timer.input =
        Some(r#"{"at":"<aws.scheduler.scheduled-time>","id":"<aws.scheduler.execution-id>"}"#.into());
    assert_eq!(
        read(&timer),
        serde_json::json!({ "at": "2026-11-22T02:00:00Z", "id": "r" })
    );
    timer.window_s = 600;
    let spread: Vec<i64> = (0..1_000).map(|n| spread_ms(&timer, "7", n * 60_000)).collect();
    assert!(spread.iter().all(|ms| (0..600_000).contains(ms)));
    let mean = spread.iter().sum::<i64>() / 1_000;
    assert!((250_000..350_000).contains(&mean), "even: {mean}");
}

#[test]
fn far_from_a_change_of_the_clock_the_short_way_finds_what_the_long_way_finds() {
    let zones = [
        "UTC",
        "Asia/Shanghai",
        "America/New_York",
        "Europe/Berlin",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
    ];
    let rules = [
        "* * * * *",
        "*/7 * * * *",
        "0 2 * * *",
        "30 1 * * 0",
        "0 */3 * * *",
        "15 4 1 * *",
        "30 2 8 3 *",
    ];
    let mut short_ways = 0;
    for (zone, rule) in zones
        .iter()
        .flat_map(|zone| rules.iter().map(move |rule| (zone, rule)))
    {
        let text = format!(r#"{{"schedule":"{rule}","timezone":"{zone}"}}"#);
        let timer: Timer = serde_json::from_str(&text).unwrap();
        let schedule = Schedule::new(&timer, None, 0).unwrap();
        let Expression::Cron { cron, hourly } = &schedule.expression else {
            unreachable!("rules of cron only")
        };
        // Every 37 hours and a bit of 2026.
        for step in 0..236_i64 {
            let after = 1_767_225_600_000 + step * 133_333_777;
            let Some(short) = schedule.next_with_steady_clock(cron, after) else {
                continue;
            };
            short_ways += 1;
            assert_eq!(
                Some(short),
                schedule.next_of_cron(cron, *hourly, after),
                "{rule} {zone} after {after}"
            );
        }
    }
    assert!(short_ways > 6_000, "the short way is the usual one: {short_ways}");
}

#[test]
fn a_rate_that_goes_beyond_all_time_never_comes() {
    let timer: Timer = serde_json::from_str(r#"{"schedule":"rate(9000000000000 seconds)"}"#).unwrap();
    assert_eq!(Schedule::new(&timer, None, 0).unwrap().next_after(1), None);
}

#[test]
fn a_field_that_cannot_be_read_is_named() {
    for (text, field) in [
        ("cron(60 2 * * ? *)", "minutes: \"60\""),
        ("cron(0 25 * * ? *)", "hours: \"25\""),
        ("cron(0 2 32 * ? *)", "day-of-month: \"32\""),
        ("cron(0 2 * FOO ? *)", "month: \"FOO\""),
        ("cron(0 2 ? * 9 *)", "day-of-week: \"9\""),
        ("cron(0 2 * * ? soon)", "year: \"soon\""),
        ("0 24 * * *", "hours: \"24\""),
        ("0 0 * * MOO", "day-of-week: \"MOO\""),
    ] {
        let said = Expression::parse(text).unwrap_err().to_string();
        assert!(
            said.starts_with(field) && said.contains("; write "),
            "{text}: {said}"
        );
    }
}

#[test]
fn a_change_takes_nothing_away_that_is_due() {
    let of = |text: &str| {
        let timer = timer(text, "UTC");
        let schedule = Schedule::new(&timer, None, 0).unwrap();
        (timer, schedule)
    };
    let since = |before: &str, after: &str, dealt_with: &str, now: &str| {
        let (old, new) = (of(before), of(after));
        since_change((&old.0, &old.1), (&new.0, &new.1), ms(dealt_with), ms(now))
    };
    let two = "cron(0 2 * * ? *)";
    let (yesterday, due) = ("2026-11-21T02:00:00Z", "2026-11-22T02:00:00Z");
    // Changed in the millisecond in which it was due.
    let just = "2026-11-22T02:00:00.003Z";
    assert_eq!(
        since(two, two, yesterday, just),
        ms(yesterday),
        "all that was missed is, too"
    );
    assert_eq!(since(two, "cron(0 2,3 * * ? *)", yesterday, just), ms(due) - 1);
    assert_eq!(
        since(two, "cron(0 3 * * ? *)", yesterday, just),
        ms(just),
        "it comes no more"
    );
    assert_eq!(
        since(two, "cron(0 2,3 * * ? *)", due, just),
        ms(just),
        "it was fired"
    );
    let later = "2026-11-22T02:05:00Z";
    assert_eq!(
        since(two, "cron(0 2,3 * * ? *)", yesterday, later),
        ms(later),
        "not of what is no more on time"
    );
}
