//! The root credentials: made at the first start, kept in two files that only the owner can read.
//!
//! `DIR/credentials` is an AWS shared credentials file (`AWS_SHARED_CREDENTIALS_FILE` can point at it), `DIR/token` holds the
//! bearer token. Files are written beside their place and renamed, so a crash leaves the old one or the new one.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::{AccessKey, Error, Secret};

const KEY_CHARACTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const SECRET_CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const TOKEN_CHARACTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The owner's key pair and token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// For AWS clients.
    pub key: AccessKey,
    /// For `flint` and plain HTTP clients.
    pub token: Secret,
}

impl Credentials {
    /// New random ones: `FLNT` and 16 characters, a secret of 40, a token of `flk_` and 43.
    pub fn generate() -> Result<Self, Error> {
        let id = format!("FLNT{}", random_text(KEY_CHARACTERS, 16)?);
        let key = AccessKey::new(id, random_text(SECRET_CHARACTERS, 40)?);
        let token = Secret::new(format!("flk_{}", random_text(TOKEN_CHARACTERS, 43)?));
        Ok(Self { key, token })
    }

    /// Reads the credentials of a folder, and makes what is missing. A key pair given from outside (the environment)
    /// replaces the one in the file and is not written.
    pub fn load_or_create(folder: &Path, given: Option<AccessKey>) -> Result<Self, Error> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(file("make", folder))?;
        let (key_file, token_file) = (folder.join("credentials"), folder.join("token"));
        let fresh = Self::generate()?;
        let key = match (given, read_private(&key_file)?) {
            (Some(key), _) => key,
            (None, Some(text)) => parse_key(&text, &key_file)?,
            (None, None) => {
                write_private(&key_file, &key_text(&fresh.key))?;
                fresh.key
            }
        };
        let token = match read_private(&token_file)? {
            Some(text) => parse_token(&text, &token_file)?,
            None => {
                write_private(&token_file, &format!("{}\n", fresh.token.expose()))?;
                fresh.token
            }
        };
        Ok(Self { key, token })
    }

    /// Reads the credentials of a folder; `None` where a file is missing. Makes nothing: this is for clients.
    pub fn load(folder: &Path) -> Result<(Option<AccessKey>, Option<Secret>), Error> {
        let (key_file, token_file) = (folder.join("credentials"), folder.join("token"));
        let key = read_private(&key_file)?.map(|text| parse_key(&text, &key_file));
        let token = read_private(&token_file)?.map(|text| parse_token(&text, &token_file));
        Ok((key.transpose()?, token.transpose()?))
    }

    /// Writes both files of a folder, replacing what is there.
    pub fn save(&self, folder: &Path) -> Result<(), Error> {
        write_private(&folder.join("credentials"), &key_text(&self.key))?;
        write_private(&folder.join("token"), &format!("{}\n", self.token.expose()))
    }
}

/// Random characters of an alphabet of at most 128, each equally likely: values past a multiple of its size are dropped.
fn random_text(alphabet: &[u8], length: usize) -> Result<String, Error> {
    let fair = 256 / alphabet.len() * alphabet.len();
    let mut text = String::with_capacity(length);
    let mut bytes = [0; 64];
    while text.len() < length {
        getrandom::fill(&mut bytes).map_err(Error::Randomness)?;
        let usable = bytes
            .iter()
            .map(|byte| usize::from(*byte))
            .filter(|value| *value < fair);
        text.extend(
            usable
                .take(length - text.len())
                .map(|value| char::from(alphabet[value % alphabet.len()])),
        );
    }
    Ok(text)
}

fn key_text(key: &AccessKey) -> String {
    format!(
        "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        key.id,
        key.secret.expose()
    )
}

fn parse_key(text: &str, path: &Path) -> Result<AccessKey, Error> {
    let mut profile = "";
    let (mut id, mut secret) = (None, None);
    for line in text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
    {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            profile = name.trim();
        } else if let (true, Some((name, value))) = (profile == "default", line.split_once('=')) {
            match name.trim() {
                "aws_access_key_id" => id = Some(value.trim()),
                "aws_secret_access_key" => secret = Some(value.trim()),
                _ => {}
            }
        }
    }
    match (id, secret) {
        (Some(id), Some(secret)) if !id.is_empty() && !secret.is_empty() => Ok(AccessKey::new(id, secret)),
        _ => Err(Error::Malformed {
            path: path.into(),
            reason: "[default] lacks aws_access_key_id or aws_secret_access_key",
        }),
    }
}

fn parse_token(text: &str, path: &Path) -> Result<Secret, Error> {
    let token = text.trim();
    if token.len() < 20 || token.contains(char::is_whitespace) {
        return Err(Error::Malformed {
            path: path.into(),
            reason: "it must hold one token of at least 20 characters",
        });
    }
    Ok(Secret::new(token))
}

/// The text of a file that only its owner may read; `None` when there is no such file.
fn read_private(path: &Path) -> Result<Option<String>, Error> {
    let mut opened = match File::open(path) {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file("read", path)(error)),
    };
    // asked of the open file, so that it cannot be exchanged in between
    let mode = opened
        .metadata()
        .map_err(file("read", path))?
        .permissions()
        .mode()
        & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::Exposed {
            path: path.into(),
            mode,
        });
    }
    let mut text = String::new();
    opened.read_to_string(&mut text).map_err(file("read", path))?;
    Ok(Some(text))
}

fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    let beside: PathBuf = path.with_extension(format!("new-{}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut opened| {
            opened.set_permissions(std::fs::Permissions::from_mode(0o600))?;
            opened.write_all(text.as_bytes())?;
            opened.sync_all()
        })
        .and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written.map_err(file("write", path))
}

fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::File { action, path, source }
}
