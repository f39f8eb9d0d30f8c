//! Signing keys: derived by four HMACs from secret, day, region and service, so the last few are remembered.

use std::sync::Mutex;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::proof::Scope;
use crate::Secret;

type HmacSha256 = Hmac<Sha256>;

/// How many keys are remembered: a day, and a few regions and services for each client, is what lives at one time.
const REMEMBERED: usize = 64;

/// A keyed hash that is ready for the string to sign.
#[derive(Clone)]
pub(crate) struct SigningKey(HmacSha256);

impl SigningKey {
    /// Derives the key of a scope.
    pub(crate) fn derive(secret: &Secret, scope: &Scope<'_>) -> Self {
        let mut start = Vec::with_capacity(4 + secret.expose().len());
        start.extend(b"AWS4");
        start.extend(secret.expose().as_bytes());
        let day = hash(&keyed(&start), scope.day.as_bytes());
        let region = hash(&keyed(&day), scope.region.as_bytes());
        let service = hash(&keyed(&region), scope.service.as_bytes());
        Self(keyed(&hash(&keyed(&service), b"aws4_request")))
    }

    /// The signature of a string to sign.
    pub(crate) fn sign(&self, string_to_sign: &[u8]) -> [u8; 32] {
        hash(&self.0, string_to_sign)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

fn keyed(key: &[u8]) -> HmacSha256 {
    // HMAC takes a key of any length: a longer one is hashed first
    HmacSha256::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of every length"))
}

fn hash(keyed: &HmacSha256, data: &[u8]) -> [u8; 32] {
    keyed.clone().chain_update(data).finalize().into_bytes().into()
}

/// Keys of scopes that have signed correctly. What a stranger makes up never gets in, so nobody can push others out.
#[derive(Debug, Default)]
pub(crate) struct Keys(Mutex<Vec<(String, SigningKey)>>);

impl Keys {
    /// The key of a scope, if it is remembered.
    pub(crate) fn get(&self, scope: &Scope<'_>) -> Option<SigningKey> {
        let keys = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        keys.iter()
            .find(|(text, _)| text == scope.text)
            .map(|(_, key)| key.clone())
    }

    /// Remembers the key of a scope in place of the oldest one.
    pub(crate) fn put(&self, scope: &Scope<'_>, key: SigningKey) {
        let mut keys = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if keys.iter().any(|(text, _)| text == scope.text) {
            return;
        }
        if keys.len() >= REMEMBERED {
            keys.pop();
        }
        keys.insert(0, (scope.text.to_owned(), key));
    }
}
