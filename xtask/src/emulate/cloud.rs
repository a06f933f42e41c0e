//! The cloud: a process of `ota serve`.

use std::{
    fs,
    net::Ipv4Addr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, Sender},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use ota_core::verify::parse_pem;
use p256::SecretKey;
use p256::pkcs8::DecodePrivateKey;
use qemu_board::Endpoint;

use super::{
    device::{Event, read_lines},
    options::Protocol,
};

/// The host's loopback, as the device sees it.
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// The name in the servers' certificates.
pub(crate) const SERVER_NAME: &str = "localhost";
/// The thing the device is.
pub(crate) const THING: &str = "emulated";
/// How long `ota serve` may take to listen.
const START: Duration = Duration::from_secs(60);

/// What is served, and how.
pub(crate) struct Service<'a> {
    pub(crate) ota: &'a Path,
    pub(crate) folder: &'a Path,
    /// The file to deliver.
    pub(crate) file: &'a [u8],
    /// PEM of the key that signs the job.
    pub(crate) job_key: &'a str,
    pub(crate) protocol: Protocol,
    /// More words for `ota serve`: faults.
    pub(crate) more: &'a [String],
}

/// A running `ota serve`. Dropping it kills the process.
pub(crate) struct Cloud {
    process: Child,
    pub(crate) broker: Endpoint,
    pub(crate) identity: Identity,
    pub(crate) job_id: String,
    /// What the job came to so far.
    pub(crate) status: String,
    pub(crate) reason: String,
}

/// What the factory writes into the device.
pub(crate) struct Identity {
    pub(crate) root: Vec<u8>,
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl Identity {
    /// Reads the certificates that `ota serve` has made.
    pub(crate) fn load(folder: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| fs::read_to_string(folder.join(name)).with_context(|| name.to_owned());
        let key = SecretKey::from_pkcs8_pem(&read("device-key.pem")?).context("device-key.pem")?;
        Ok(Self {
            root: der(&read("ca.pem")?)?,
            certificate: der(&read("device.pem")?)?,
            key: key.to_bytes().to_vec(),
        })
    }
}

fn der(pem: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = vec![0; 2048];
    let length = parse_pem(pem, &mut bytes).map_err(|error| anyhow::anyhow!("not PEM: {error:?}"))?;
    bytes.truncate(length);
    Ok(bytes)
}

impl Cloud {
    /// Starts the service and waits until it listens.
    pub(crate) fn start(
        service: &Service<'_>,
        (to, events): (Sender<Event>, &Receiver<Event>),
    ) -> anyhow::Result<Self> {
        let (image, key) = (service.folder.join("update.bin"), service.folder.join("job-key.pem"));
        let certificates = service.folder.join("certificates");
        fs::write(&image, service.file)?;
        fs::write(&key, service.job_key)?;
        let mut command = Command::new(service.ota);
        command.args(["serve", "--thing", THING, "--mqtt-port", "0", "--protocols", service.protocol.name()]);
        command.arg("--image").arg(&image).arg("--job-key").arg(&key).arg("--tls-dir").arg(&certificates);
        if service.protocol != Protocol::Mqtt {
            command.args(["--http-port", "0"]);
        }
        let mut process = command
            .args(service.more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .with_context(|| format!("cannot start {}", service.ota.display()))?;
        let output = process.stdout.take().context("no output")?;
        read_lines(output, to, Event::Cloud, Event::CloudEnd);
        let (mut port, mut job_id) = (None, None);
        while port.is_none() || job_id.is_none() {
            match events.recv_timeout(START) {
                Ok(Event::Cloud(line)) => {
                    let mut words = line.split_whitespace();
                    match (words.next(), words.next()) {
                        (Some("MQTT/TLS"), Some(address)) => {
                            port = address.rsplit(':').next().and_then(|port| port.parse().ok());
                        }
                        (Some("Job"), Some(id)) => job_id = Some(id.to_owned()),
                        _ => {}
                    }
                }
                Ok(Event::CloudEnd) | Err(_) => bail!("ota serve does not start"),
                // What is left of the device before.
                Ok(Event::Device(..) | Event::DeviceEnd(_)) => {}
            }
        }
        let (Some(port), Some(job_id)) = (port, job_id) else { bail!("ota serve names no port") };
        let broker = Endpoint { address: HOST, port };
        let identity = Identity::load(&certificates)?;
        Ok(Self { process, broker, identity, job_id, status: String::new(), reason: String::new() })
    }

    /// Takes note of a line; `true` if it is a change of the job worth showing.
    pub(crate) fn hear(&mut self, line: &str) -> bool {
        let Some((_, rest)) = line.strip_prefix('+').and_then(|line| line.split_once(" s  ")) else {
            return false;
        };
        let mut words = rest.split("  ").map(str::trim).filter(|word| !word.is_empty());
        if let Some(status) = words.next() {
            self.status = status.to_owned();
        }
        if let Some(reason) = words.find_map(|word| word.strip_prefix("reason=")) {
            self.reason = reason.to_owned();
        }
        true
    }

    /// Checks that the process ended by itself because the job was over.
    pub(crate) fn finish(&mut self) -> anyhow::Result<()> {
        let status = self.process.wait()?;
        let over = matches!(status.code(), Some(0 | 10..=14));
        ensure!(over, "ota serve ended with {status}");
        Ok(())
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_the_job_are_read() {
        let process = Command::new("true").spawn().expect("a shell's own command");
        let mut cloud = Cloud {
            process,
            broker: Endpoint { address: HOST, port: 1 },
            identity: Identity { root: vec![], certificate: vec![], key: vec![] },
            job_id: String::new(),
            status: String::new(),
            reason: String::new(),
        };
        assert!(!cloud.hear("Waiting for the device; Ctrl-C ends."));
        assert!(cloud.hear("+0.213 s  IN_PROGRESS  version 2  receive=64/81  reason=receiving"));
        assert_eq!((&*cloud.status, &*cloud.reason), ("IN_PROGRESS", "receiving"));
        assert!(cloud.hear("+1.500 s  SUCCEEDED    version 5  reason=accepted v2.0.0  updatedBy=1.0.0"));
        assert_eq!((&*cloud.status, &*cloud.reason), ("SUCCEEDED", "accepted v2.0.0"));
    }
}
