//! A whole Flint in a test.
