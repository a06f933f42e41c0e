//! Certificates of one run: a CA, the broker's, and one device's; all P-256, all files in one folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// Where the PEM files of a run lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates {
    /// The CA's certificate: what the device trusts, and what the broker trusts.
    pub ca: PathBuf,
    /// The server's certificate (broker and file server) for `localhost`, `127.0.0.1`, `::1` and the names asked for.
    pub server: PathBuf,
    /// The server's private key, PKCS #8.
    pub server_key: PathBuf,
    /// The device's certificate; its common name is the thing's name.
    pub device: PathBuf,
    /// The device's private key, PKCS #8.
    pub device_key: PathBuf,
}

impl Certificates {
    /// Makes new keys and certificates and writes them into `dir`, which is created; older files are replaced. `names`
    /// are more host names and IP addresses the server is reached by.
    ///
    /// Errors: the folder cannot be written, or a name is none.
    pub fn create(dir: &Path, thing: &str, names: &[String]) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let files = Self {
            ca: dir.join("ca.pem"),
            server: dir.join("server.pem"),
            server_key: dir.join("server-key.pem"),
            device: dir.join("device.pem"),
            device_key: dir.join("device-key.pem"),
        };
        files.write(thing, names).map_err(|error| match error {
            Error::Rcgen(error) => io::Error::other(error),
            Error::Io(error) => error,
        })?;
        Ok(files)
    }

    fn write(&self, thing: &str, more: &[String]) -> Result<(), Error> {
        let ca_key = KeyPair::generate()?;
        let mut ca = named("ota-sim test CA", Vec::new())?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        fs::write(&self.ca, ca.self_signed(&ca_key)?.pem())?;
        let issuer = Issuer::new(ca, ca_key);

        let mut names = ["localhost", "127.0.0.1", "::1"].map(String::from).to_vec();
        names.extend_from_slice(more);
        let mut server = named("localhost", names)?;
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let mut device = named(thing, Vec::new())?;
        device.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        for (mut params, certificate, key_file) in
            [(server, &self.server, &self.server_key), (device, &self.device, &self.device_key)]
        {
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.use_authority_key_identifier_extension = true;
            let key = KeyPair::generate()?;
            fs::write(certificate, params.signed_by(&key, &issuer)?.pem())?;
            write_private(key_file, &key.serialize_pem())?;
        }
        Ok(())
    }
}

enum Error {
    Rcgen(rcgen::Error),
    Io(io::Error),
}

impl From<rcgen::Error> for Error {
    fn from(error: rcgen::Error) -> Self {
        Self::Rcgen(error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn named(common_name: &str, subject_alt_names: Vec<String>) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(subject_alt_names)?;
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

/// A private key is for its owner only, even one that lives for an hour.
fn write_private(path: &Path, pem: &str) -> io::Result<()> {
    use std::io::Write;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)?.write_all(pem.as_bytes())
}
