//! Signatures against the examples of the AWS documentation, and each way of spoiling one.

use std::time::Duration;

use flint_auth::sigv4::{Signer, Verifier};
use flint_auth::{AccessKey, Body, Error, Principal, Request};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use jiff::Timestamp;

const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const MOMENT: &str = "2015-08-30T12:36:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        (
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        )
    };
    pairs.iter().map(pair).collect()
}

fn verifier() -> Verifier {
    Verifier::new([(AccessKey::new(ID, SECRET), Principal::root())])
}

/// A request of the documentation's test suite, with its signature.
fn documented(service: &str, names: &str, signature: &str) -> HeaderMap {
    let host = if service == "iam" {
        "iam.amazonaws.com"
    } else {
        "example.amazonaws.com"
    };
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={ID}/20150830/us-east-1/{service}/aws4_request, SignedHeaders={names}, Signature={signature}"
    );
    headers(&[
        ("host", host),
        ("x-amz-date", "20150830T123600Z"),
        ("authorization", &authorization),
    ])
}

#[test]
fn the_examples_of_the_documentation_verify() {
    let mut listed = documented(
        "iam",
        "content-type;host;x-amz-date",
        "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
    );
    listed.insert(
        "content-type",
        "application/x-www-form-urlencoded; charset=utf-8"
            .parse()
            .unwrap(),
    );
    let vanilla = documented(
        "service",
        "host;x-amz-date",
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    );
    for (query, headers, service) in [
        ("Action=ListUsers&Version=2010-05-08", &listed, "iam"),
        ("", &vanilla, "service"),
    ] {
        let request = Request {
            method: "GET",
            path: "/",
            query,
            headers,
            authority: None,
        };
        let verifier = verifier();
        for _ in 0..2 {
            let signed = verifier.verify(&request, Body::Bytes(b""), at(MOMENT)).unwrap();
            assert_eq!(
                (signed.region.as_str(), signed.service.as_str()),
                ("us-east-1", service)
            );
        }
    }
}

#[test]
fn the_presigned_example_of_the_documentation_verifies_until_it_expires() {
    let key = AccessKey::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    let verifier = Verifier::new([(key, Principal::root())]);
    let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2F\
        aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&\
        X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    let mut headers = headers(&[("host", "examplebucket.s3.amazonaws.com")]);
    let request = Request {
        method: "GET",
        path: "/test.txt",
        query,
        headers: &headers,
        authority: None,
    };
    let check = |request: Request<'_>, now: &str| {
        verifier
            .verify(&request, Body::Unread, at(now))
            .map_err(|e| e.number())
    };
    assert_eq!(check(request, "2013-05-24T23:59:59Z").unwrap().service, "s3");
    assert_eq!(check(request, "2013-05-25T00:00:01Z"), Err(4003));
    assert_eq!(check(request, "2013-05-23T23:54:59Z"), Err(4003));
    let other = query.replace("Expires=86400", "Expires=86401");
    assert_eq!(
        check(
            Request {
                query: &other,
                ..request
            },
            "2013-05-24T12:00:00Z"
        ),
        Err(4003)
    );
    headers.insert("x-amz-meta-added", "later".parse().unwrap());
    let request = Request {
        method: "GET",
        path: "/test.txt",
        query,
        headers: &headers,
        authority: None,
    };
    assert_eq!(
        check(request, "2013-05-24T12:00:00Z"),
        Err(4002),
        "an x-amz header that is not signed"
    );
}

#[test]
fn what_we_sign_verifies_and_what_is_altered_afterwards_does_not() {
    let key = AccessKey::new(ID, SECRET);
    let signer = Signer {
        key: &key,
        region: "local",
        service: "lambda",
    };
    let uri: Uri =
        "http://127.0.0.1:8080/2015-03-31/functions/arn%3Aaws%3Aa/invocations?Qualifier=a%20b&x=1&x=0"
            .parse()
            .unwrap();
    let mut given = headers(&[
        ("x-amz-invocation-type", "Event"),
        ("content-type", "application/json"),
    ]);
    signer
        .sign("POST", &uri, &mut given, Body::Bytes(b"{}"), at(MOMENT))
        .unwrap();
    let request = Request {
        method: "POST",
        path: uri.path(),
        query: uri.query().unwrap(),
        headers: &given,
        authority: None,
    };
    let verifier = verifier();
    let check = |request: Request<'_>, body: &[u8], now: &str| {
        verifier
            .verify(&request, Body::Bytes(body), at(now))
            .map_err(|e| (e.number(), e.aws_code(), e.status()))
    };
    assert!(check(request, b"{}", MOMENT).is_ok());
    let mismatch = Err((4003, "InvalidSignatureException", 403));
    assert_eq!(
        check(
            Request {
                method: "PUT",
                ..request
            },
            b"{}",
            MOMENT
        ),
        mismatch
    );
    assert_eq!(
        check(
            Request {
                path: "/2015-03-31/functions/b/invocations",
                ..request
            },
            b"{}",
            MOMENT
        ),
        mismatch
    );
    assert_eq!(
        check(
            Request {
                query: "Qualifier=a%20b&x=1",
                ..request
            },
            b"{}",
            MOMENT
        ),
        mismatch
    );
    assert_eq!(check(request, b"{ }", MOMENT), mismatch);
    assert_eq!(check(request, b"{}", "2015-08-30T12:41:01Z"), mismatch);
    let stranger = Verifier::new([(AccessKey::new("OTHER", SECRET), Principal::root())]);
    assert!(matches!(
        stranger.verify(&request, Body::Bytes(b"{}"), at(MOMENT)),
        Err(Error::Unknown)
    ));
}

