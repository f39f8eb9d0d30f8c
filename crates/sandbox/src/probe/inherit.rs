//! What a program must not find on its first breath.

use super::attempt::{judge_that, read};
use super::{Control::*, Probe};

/// The suite plants these in a control, as a careless parent would.
pub(super) const PLANTED_FD: i32 = 77;
pub(super) const PLANTED_ENV: &str = "FLINT_PROBE_PLANTED";

pub(super) const PROBES: &[Probe] = &[
    Probe::new("inherited-descriptor", Plain, |_| {
        read(&format!("/proc/self/fd/{PLANTED_FD}"))
    }),
    Probe::new("inherited-environment", Plain, |_| {
        judge_that(
            std::env::var_os(PLANTED_ENV).is_some(),
            format!("{PLANTED_ENV} in the environment"),
        )
    }),
    Probe::new("inherited-working-folder", Plain, |t| {
        let here = std::env::current_dir().unwrap_or_default();
        judge_that(here.starts_with(&t.folder), here.display().to_string())
    }),
];
