//! The words of Flint: functions, versions, aliases, invocations, outcomes and error codes.
