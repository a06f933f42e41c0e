//! A server that speaks TLS 1.3 as far as the script goes: TLS_AES_128_GCM_SHA256 with secp256r1 (RFC 8446), and every
//! message, right or wrong, at the moment the test wants it.

use aes_gcm::{AeadInPlace, Aes128Gcm, KeyInit};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use p256::PublicKey;
use p256::ecdh::EphemeralSecret;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::sec1::ToEncodedPoint;
use p256::pkcs8::DecodePrivateKey;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::certificates::Identity;
use crate::support::Numbers;

pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const APPLICATION_DATA: u8 = 23;

pub(crate) const ENCRYPTED_EXTENSIONS: &[u8] = &[8, 0, 0, 2, 0, 0];

/// The server's end of a connection.
pub(crate) struct Server {
    stream: DuplexStream,
    transcript: Sha256,
    handshake_secret: Vec<u8>,
    secret: Vec<u8>,
    sequence: u64,
    /// Everything sent so far.
    pub(crate) sent: Vec<u8>,
}

/// The device's end, and the server after it has read the greeting.
pub(crate) fn pair() -> (DuplexStream, Pending) {
    let (device, stream) = duplex(256 * 1024);
    (device, Pending(stream))
}

pub(crate) struct Pending(pub(crate) DuplexStream);

impl Pending {
    /// Reads the device's greeting and answers with the server's, which is sent.
    pub(crate) async fn greet(self) -> Server {
        let mut stream = self.0;
        let hello = read_record(&mut stream).await;
        let mut transcript = Sha256::new();
        transcript.update(&hello);
        let device_key = PublicKey::from_sec1_bytes(key_share(&hello)).unwrap();
        let secret = EphemeralSecret::random(&mut Numbers(99));
        let shared = secret.diffie_hellman(&device_key);
        let point = secret.public_key().to_encoded_point(false);

        // supported_versions: TLS 1.3; key_share: secp256r1, 65 bytes.
        let mut extensions = vec![0, 43, 0, 2, 3, 4, 0, 51, 0, 69, 0, 23, 0, 65];
        extensions.extend_from_slice(point.as_bytes());
        let hello = message(2, &server_hello(&[7; 32], &extensions));
        transcript.update(&hello);
        let sent = record(HANDSHAKE, &hello);
        stream.write_all(&sent).await.unwrap();

        let (early, _) = Hkdf::<Sha256>::extract(None, &[0; 32]);
        let derived = derive(&early, "derived", &Sha256::digest([]));
        let (handshake_secret, _) = Hkdf::<Sha256>::extract(Some(&derived), shared.raw_secret_bytes());
        let secret = derive(&handshake_secret, "s hs traffic", &transcript.clone().finalize());
        Server { stream, transcript, handshake_secret: handshake_secret.to_vec(), secret, sequence: 0, sent }
    }
}

