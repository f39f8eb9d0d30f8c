//! Which proof is looked at, what each route takes, and the root credentials on disk.

use std::os::unix::fs::PermissionsExt;

use flint_auth::sigv4::Signer;
use flint_auth::{
    Accepts, AccessKey, Authenticator, Body, Credentials, Error, Kind, Principal, Request, TokenHash,
};
use http::{HeaderMap, HeaderValue, Uri};
use jiff::Timestamp;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn bearer(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        "authorization",
        HeaderValue::try_from(format!("Bearer {token}")).expect("a token fits a header"),
    );
    headers
}

fn ask(who: &Authenticator, headers: &HeaderMap, accepts: Accepts) -> Result<Principal, Error> {
    let request = Request {
        method: "GET",
        path: "/x",
        query: "",
        headers,
        authority: None,
    };
    who.authenticate(&request, Body::Bytes(b""), accepts, NOW)
}

#[test]
fn the_request_decides_how_it_is_proven_and_the_route_what_it_takes() {
    let root = Credentials::generate().unwrap();
    let who = Authenticator::root(&root);
    let mut signed = HeaderMap::new();
    let uri: Uri = "http://flint.test/x".parse().unwrap();
    let signer = Signer {
        key: &root.key,
        region: "local",
        service: "lambda",
    };
    signer
        .sign("GET", &uri, &mut signed, Body::Bytes(b""), NOW)
        .unwrap();
    let token = bearer(root.token.expose());
    for headers in [&signed, &token] {
        assert_eq!(ask(&who, headers, Accepts::ANY).unwrap(), Principal::root());
    }
    assert!(ask(&who, &signed, Accepts::SIGV4).is_ok() && ask(&who, &token, Accepts::BEARER).is_ok());
    assert!(matches!(
        ask(&who, &signed, Accepts::BEARER),
        Err(Error::NotAccepted("signatures"))
    ));
    assert!(matches!(
        ask(&who, &token, Accepts::SIGV4),
        Err(Error::NotAccepted("bearer tokens"))
    ));
    assert!(matches!(
        ask(&who, &bearer("flk_wrong"), Accepts::ANY),
        Err(Error::Unknown)
    ));
    let missing = ask(&who, &HeaderMap::new(), Accepts::ANY).unwrap_err();
    assert_eq!(
        (missing.number(), missing.aws_message().as_str()),
        (4001, "Missing Authentication Token")
    );
}

#[test]
fn issued_tokens_belong_to_their_tenants() {
    let of = |name: &str| {
        (
            TokenHash::of(&format!("flk_{name}")),
            Principal::issued("123456789012", name),
        )
    };
    let who = Authenticator::new([], [of("ann"), of("bob")]);
    let ann = ask(&who, &bearer("flk_ann"), Accepts::ANY).unwrap();
    assert_eq!(
        (ann.tenant.as_str(), ann.name.as_str(), ann.kind),
        ("123456789012", "ann", Kind::Issued)
    );
    assert_eq!(who.token("flk_bob").unwrap().name, "bob");
    assert_eq!(who.token("flk_eve"), None);
}

#[test]
fn credentials_are_made_once_and_only_the_owner_can_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("deep/down");
    let made = Credentials::load_or_create(&folder, None).unwrap();
    assert!(
        made.key.id.len() == 20 && made.key.id.starts_with("FLNT"),
        "{}",
        made.key.id
    );
    assert_eq!(
        (made.key.secret.expose().len(), made.token.expose().len()),
        (40, 47)
    );
    assert_eq!(Credentials::load_or_create(&folder, None).unwrap(), made);
    for name in ["credentials", "token"] {
        let mode = std::fs::metadata(folder.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let given = AccessKey::new("GIVEN", "secret");
    let with = Credentials::load_or_create(&folder, Some(given.clone())).unwrap();
    assert_eq!((with.key, with.token), (given, made.token.clone()));
    assert_eq!(
        Credentials::load_or_create(&folder, None).unwrap(),
        made,
        "the given key is not written"
    );
    let other = Credentials::generate().unwrap();
    other.save(&folder).unwrap();
    assert_eq!(Credentials::load_or_create(&folder, None).unwrap(), other);
    assert_ne!(other, made);
    assert_eq!(
        std::fs::read_dir(&folder).unwrap().count(),
        2,
        "no file is left beside them"
    );
    assert!(!format!("{other:?}").contains(other.token.expose()));
}

#[test]
fn an_exposed_or_broken_file_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    Credentials::load_or_create(folder.path(), None).unwrap();
    let file = folder.path().join("credentials");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    let error = Credentials::load_or_create(folder.path(), None).unwrap_err();
    assert!(matches!(error, Error::Exposed { mode: 0o640, .. }));
    assert!(error.to_string().contains("chmod 600"), "{error}");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    for text in [
        "",
        "[default]\naws_access_key_id = x\n",
        "[other]\naws_access_key_id=x\naws_secret_access_key=y\n",
    ] {
        std::fs::write(&file, text).unwrap();
        let error = Credentials::load_or_create(folder.path(), None).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{text}: {error}");
    }
    let text = "# mine\n[default]\nregion = x\naws_access_key_id=AK\n aws_secret_access_key = s=e=c \n[b]\naws_access_key_id=no\n";
    std::fs::write(&file, text).unwrap();
    assert_eq!(
        Credentials::load_or_create(folder.path(), None).unwrap().key,
        AccessKey::new("AK", "s=e=c")
    );
}
