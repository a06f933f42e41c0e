//! Joining a network, with every way it can fail by its name.

use cyw43::{Control, JoinAuth, JoinOptions};
use embassy_time::{Duration, with_timeout};

/// Why the network was not joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinError {
    /// A name of 1 to 32 bytes and a passphrase of 8 to 63 bytes (or none) are needed; nothing was tried.
    Credentials,
    /// No access point of this name answered.
    NotFound,
    /// The access point did not accept the passphrase.
    Passphrase,
    /// The firmware's own reason.
    Failed(u8),
    /// No answer in time.
    Timeout,
}

/// Joins a WPA2 network, or an open one if `passphrase` is empty. One attempt of at most `timeout_ms`.
///
/// The runner has to be polled meanwhile. Dropping the future leaves an attempt that may still succeed; the next one replaces
/// it.
///
/// # Errors
/// All but [`JoinError::Credentials`] may be tried again, with pauses: an access point comes back, a passphrase is refused
/// on a bad link as well.
pub async fn join(
    control: &mut Control<'_>,
    name: &str,
    passphrase: &str,
    timeout_ms: u32,
) -> Result<(), JoinError> {
    let options = match passphrase.len() {
        0 => JoinOptions::new_open(),
        8..=63 => {
            let mut options = JoinOptions::new(passphrase.as_bytes());
            // What every firmware of the chip can do. For WPA3 the driver would ask for things not all of them know.
            options.auth = JoinAuth::Wpa2;
            options
        }
        _ => return Err(JoinError::Credentials),
    };
    if !(1..=32).contains(&name.len()) {
        return Err(JoinError::Credentials);
    }
    match with_timeout(Duration::from_millis(timeout_ms.into()), control.join(name, options)).await {
        Err(_) => Err(JoinError::Timeout),
        Ok(Ok(())) => Ok(()),
        Ok(Err(cyw43::JoinError::NetworkNotFound)) => Err(JoinError::NotFound),
        Ok(Err(cyw43::JoinError::AuthenticationFailure)) => Err(JoinError::Passphrase),
        Ok(Err(cyw43::JoinError::JoinFailure(reason))) => Err(JoinError::Failed(reason)),
    }
}
