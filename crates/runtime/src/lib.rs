//! One live instance of a function: launch, channel, Runtime API.
