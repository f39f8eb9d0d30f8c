//! The sandbox, from outside, with real programs. Run as root.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(unreachable_pub, reason = "a test binary has no users")]

mod egress;
mod harm;
mod life;
mod probes;
mod programs;
mod scene;
mod zygotes;
