//! The one table of error codes: FLT code → AWS code, HTTP status, whether a retry is safe.
//!
//! Codes are given once and never reused (decision 008); each has a page `docs/errors/FLT-nnnn.md`.

/// What a caller needs to know about an error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeInfo {
    /// Number, written `FLT-nnnn`.
    pub number: u16,
    /// AWS error code (`x-amzn-ErrorType`).
    pub aws: &'static str,
    /// HTTP status.
    pub status: u16,
    /// The same request may be sent again without doing harm.
    pub retryable: bool,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $aws:literal, $status:literal, $retry:literal;)*) => {
        /// An error that a user can see.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code, for tests and the reference pages.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The row of the table.
            pub const fn info(self) -> CodeInfo {
                match self {
                    $(Code::$name => CodeInfo { number: $number, aws: $aws, status: $status, retryable: $retry },)*
                }
            }
        }
    };
}

codes! {
    /// A parameter's value is not acceptable.
    InvalidParameter = 1001, "InvalidParameterValueException", 400, false;
    /// A member of the request does not meet its constraint.
    Validation = 1002, "ValidationException", 400, false;
    /// The body is not JSON, or not of the right shape.
    InvalidRequestContent = 1003, "InvalidRequestContentException", 400, false;
    /// The request is too large.
    RequestTooLarge = 1004, "RequestTooLargeException", 413, false;
    /// A zip is too large for a request.
    PackageTooLarge = 1005, "RequestEntityTooLargeException", 413, false;
    /// A body could not be read as the operation's input.
    Serialization = 1006, "SerializationException", 400, false;
    /// An operation that this server does not offer.
    UnknownOperation = 1101, "UnknownOperationException", 404, false;
    /// A function, version, alias or other resource does not exist.
    NotFound = 2001, "ResourceNotFoundException", 404, false;
    /// It exists already, or another write is going on.
    Conflict = 2002, "ResourceConflictException", 409, true;
    /// The revision given is not the latest.
    PreconditionFailed = 2003, "PreconditionFailedException", 412, false;
    /// No provisioned concurrency is set for the version or alias.
    NotProvisioned = 2007, "ProvisionedConcurrencyConfigNotFoundException", 404, false;
    /// The store could not be read or written.
    Store = 2004, "ServiceException", 500, true;
    /// A limit of the account on stored things is reached.
    QuotaExceeded = 2005, "CodeStorageExceededException", 400, false;
    /// The disk's share for packages, layers and artefacts is used up.
    DiskQuota = 2006, "CodeStorageExceededException", 400, false;
    /// The idempotency key was used with another payload.
    IdempotencyConflict = 2008, "ResourceConflictException", 409, false;
    /// A package cannot be accepted: not a zip, hostile entries, too large when unpacked.
    BadPackage = 2101, "InvalidParameterValueException", 400, false;
    /// A stored package is not what was uploaded.
    PackageDamaged = 2102, "ServiceException", 500, false;
    /// A zip names no function code at all.
    EmptyPackage = 2103, "InvalidParameterValueException", 400, false;
    /// An upload of an artefact cannot be accepted: not what it says it is, or hostile.
    BadArtefact = 2104, "InvalidParameterValueException", 400, false;
    /// An image cannot be accepted: not an image, hostile entries, too large, for another machine.
    BadImage = 2201, "InvalidParameterValueException", 400, false;
    /// A stored image is not what was taken in.
    ImageDamaged = 2202, "ServiceException", 500, false;
    /// A registry did not give an image.
    Registry = 2203, "InvalidParameterValueException", 400, true;
    /// A sandbox could not be made.
    Sandbox = 3001, "ServiceException", 500, true;
    /// This host cannot enforce a layer that the request needs.
    IsolationMissing = 3002, "ServiceException", 500, false;
    /// No interpreter on this host serves the runtime.
    RuntimeUnavailable = 3101, "InvalidRuntimeException", 502, false;
    /// The runtime broke the protocol.
    ProtocolViolation = 3102, "ServiceException", 500, false;
    /// A folder that a function shows below `/mnt` is not there on this host.
    MountUnavailable = 3103, "EFSMountFailureException", 403, true;
    /// No room within the concurrency limits before the caller's deadline.
    Throttled = 3201, "TooManyRequestsException", 429, true;
    /// The version is not ready yet.
    NotReady = 3202, "ResourceConflictException", 409, true;
    /// The caller's deadline passed while waiting for an instance.
    DeadlineExceeded = 3203, "TooManyRequestsException", 429, true;
    /// The server is stopping.
    ShuttingDown = 3204, "ServiceException", 503, true;
    /// No credentials came with the request.
    MissingCredentials = 4001, "MissingAuthenticationTokenException", 403, false;
    /// The signature header is incomplete.
    IncompleteSignature = 4002, "IncompleteSignatureException", 400, false;
    /// The signature does not match, or is out of its time window.
    BadSignature = 4003, "InvalidSignatureException", 403, false;
    /// The access key or token is not known.
    UnknownCredentials = 4004, "UnrecognizedClientException", 403, false;
    /// The caller is known and may not do this.
    AccessDenied = 4005, "AccessDeniedException", 403, false;
    /// No route has this path.
    NoRoute = 4101, "UnknownOperationException", 404, false;
    /// The request broke off or could not be read.
    BadRequest = 4102, "InvalidRequestContentException", 400, false;
    /// The payload is not valid UTF-8 JSON.
    BadPayload = 4103, "InvalidRequestContentException", 400, false;
    /// The function behind a URL failed, ran out of time, or did not start.
    UrlFailed = 4301, "BadGatewayException", 502, false;
    /// What the function behind a URL returned cannot be an HTTP answer.
    UrlMalformed = 4302, "BadGatewayException", 502, false;
    /// A defect in Flint itself.
    Internal = 4201, "ServiceException", 500, true;
    /// Configuration that cannot be used.
    Configuration = 5001, "ServiceException", 500, false;
    /// The CLI cannot reach the server.
    Unreachable = 5002, "ServiceException", 503, true;
    /// The CLI was called wrongly.
    Usage = 5003, "ValidationException", 400, false;
    /// A project folder cannot be deployed as it is.
    Project = 5004, "ValidationException", 400, false;
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FLT-{}", self.info().number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_given_once() {
        let mut numbers: Vec<u16> = Code::ALL.iter().map(|code| code.info().number).collect();
        numbers.sort_unstable();
        let count = numbers.len();
        numbers.dedup();
        assert_eq!(numbers.len(), count);
    }
}
