//! `queue.*` and `delivery.*`: how events are worked off, and what is delivered outside.

use std::time::Duration;

use super::{Row, number};

/// Their rows of the table.
pub(super) const TABLE: &[Row] = &[
    Row(
        "queue.concurrency",
        "Events of the durable queue that are run at the same time (64)",
        |s, v| {
            s.engine.queue.concurrency = number(v, 1)?;
            Ok(())
        },
    ),
    Row(
        "queue.retry_wait_ms",
        "Milliseconds from a failed event's first try to its second; to the third twice as many (60000)",
        |s, v| {
            s.engine.queue.retry_wait = Duration::from_millis(number(v, 0)?);
            Ok(())
        },
    ),
    Row(
        "queue.first_wait_ms",
        "Milliseconds that an event waits when there was no room for it; doubled each time (1000)",
        |s, v| {
            s.engine.queue.first_wait = Duration::from_millis(number(v, 1)?);
            Ok(())
        },
    ),
    Row(
        "queue.longest_wait_ms",
        "Milliseconds up to which that wait grows (300000)",
        |s, v| {
            s.engine.queue.longest_wait = Duration::from_millis(number(v, 1)?);
            Ok(())
        },
    ),
    Row(
        "queue.lease_ms",
        "Milliseconds after which another server on the same store takes over what this one works on (15000)",
        |s, v| {
            s.engine.queue.lease = Duration::from_millis(number(v, 300)?);
            Ok(())
        },
    ),
    Row(
        "queue.idempotency_s",
        "Seconds for which an idempotency key is remembered (86400)",
        |s, v| {
            s.engine.queue.idempotency = Duration::from_secs(number(v, 1)?);
            Ok(())
        },
    ),
    Row(
        "queue.dead_letter_days",
        "Days for which dead letters are kept (14)",
        |s, v| {
            s.engine.queue.dead_letters = Duration::from_secs(number::<u64>(v, 1)?.saturating_mul(86_400));
            Ok(())
        },
    ),
    Row(
        "delivery.timeout_ms",
        "Milliseconds that a webhook may take to answer (10000)",
        |s, v| {
            s.triggers.delivery_timeout = Duration::from_millis(number(v, 1)?);
            Ok(())
        },
    ),
    Row(
        "delivery.first_wait_ms",
        "Milliseconds until a delivery that was not taken is tried again; doubled each time (1000)",
        |s, v| {
            s.triggers.delivery_first_wait = Duration::from_millis(number(v, 1)?);
            Ok(())
        },
    ),
    Row(
        "delivery.longest_wait_ms",
        "Milliseconds up to which that wait grows (300000)",
        |s, v| {
            s.triggers.delivery_longest_wait = Duration::from_millis(number(v, 1)?);
            Ok(())
        },
    ),
    Row(
        "delivery.age_s",
        "Seconds for which a delivery is tried before it becomes a dead letter (86400)",
        |s, v| {
            s.triggers.delivery_age = Duration::from_secs(number(v, 1)?);
            Ok(())
        },
    ),
];
