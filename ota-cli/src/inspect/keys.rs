//! Public keys to verify with: from a private key, a public key or a certificate, all PEM.

use std::path::Path;

use anyhow::{Context, Result, bail};
use ota_core::verify::{PublicKey, parse_pem};

use crate::job_key::JobKey;

/// More than any certificate of a signing key has.
const MAX_DER_SIZE: usize = 16 * 1024;

/// A public key and the name of its file.
pub(super) struct KeyFile {
    pub(super) name: String,
    form: Form,
    der: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Form {
    Spki,
    Certificate,
}

impl KeyFile {
    pub(super) fn load(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
        let text = if text.contains("PRIVATE KEY-----") { JobKey::load(path)?.public_pem()? } else { text };
        let mut der = vec![0; MAX_DER_SIZE];
        let size = parse_pem(&text, &mut der).with_context(|| name.clone())?;
        der.truncate(size);
        if PublicKey::certificate(&der).is_ok() {
            return Ok(Self { name, form: Form::Certificate, der });
        }
        if text.contains("CERTIFICATE-----") {
            bail!("{name} is no certificate of a P-256 key");
        }
        PublicKey::spki(&der).with_context(|| name.clone())?;
        Ok(Self { name, form: Form::Spki, der })
    }

    pub(super) fn key(&self) -> Result<PublicKey<'_>> {
        Ok(match self.form {
            Form::Spki => PublicKey::spki(&self.der)?,
            Form::Certificate => PublicKey::certificate(&self.der)?,
        })
    }
}
