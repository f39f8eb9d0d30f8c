//! Which registries are reached how: trusted certificates, plain HTTP, credentials.

#[cfg(feature = "registry")]
use std::fmt;

/// What the operator allows.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Registries (`HOST:PORT`) that are spoken to without TLS.
    pub plain_http: Vec<String>,
    /// Certificates that are trusted besides the system's, PEM.
    pub certificates: Vec<Vec<u8>>,
}

impl Access {
    /// The same with further certificates.
    #[must_use]
    pub fn trusting(&self, pem: Option<Vec<u8>>) -> Self {
        let mut access = self.clone();
        access.certificates.extend(pem);
        access
    }

    /// Whether the certificates can be read.
    pub fn check(&self) -> crate::Result<()> {
        #[cfg(feature = "registry")]
        self.tls()?;
        Ok(())
    }

    #[cfg(feature = "registry")]
    pub(crate) fn is_plain(&self, host: &str) -> bool {
        self.plain_http.iter().any(|known| known == host)
    }

    #[cfg(feature = "registry")]
    pub(crate) fn tls(&self) -> crate::Result<rustls::ClientConfig> {
        use std::sync::Arc;

        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject;
        use rustls::{ClientConfig, RootCertStore};

        use crate::Error;

        let mut roots = RootCertStore::empty();
        // A system without certificates can still pull where a certificate is given.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for pem in &self.certificates {
            let wrong = |reason: String| Error::BadCertificate(reason);
            let mut count = 0;
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
                count += 1;
            }
            if count == 0 {
                return Err(wrong("no certificate is in it".to_owned()));
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::BadCertificate(error.to_string()))?;
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

/// A name and a password for a registry. Neither is ever shown.
#[cfg(feature = "registry")]
#[derive(Clone)]
pub struct Login {
    name: String,
    password: String,
}

#[cfg(feature = "registry")]
impl Login {
    /// Takes both.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            password: password.into(),
        }
    }

    /// The value of an `Authorization` header.
    pub(crate) fn basic(&self) -> String {
        use base64::Engine;
        let pair = format!("{}:{}", self.name, self.password);
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    }
}

#[cfg(feature = "registry")]
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(…)")
    }
}
