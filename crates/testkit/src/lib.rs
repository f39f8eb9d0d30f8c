//! A whole Flint in a test: the built binary as a server, functions from a few lines, a signing client.
//!
//! For tests only. A server that is dropped is stopped, and its data folder removed.

mod client;
mod collector;
mod fetched;
mod host;
pub mod image;
mod java;
#[cfg(feature = "kafka")]
pub mod kafka;
mod package;
mod server;

pub use client::{Answer, Lambda};
pub use collector::{Collector, Taken};
pub use fetched::fetched;
pub use host::{Footprint, descendants, processes_of_uids, resident_kib};
pub use java::java_classes;
pub use package::{zip_of, zip_of_bytes};
pub use server::Server;
