//! Configuration of the management API.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use flint_model::mount::HostMount;
use flint_model::schedule::Calendar;
use flint_model::{Brokers, UnixMillis, limits};

use crate::Networks;

/// What the API says about the server, and the limits it applies.
#[derive(Debug, Clone)]
pub struct Config {
    /// Region in every ARN. Functions of other regions are refused.
    pub region: String,
    /// Account in ARNs of things that belong to the server itself.
    pub account_id: String,
    /// Where clients reach this server, without a slash at the end: package links start with it.
    pub public_base_url: String,
    /// The server listens on every address of its host, and nobody said which of them clients use: package links then
    /// start with the `Host` of the request that asks for them.
    pub base_from_host: bool,
    /// Domain below which function URLs have their host names, with the port that clients use; without one they are
    /// addressed by path.
    pub url_domain: Option<String>,
    /// Networks that functions may ask for; none but `none` unless the operator offers more.
    pub networks: Networks,
    /// Names of the systems that functions may say they work on.
    pub downstreams: Vec<String>,
    /// Kafka brokers that mappings may name.
    pub brokers: Brokers,
    /// Business-day calendars that timers may name.
    pub calendars: BTreeMap<String, Calendar>,
    /// Folders of the host that functions may show; none unless the operator approves some.
    pub mounts: Vec<HostMount>,
    /// Concurrency of an account, all functions together (1,000 as on AWS).
    pub account_concurrency: u32,
    /// Bytes of packages that an account may store (75 GB as on AWS).
    pub total_code_size: u64,
    /// How long a package link holds, in seconds (ten minutes as on AWS).
    pub link_seconds: i64,
    /// The clock.
    pub now: fn() -> UnixMillis,
}

impl Config {
    /// AWS's defaults for a server.
    pub fn new(region: &str, account_id: &str, public_base_url: &str) -> Self {
        Self {
            region: region.to_owned(),
            account_id: account_id.to_owned(),
            public_base_url: public_base_url.trim_end_matches('/').to_owned(),
            base_from_host: false,
            url_domain: None,
            networks: Networks::default(),
            downstreams: Vec::new(),
            brokers: Brokers::Any,
            calendars: BTreeMap::new(),
            mounts: Vec::new(),
            account_concurrency: limits::ACCOUNT_CONCURRENCY,
            total_code_size: 80_530_636_800,
            link_seconds: 600,
            now: system_now,
        }
    }
}

fn system_now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis::try_from(since.as_millis()).unwrap_or(UnixMillis::MAX)
}
