//! Limits that callers meet, as AWS Lambda sets them. Sizes in bytes.

/// Largest payload of a synchronous request.
pub const REQUEST_PAYLOAD: usize = 6_291_556;
/// Largest answer of a function.
pub const RESPONSE_PAYLOAD: usize = 6_291_556;
/// Largest payload of an asynchronous request.
pub const EVENT_PAYLOAD: usize = 1_048_576;
/// Largest zip carried in a request.
pub const ZIP_IN_REQUEST: usize = 52_428_800;
/// Largest body of a CreateFunction or UpdateFunctionCode request.
pub const CREATE_REQUEST: usize = 70_167_211;
/// Largest sum of unpacked file sizes of a package and its layers.
pub const UNZIPPED: u64 = 262_144_000;
/// Layers of one function.
pub const LAYERS: usize = 5;
/// Most entries in a package.
pub const PACKAGE_ENTRIES: usize = 100_000;
/// Largest sum of environment names and values.
pub const ENVIRONMENT: usize = 4_096;
/// Smallest and largest memory of a function, in MB.
pub const MEMORY_MB: std::ops::RangeInclusive<u32> = 128..=10_240;
/// Smallest and largest `/tmp`, in MB.
pub const EPHEMERAL_MB: std::ops::RangeInclusive<u32> = 512..=10_240;
/// Shortest and longest time-out, in seconds.
pub const TIMEOUT_S: std::ops::RangeInclusive<u32> = 1..=900;
/// Concurrency of an account, all functions together.
pub const ACCOUNT_CONCURRENCY: u32 = 1_000;
/// What must stay unreserved of the account's concurrency.
pub const UNRESERVED_CONCURRENCY: u32 = 100;
/// The log tail returned with an invocation.
pub const LOG_TAIL: usize = 4_096;
/// Tags on one function.
pub const TAGS: usize = 50;
/// Memory that buys one whole CPU, in MB (AWS: "at 1,769 MB, a function has the equivalent of one vCPU").
pub const MEMORY_PER_CPU_MB: u32 = 1_769;
