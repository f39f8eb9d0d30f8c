//! Links to packages that need no credentials: signed by the server, for ten minutes.

use bytes::Bytes;
use flint_model::CodeRef;
use hmac::{Hmac, Mac};
use http::StatusCode;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::request::Request;
use crate::{Admin, Error, Response, Result, answer};

const SECRET: &str = "code-link-secret";

impl Admin {
    /// A link to a package, for whoever sent the request.
    pub(crate) async fn link(&self, request: &Request, code: &CodeRef) -> Result<String> {
        let expires = (self.config.now)() / 1000 + self.config.link_seconds;
        let signature = hex::encode(self.sign(&code.sha256, expires).await?);
        let base = self.base(request);
        Ok(format!(
            "{base}/api/v1/code/{}.zip?expires={expires}&signature={signature}",
            code.sha256
        ))
    }

    /// Where whoever sent the request reaches this server, without a slash at the end.
    pub(crate) fn base(&self, request: &Request) -> String {
        match request.host().filter(|_| self.config.base_from_host) {
            Some(host) => format!("http://{host}"),
            None => self.config.public_base_url.clone(),
        }
    }

    /// Gives a package to whoever holds a link to it.
    pub(crate) async fn download_code(&self, request: &Request) -> Result<Response> {
        let refused =
            || Error::AccessDenied("The link is not valid: ask for a new one with GetFunction.".to_owned());
        let sha256 = request.path("Package").strip_suffix(".zip").ok_or_else(refused)?;
        let hexadecimal = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let expires: i64 = request
            .query("expires")
            .and_then(|text| text.parse().ok())
            .ok_or_else(refused)?;
        let given = request
            .query("signature")
            .filter(|text| hexadecimal(text))
            .ok_or_else(refused)?;
        let given = hex::decode(given).map_err(|_| refused())?;
        let expected = self.sign(sha256, expires).await?;
        // Both before either is told: a wrong signature looks the same whether the link is expired or not.
        let genuine = bool::from(expected.ct_eq(&given));
        let current = (self.config.now)() / 1000 <= expires;
        if !genuine || !current || !hexadecimal(sha256) {
            return Err(refused());
        }
        let packages = self.store.packages().clone();
        let sha256 = sha256.to_owned();
        let read = tokio::task::spawn_blocking(move || packages.read_zip(&sha256)).await?;
        let zip = read.map_err(|_| Error::NotSet("The package does not exist any more.".to_owned()))?;
        Ok(answer::bytes(StatusCode::OK, "application/zip", Bytes::from(zip)))
    }

    async fn sign(&self, sha256: &str, expires: i64) -> Result<Vec<u8>> {
        let secret = self.link_secret.get_or_try_init(|| self.load_secret()).await?;
        let signer = Hmac::<Sha256>::new_from_slice(secret);
        let mut mac = signer.map_err(|error| Error::Link(error.to_string()))?;
        mac.update(format!("{sha256}\n{expires}").as_bytes());
        Ok(mac.finalize().into_bytes().to_vec())
    }

    /// The secret is made once and kept in the store, so that links outlive a restart and hold on every node.
    async fn load_secret(&self) -> Result<Vec<u8>> {
        let mut fresh = [0_u8; 32];
        getrandom::fill(&mut fresh).map_err(|error| Error::Link(error.to_string()))?;
        let kept = self.store.setting_or(SECRET, hex::encode(fresh)).await?;
        Ok(kept.into_bytes())
    }
}
