//! JSON shapes of the management APIs, shared by server and CLI.
