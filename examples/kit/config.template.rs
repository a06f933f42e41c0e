// What is particular to one device. Copy this file to `config.rs` beside it, which git ignores, and fill it in.
// It is plain Rust: what does not fit does not compile. Without `config.rs` the firmware is built from this file; it then
// says what is missing and goes on blinking.

/// The Wi-Fi network: WPA2, or open with an empty passphrase.
pub const WIFI_NAME: &str = "";
/// 8 to 63 bytes, or none.
pub const WIFI_PASSPHRASE: &str = "";

/// The thing's name, which is the client id too.
pub const THING: &str = "my-thing";

/// The broker: the account's endpoint (`aws iot describe-endpoint --endpoint-type iot:Data-ATS`), or the desk where
/// `ota serve --tls-dir` runs.
pub const BROKER: &str = "abc-ats.iot.eu-central-1.amazonaws.com";
/// 8883 for MQTT over TLS.
pub const BROKER_PORT: u16 = 8883;
/// The certificate (DER) of the desk's authority, if it is the desk. Amazon's roots are always there.
pub const DESK_ROOT: Option<&[u8]> = None; // Some(include_bytes!("secrets/ca.der"))

/// The device's certificate, DER: `openssl x509 -in thing.pem.crt -outform DER -out secrets/thing.der`.
pub const CERTIFICATE: &[u8] = &[]; // include_bytes!("secrets/thing.der")
/// Its P-256 key, SEC1 DER: `openssl ec -in thing.pem.key -outform DER -out secrets/thing.key.der`.
pub const KEY: &[u8] = &[]; // include_bytes!("secrets/thing.key.der")

/// The public key whose signature on jobs is believed, SPKI DER:
/// `openssl ec -in job-key.pem -pubout -outform DER -out secrets/job-key.der`.
pub const JOB_KEY: &[u8] = &[]; // include_bytes!("secrets/job-key.der")

/// Who is asked for the time.
pub const TIME_SERVER: &str = "pool.ntp.org";

/// PSoC 64 only: 32 random bytes that no other device has, and a secret: `openssl rand 32 > secrets/seed`. With zeros there is no
/// TLS; what is no secret does not build.
pub const SEED: [u8; 32] = [0; 32]; // *include_bytes!("secrets/seed")
