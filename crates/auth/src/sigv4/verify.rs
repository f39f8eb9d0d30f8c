//! Checks a signature: form, key, time, what is covered, then the signature itself.
//!
//! Everything cheap comes first, and nothing about a known key is told before its signature was right.

use std::collections::HashMap;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::canonical::{self, Query};
use super::keys::{Keys, SigningKey};
use super::proof::{Proof, Scope, in_header, in_query};
use super::{ALGORITHM, UNSIGNED, encode, stamp};
use crate::{AccessKey, Body, Error, Principal, Request};

/// Knows the access keys and checks signatures made with them.
#[derive(Debug, Default)]
pub struct Verifier {
    known: HashMap<String, (AccessKey, Principal)>,
    keys: Keys,
}

/// A signature that was right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Whose key it was.
    pub principal: Principal,
    /// The region of the scope; not judged here.
    pub region: String,
    /// The service of the scope; not judged here.
    pub service: String,
}

impl Verifier {
    /// A verifier of these keys.
    pub fn new(keys: impl IntoIterator<Item = (AccessKey, Principal)>) -> Self {
        let known = keys
            .into_iter()
            .map(|(key, principal)| (key.id.clone(), (key, principal)))
            .collect();
        Self {
            known,
            keys: Keys::default(),
        }
    }

    /// Whether a request carries a signature at all.
    pub fn is_signed(request: &Request<'_>) -> bool {
        in_header(request.headers) || in_query(request.query)
    }

    /// Checks what can be checked before the body is there: a whole proof, by a known key, within its time.
    pub fn check_head(&self, request: &Request<'_>, now: Timestamp) -> Result<(), Error> {
        let proof = proof_of(request)?;
        let scope = Scope::parse(&proof.credential)?;
        self.known.get(scope.key_id).ok_or(Error::Unknown)?;
        stamp::check(proof.time, proof.lifetime, now)
    }

    /// Checks the signature of a request at the time `now`.
    pub fn verify(&self, request: &Request<'_>, body: Body<'_>, now: Timestamp) -> Result<Signed, Error> {
        let proof = proof_of(request)?;
        let scope = Scope::parse(&proof.credential)?;
        let (key, principal) = self.known.get(scope.key_id).ok_or(Error::Unknown)?;
        if !proof.stamp.starts_with(scope.day) || scope.day.len() != 8 {
            return Err(Error::OutOfTime(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{}', from '{}'.",
                scope.day,
                &proof.stamp[..8],
                proof.stamp
            )));
        }
        stamp::check(proof.time, proof.lifetime, now)?;
        check_coverage(request, &proof.signed_headers)?;
        let payload = payload(&proof, scope.service, body)?;
        self.check_signature(request, &proof, &scope, key, &payload)?;
        Ok(Signed {
            principal: principal.clone(),
            region: scope.region.into(),
            service: scope.service.into(),
        })
    }

    fn check_signature(
        &self,
        request: &Request<'_>,
        proof: &Proof<'_>,
        scope: &Scope<'_>,
        key: &AccessKey,
        payload: &str,
    ) -> Result<(), Error> {
        let mut given = [0; 32];
        hex::decode_to_slice(proof.signature.as_bytes(), &mut given).map_err(|_| Error::Mismatch)?;
        let remembered = self.keys.get(scope);
        let signing = remembered
            .clone()
            .unwrap_or_else(|| SigningKey::derive(&key.secret, scope));
        let right = |query: Query| -> Result<bool, Error> {
            let text = canonical::request(
                request,
                query,
                &proof.signed_headers,
                payload,
                scope.service == "s3",
            )
            .ok_or(Error::Mismatch)?;
            let expected = signing.sign(&string_to_sign(&proof.stamp, scope, &text));
            Ok(expected.ct_eq(&given).into())
        };
        // A query that is not in canonical form is signed as it stands by botocore and in canonical form by others. Both
        // readings decode to the same parameters, so accepting either gives nothing away.
        let matches =
            right(Query::Recoded)? || (!encode::is_canonical(request.query) && right(Query::AsSent)?);
        if !matches {
            return Err(Error::Mismatch);
        }
        if remembered.is_none() {
            self.keys.put(scope, signing);
        }
        Ok(())
    }
}

fn proof_of<'a>(request: &Request<'a>) -> Result<Proof<'a>, Error> {
    match (in_header(request.headers), in_query(request.query)) {
        (true, false) => Proof::from_header(request),
        (false, true) => Proof::from_query(request),
        (false, false) => Err(Error::Missing),
        (true, true) => Err(Error::Incomplete(
            "the request is signed twice, in its header and in its query".into(),
        )),
    }
}

/// The second text of the procedure, which the signing key signs.
pub(crate) fn string_to_sign(stamp: &str, scope: &Scope<'_>, canonical_request: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(192);
    for part in [ALGORITHM, stamp, scope.without_key()] {
        out.extend(part.as_bytes());
        out.push(b'\n');
    }
    let mut hash = [0; 64];
    let _ = hex::encode_to_slice(Sha256::digest(canonical_request), &mut hash);
    out.extend(hash);
    out
}

/// A signature must cover the host and every `x-amz-` header: those steer what a request does, so an unsigned one could
/// have been added on the way. `x-amz-cf-id` is added by CloudFront behind the client's back and steers nothing.
fn check_coverage(request: &Request<'_>, signed_headers: &str) -> Result<(), Error> {
    let covered = |name: &str| signed_headers.split(';').any(|signed| signed == name);
    let well_formed = signed_headers
        .split(';')
        .all(|name| !name.is_empty() && !name.bytes().any(|b| b.is_ascii_uppercase()));
    if !well_formed || !covered("host") {
        return Err(Error::Incomplete(
            "'Host' must be a 'SignedHeader' in the AWS Authorization, in lower case".into(),
        ));
    }
    let open = |name: &str| name.starts_with("x-amz-") && name != "x-amz-cf-id" && !covered(name);
    match request.headers.keys().find(|name| open(name.as_str())) {
        Some(name) => Err(Error::Incomplete(format!(
            "'{name}' must be a 'SignedHeader' in the AWS Authorization"
        ))),
        None => Ok(()),
    }
}

/// The payload hash that the canonical request ends with, after comparing a stated one with the body.
fn payload(proof: &Proof<'_>, service: &str, body: Body<'_>) -> Result<String, Error> {
    // a presigned URL of S3 leaves the body out without saying so
    let silent = service == "s3" && proof.lifetime.is_some() && proof.payload.is_none();
    if silent || proof.payload.as_deref() == Some(UNSIGNED) {
        return Ok(UNSIGNED.into());
    }
    let Some(hash) = body.sha256() else {
        return Err(Error::Incomplete(
            "a body of this size must be sent with x-amz-content-sha256: UNSIGNED-PAYLOAD".into(),
        ));
    };
    let hash = hex::encode(hash);
    match proof.payload.as_deref() {
        None => Ok(hash),
        Some(stated) if stated.eq_ignore_ascii_case(&hash) => Ok(stated.to_owned()),
        Some(stated) if stated.starts_with("STREAMING-") => Err(Error::Incomplete(
            "x-amz-content-sha256: streaming signatures are not supported".into(),
        )),
        Some(_) => Err(Error::Mismatch),
    }
}
