//! Metrics registry and function-log files.
//!
//! Guarantees: taking a measurement or a log record never waits for a disk and never fails an invocation; what is dropped
//! under pressure is counted. Leaves to others: what is measured and who may read it. It knows no rules.

mod event_metrics;
pub mod function_log;
mod http_metrics;
pub mod metrics;
pub mod reference;
mod trigger_metrics;

pub use event_metrics::EventMetrics;
pub use function_log::{FunctionLogs, LogQuery, LogRecord};
pub use http_metrics::{Answers, HttpMetrics};
pub use metrics::{FunctionMetrics, Metrics};
pub use trigger_metrics::{Fate, OneTrigger, TriggerMetrics};
