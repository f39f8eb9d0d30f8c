//! Management API server.
