//! One live instance of a function: launch, channel to the runtime, Runtime API.
//!
//! Guarantees: an invocation has exactly one reply; what a runtime sends is never trusted (sizes, order, numbers); when
//! time is up the processes are really gone. Leaves to others: when to start and stop instances (`engine`), and what a
//! reply means to the caller.

mod archive;
pub mod bootstrap;
pub mod bytecode;
mod channel;
pub mod code_cache;
pub mod config;
mod discover;
mod environment;
mod error;
pub mod frame;
mod image;
mod instance;
mod java;
mod launch;
mod log_pipe;
mod mux;
mod registered;
pub mod root;
mod runtime_api;
mod shared;
mod stream;
mod warm;
mod web;
mod wire;
mod zygote;

pub use archive::Archive;
pub use config::Config;
pub use discover::{Catalog, Interpreter, RuntimeRow, Served};
pub use error::Error;
pub use image::ImageProgram;
pub use instance::{Birth, Call, Instance, Origin, Ran, Reply};
pub use java::step_mb as java_step_mb;
pub use launch::{FunctionFacts, InitFailure, LaunchSpec, Launched, OPEN_FILES, PROCESSES};
pub use shared::{Printed, Shared};
pub use stream::{Piece, Pieces, Sink, stream};
pub use warm::{LaunchClass, Warm};
pub use zygote::{Bred, Seat, Zygote};
