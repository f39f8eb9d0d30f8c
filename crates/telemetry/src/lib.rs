//! Metrics registry and function-log files.