#[test]
fn altered_headers_are_refused_with_the_code_that_fits() {
    let key = AccessKey::new(ID, SECRET);
    let signer = Signer {
        key: &key,
        region: "local",
        service: "lambda",
    };
    let mut given = headers(&[("x-amz-invocation-type", "Event")]);
    let uri: Uri = "http://127.0.0.1:8080/x".parse().unwrap();
    signer
        .sign("POST", &uri, &mut given, Body::Bytes(b"{}"), at(MOMENT))
        .unwrap();
    let cases = [
        ("x-amz-invocation-type", "DryRun", 4003),
        ("host", "elsewhere", 4003),
        ("x-amz-target", "Added.Later", 4002),
        ("x-amz-date", "20150830T123601Z", 4003),
        ("x-amz-date", "yesterday", 4002),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD", 4003),
        ("authorization", "AWS4-HMAC-SHA256 Credential=x", 4002),
        ("authorization", "AWS4-ECDSA-P256-SHA256 Credential=x", 4002),
    ];
    for (name, value, expected) in cases {
        let mut altered = given.clone();
        altered.insert(name, value.parse().unwrap());
        let request = Request {
            method: "POST",
            path: "/x",
            query: "",
            headers: &altered,
            authority: None,
        };
        let error = verifier()
            .verify(&request, Body::Bytes(b"{}"), at(MOMENT))
            .unwrap_err();
        assert_eq!(error.number(), expected, "{name}: {value}");
    }
}

#[test]
fn a_signed_link_works_without_headers_until_it_expires() {
    let key = AccessKey::new(ID, SECRET);
    let signer = Signer {
        key: &key,
        region: "local",
        service: "lambda",
    };
    let link = |query: &str| {
        signer
            .presign(
                "GET",
                "flint.test:8080",
                "/code/a b%20c",
                query,
                Duration::from_secs(600),
                at(MOMENT),
            )
            .unwrap()
    };
    let headers = headers(&[("host", "flint.test:8080"), ("accept", "*/*")]);
    for query in ["", "version=3&empty"] {
        let query = link(query);
        let request = Request {
            method: "GET",
            path: "/code/a b%20c",
            query: &query,
            headers: &headers,
            authority: None,
        };
        let verifier = verifier();
        assert!(
            verifier
                .verify(&request, Body::Unread, at("2015-08-30T12:46:00Z"))
                .is_ok()
        );
        let late = verifier
            .verify(&request, Body::Unread, at("2015-08-30T12:46:01Z"))
            .unwrap_err();
        assert!(
            late.aws_message()
                .starts_with("Signature expired: 20150830T123600Z is now earlier than"),
            "{late}"
        );
        assert!(
            verifier
                .verify(
                    &Request {
                        path: "/code/other",
                        ..request
                    },
                    Body::Unread,
                    at(MOMENT)
                )
                .is_err()
        );
        let longer = query.replace("X-Amz-Expires=600", "X-Amz-Expires=6000");
        assert!(
            verifier
                .verify(
                    &Request {
                        query: &longer,
                        ..request
                    },
                    Body::Unread,
                    at(MOMENT)
                )
                .is_err()
        );
        let twice = format!("{query}&X-Amz-Expires=6000");
        assert!(
            verifier
                .verify(
                    &Request {
                        query: &twice,
                        ..request
                    },
                    Body::Unread,
                    at(MOMENT)
                )
                .is_err()
        );
    }
}

#[test]
fn an_unread_body_needs_a_signature_that_leaves_it_out_and_http2_has_its_host_in_the_target() {
    let key = AccessKey::new(ID, SECRET);
    let signer = Signer {
        key: &key,
        region: "local",
        service: "lambda",
    };
    let uri: Uri = "http://flint.test/x".parse().unwrap();
    for (body, expected) in [(Body::Unread, true), (Body::Bytes(b"x"), false)] {
        let mut given = HeaderMap::new();
        signer.sign("PUT", &uri, &mut given, body, at(MOMENT)).unwrap();
        given.remove("host");
        let request = Request {
            method: "PUT",
            path: "/x",
            query: "",
            headers: &given,
            authority: Some("flint.test"),
        };
        assert_eq!(
            verifier().verify(&request, Body::Unread, at(MOMENT)).is_ok(),
            expected
        );
    }
}
