//! Configuration of runtimes.

use std::path::PathBuf;
use std::time::Duration;

/// How instances are started.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder into which the bootstraps are written at start.
    pub bootstrap_dir: PathBuf,
    /// Serve a runtime that is not installed by the nearest version of its family (`python3.12` by 3.11) and say so.
    pub substitute: bool,
    /// Limit of a runtime's init, from the start of its process to the handler being loaded. Lambda's is 10 s.
    pub init_limit: Duration,
    /// The same of a web function's server, to its first accepted connection. Longer, since such servers were written for hosts
    /// that do not stop between requests: Spring Boot takes 3 s on an idle core and over 10 s on a busy one.
    pub web_init_limit: Duration,
    /// Log bytes kept of one invocation; what is over is counted and dropped.
    pub log_bytes: usize,
}

impl Config {
    /// Defaults for a bootstrap folder.
    pub fn new(bootstrap_dir: impl Into<PathBuf>) -> Self {
        Self {
            bootstrap_dir: bootstrap_dir.into(),
            substitute: true,
            init_limit: Duration::from_secs(10),
            web_init_limit: Duration::from_secs(60),
            log_bytes: 1 << 20,
        }
    }
}
