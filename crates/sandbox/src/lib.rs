//! Linux isolation of one process tree: namespaces, cgroups, seccomp, mounts, limits.
//!
//! Guarantees: what runs inside sees only what its spec names, cannot gain privileges, and is gone, with all it started,
//! when the sandbox is destroyed or the server dies. Leaves to others: what is run and why; it knows no functions.

pub mod spec;
