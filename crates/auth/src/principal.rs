//! The one on whose behalf a request runs, as authentication established it.

/// The account of the root credentials.
pub const ROOT_TENANT: &str = "000000000000";

/// How a principal came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The server's own root credentials: may do everything.
    Root,
    /// An access key or token that was issued to somebody.
    Issued,
}

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// The account, twelve digits.
    pub tenant: String,
    /// A name for logs and audit, unique within the tenant.
    pub name: String,
    /// How it came to be.
    pub kind: Kind,
}

impl Principal {
    /// The owner of the server.
    pub fn root() -> Self {
        Self {
            tenant: ROOT_TENANT.into(),
            name: "root".into(),
            kind: Kind::Root,
        }
    }

    /// The holder of an issued key or token.
    pub fn issued(tenant: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            tenant: tenant.into(),
            name: name.into(),
            kind: Kind::Issued,
        }
    }
}
