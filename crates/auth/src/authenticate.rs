//! The one entry for doors: looks at what a request carries and establishes the caller from it.

use std::sync::Arc;

use jiff::Timestamp;

use crate::sigv4::Verifier;
use crate::token::{TokenHash, bearer};
use crate::{AccessKey, Body, Credentials, Error, Principal, Request};

/// Which proofs a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepts {
    /// AWS Signature Version 4, in headers or query.
    pub sigv4: bool,
    /// `Authorization: Bearer …`.
    pub bearer: bool,
}

impl Accepts {
    /// Either.
    pub const ANY: Self = Self {
        sigv4: true,
        bearer: true,
    };
    /// Signatures only.
    pub const SIGV4: Self = Self {
        sigv4: true,
        bearer: false,
    };
    /// Tokens only.
    pub const BEARER: Self = Self {
        sigv4: false,
        bearer: true,
    };
}

/// Knows all access keys and tokens. A clone is a reference to the same ones.
#[derive(Debug, Clone)]
pub struct Authenticator(Arc<Known>);

#[derive(Debug)]
struct Known {
    verifier: Verifier,
    tokens: Vec<(TokenHash, Principal)>,
}

impl Authenticator {
    /// Knows these keys and tokens.
    pub fn new(
        keys: impl IntoIterator<Item = (AccessKey, Principal)>,
        tokens: impl IntoIterator<Item = (TokenHash, Principal)>,
    ) -> Self {
        Self(Arc::new(Known {
            verifier: Verifier::new(keys),
            tokens: tokens.into_iter().collect(),
        }))
    }

    /// Knows the root credentials and nothing else.
    pub fn root(credentials: &Credentials) -> Self {
        let token = TokenHash::of(credentials.token.expose());
        Self::new(
            [(credentials.key.clone(), Principal::root())],
            [(token, Principal::root())],
        )
    }

    /// Who sent this request. What it carries decides how that is proven; a request that carries two proofs has to prove
    /// itself by its signature.
    pub fn authenticate(
        &self,
        request: &Request<'_>,
        body: Body<'_>,
        accepts: Accepts,
        now: Timestamp,
    ) -> Result<Principal, Error> {
        if Verifier::is_signed(request) {
            if !accepts.sigv4 {
                return Err(Error::NotAccepted("signatures"));
            }
            return Ok(self.0.verifier.verify(request, body, now)?.principal);
        }
        let token = bearer(request.headers).ok_or(Error::Missing)?;
        if !accepts.bearer {
            return Err(Error::NotAccepted("bearer tokens"));
        }
        self.token(token).cloned().ok_or(Error::Unknown)
    }

    /// Refuses, before its body is read, a request that cannot prove itself whatever its body is: no proof, an unknown key or
    /// token, out of its time. What passes is still to be authenticated.
    pub fn check_head(&self, request: &Request<'_>, accepts: Accepts, now: Timestamp) -> Result<(), Error> {
        if Verifier::is_signed(request) {
            if !accepts.sigv4 {
                return Err(Error::NotAccepted("signatures"));
            }
            return self.0.verifier.check_head(request, now);
        }
        self.authenticate(request, Body::Unread, accepts, now).map(drop)
    }

    /// Whose token this is. All known tokens are compared, whichever matches, so the time says nothing.
    pub fn token(&self, token: &str) -> Option<&Principal> {
        let hash = TokenHash::of(token);
        let mut found = None;
        for (known, principal) in &self.0.tokens {
            if known.matches(&hash) {
                found = Some(principal);
            }
        }
        found
    }
}
