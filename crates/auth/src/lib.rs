//! Who is calling: AWS Signature Version 4 and bearer tokens, and the root credentials on disk.
//!
//! Guarantees: secrets never appear in `Debug` output, signatures and tokens are compared in constant time, and the clock
//! is passed in. No network, no threads; the only files touched are those of [`Credentials`]. What a caller may do is left
//! to those who know the resource; which routes accept which proof is left to the doors ([`Accepts`]).

mod authenticate;
mod credentials;
mod error;
mod principal;
mod request;
mod secret;
pub mod sigv4;
mod token;

pub use authenticate::{Accepts, Authenticator};
pub use credentials::Credentials;
pub use error::Error;
pub use principal::{Kind, Principal, ROOT_TENANT};
pub use request::{Body, Request};
pub use secret::{AccessKey, Secret};
pub use token::TokenHash;
