//! Durable state: one file per resource, SQLite with group commit, code packages on disk.