impl Server {
    /// Sends a record in clear text.
    pub(crate) async fn clear(&mut self, kind: u8, body: &[u8]) {
        self.raw(&record(kind, body)).await;
    }

    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.sent.extend_from_slice(bytes);
        // The device may have given up by now.
        let _ = self.stream.write_all(bytes).await;
    }

    /// Sends an encrypted record that holds `inner`, which ends in its type.
    pub(crate) async fn encrypted(&mut self, inner: &[u8]) {
        let sealed = self.seal(inner);
        self.raw(&sealed).await;
    }

    /// An encrypted record that holds `inner`.
    pub(crate) fn seal(&mut self, inner: &[u8]) -> Vec<u8> {
        let key = expand(&self.secret, "key", &[], 16);
        let mut nonce = expand(&self.secret, "iv", &[], 12);
        for (byte, count) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= count;
        }
        self.sequence += 1;
        let nonce: [u8; 12] = nonce.try_into().unwrap();
        let mut sealed = record(APPLICATION_DATA, &[inner, &[0; 16]].concat());
        let (header, body) = sealed.split_at_mut(5);
        let (text, tag) = body.split_at_mut(inner.len());
        let cipher = Aes128Gcm::new_from_slice(&key).unwrap();
        tag.copy_from_slice(&cipher.encrypt_in_place_detached(&nonce.into(), header, text).unwrap());
        sealed
    }

    /// Sends handshake messages together in one encrypted record.
    pub(crate) async fn say(&mut self, messages: &[&[u8]]) {
        let mut inner = messages.concat();
        self.transcript.update(&inner);
        inner.push(HANDSHAKE);
        self.encrypted(&inner).await;
    }

    /// CertificateVerify over everything said so far, as `identity`.
    pub(crate) fn certificate_verify(&self, identity: &Identity) -> Vec<u8> {
        let mut signed = vec![0x20; 64];
        signed.extend_from_slice(b"TLS 1.3, server CertificateVerify\0");
        signed.extend_from_slice(&self.transcript.clone().finalize());
        let key = SigningKey::from_pkcs8_der(&identity.key.serialize_der()).unwrap();
        let signature: DerSignature = key.sign(&signed);
        let signature = signature.as_bytes();
        let mut body = vec![4, 3, 0, signature.len() as u8];
        body.extend_from_slice(signature);
        message(15, &body)
    }

    /// Finished over everything said so far.
    pub(crate) fn finished(&self) -> Vec<u8> {
        let key = expand(&self.secret, "finished", &[], 32);
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&key).unwrap();
        mac.update(&self.transcript.clone().finalize());
        message(20, &mac.finalize().into_bytes())
    }

    /// Everything a server has to say, in one record each.
    pub(crate) async fn authenticate(&mut self, identity: &Identity) {
        self.say(&[ENCRYPTED_EXTENSIONS]).await;
        self.say(&[&certificate(&identity.chain)]).await;
        let verify = self.certificate_verify(identity);
        self.say(&[&verify]).await;
        let finished = self.finished();
        self.say(&[&finished]).await;
    }

    /// From here on it is application traffic. The device's last message is awaited, but not looked at.
    pub(crate) async fn connected(&mut self) {
        read_record(&mut self.stream).await;
        let derived = derive(&self.handshake_secret, "derived", &Sha256::digest([]));
        let (main, _) = Hkdf::<Sha256>::extract(Some(&derived), &[0; 32]);
        self.secret = derive(&main, "s ap traffic", &self.transcript.clone().finalize());
        self.sequence = 0;
    }

    /// Reads until the device has closed; how many bytes came.
    pub(crate) async fn silence(mut self) -> u64 {
        tokio::io::copy(&mut self.stream, &mut tokio::io::sink()).await.unwrap_or(0)
    }
}

pub(crate) fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 3, 3];
    record.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
    record.extend_from_slice(body);
    record
}

pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes()[1..]);
    message.extend_from_slice(body);
    message
}

pub(crate) fn server_hello(random: &[u8; 32], extensions: &[u8]) -> Vec<u8> {
    let mut hello = vec![3, 3];
    hello.extend_from_slice(random);
    hello.extend_from_slice(&[0, 0x13, 0x01, 0]);
    hello.extend_from_slice(&u16::try_from(extensions.len()).unwrap().to_be_bytes());
    hello.extend_from_slice(extensions);
    hello
}

pub(crate) fn certificate(chain: &[CertificateDer<'_>]) -> Vec<u8> {
    let mut entries = Vec::new();
    for certificate in chain {
        entries.extend_from_slice(&u32::try_from(certificate.len()).unwrap().to_be_bytes()[1..]);
        entries.extend_from_slice(certificate);
        entries.extend_from_slice(&[0, 0]);
    }
    let mut body = vec![0];
    body.extend_from_slice(&u32::try_from(entries.len()).unwrap().to_be_bytes()[1..]);
    body.extend_from_slice(&entries);
    message(11, &body)
}

/// The body of the next record.
async fn read_record(stream: &mut DuplexStream) -> Vec<u8> {
    let mut header = [0; 5];
    stream.read_exact(&mut header).await.unwrap();
    let mut body = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
    stream.read_exact(&mut body).await.unwrap();
    body
}

/// The point in a greeting's only key share: what follows secp256r1 and the length.
fn key_share(hello: &[u8]) -> &[u8] {
    let marker = [0, 23, 0, 65, 4];
    let at = hello.windows(marker.len()).position(|window| window == marker).unwrap();
    &hello[at + 4..at + 69]
}

fn derive(secret: &[u8], label: &str, hash: &[u8]) -> Vec<u8> {
    expand(secret, label, hash, 32)
}

/// HKDF-Expand-Label (RFC 8446 section 7.1).
fn expand(secret: &[u8], label: &str, context: &[u8], len: u8) -> Vec<u8> {
    let mut info = vec![0, len, 6 + label.len() as u8];
    info.extend_from_slice(b"tls13 ");
    info.extend_from_slice(label.as_bytes());
    info.push(context.len() as u8);
    info.extend_from_slice(context);
    let mut out = vec![0; len.into()];
    Hkdf::<Sha256>::from_prk(secret).unwrap().expand(&info, &mut out).unwrap();
    out
}
