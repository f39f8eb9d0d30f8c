//! AWS Signature Version 4: checking it ([`Verifier`]) and making it ([`Signer`]), as headers or as a presigned query.
//!
//! Source: "Signature Version 4 signing process" and "Create a signed request" of the AWS documentation; where that leaves a
//! choice, botocore decides. The service in the scope is returned, not judged. `aws-chunked` streaming signatures and
//! SigV4a are refused as incomplete.

mod canonical;
mod encode;
mod keys;
mod proof;
mod sign;
mod stamp;
mod verify;

pub use sign::Signer;
pub use verify::{Signed, Verifier};

/// The name of the algorithm.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The payload hash of a request whose body is not signed.
pub(crate) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
