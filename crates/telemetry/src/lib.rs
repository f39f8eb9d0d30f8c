//! Metrics registry and function-log files.
//!
//! Guarantees: taking a measurement or a log record never waits for a disk and never fails an invocation; what is dropped
//! under pressure is counted. Leaves to others: what is measured and who may read it. It knows no rules.

mod event_metrics;
pub mod function_log;
pub mod metrics;
mod trigger_metrics;

pub use event_metrics::EventMetrics;
pub use function_log::{FunctionLogs, LogQuery, LogRecord};
pub use metrics::{FunctionMetrics, Metrics};
pub use trigger_metrics::{Fate, OneTrigger, TriggerMetrics};
