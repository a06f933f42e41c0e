//! `ota serve`: the AWS IoT stand-in for one update of one device, on the loopback address.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use ota_sim::aws::{Change, Execution, FILE_SIZE_MAX, OtaSpec, ServiceConfig, Status};
use ota_sim::net::{Broker, Server, ServerConfig, Tls};

use crate::job_key::JobKey;

/// How long the broker stays after the job is over, so that the device gets the answer to its last update.
const LAST_ANSWER: Duration = Duration::from_millis(500);
/// Exit code after Ctrl-C, as shells count it.
const INTERRUPTED: u8 = 130;

/// Play AWS IoT for a device: queue an update, answer Jobs and streams, show the job execution live.
///
/// Exit code: 0 the job SUCCEEDED, 10 FAILED, 11 REJECTED, 12 TIMED_OUT, 13 CANCELED, 14 REMOVED; 1 the tool
/// itself failed, 2 wrong arguments, 130 interrupted.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Thing name of the device
    #[arg(long, value_parser = thing_name)]
    thing: String,
    /// The image to deliver, as MCUboot boots it
    #[arg(long, value_name = "FILE")]
    image: PathBuf,
    /// Private key (PEM, P-256) that signs the job; without it one is made and its public half printed
    #[arg(long, value_name = "PEM")]
    job_key: Option<PathBuf>,
    /// Data planes the job offers, in this order
    #[arg(long, value_delimiter = ',', default_value = "mqtt")]
    protocols: Vec<Protocol>,
    /// Port of the broker on 127.0.0.1; 0 takes a free one [default: 1883, with --tls-dir 8883]
    #[arg(long, value_name = "N", conflicts_with = "broker")]
    mqtt_port: Option<u16>,
    /// Speak mutual TLS only, with certificates made for this run and written here
    #[arg(long, value_name = "DIR", conflicts_with = "broker")]
    tls_dir: Option<PathBuf>,
    /// Use this broker in place of the built-in one; the device must then subscribe to its Jobs answers
    #[arg(long, value_name = "HOST:PORT")]
    broker: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Protocol {
    Mqtt,
    Http,
}

impl Serve {
    /// Serves until the job execution is over or Ctrl-C.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> Result<ExitCode> {
        if self.protocols.contains(&Protocol::Http) {
            bail!("this version serves MQTT streams only: leave out `http` from --protocols");
        }
        let image =
            std::fs::read(&self.image).with_context(|| format!("cannot read {}", self.image.display()))?;
        ensure!(!image.is_empty(), "{} is empty", self.image.display());
        ensure!(image.len() <= FILE_SIZE_MAX, "a stream holds at most {FILE_SIZE_MAX} bytes");
        let key = self.job_key.as_deref().map(JobKey::load).transpose()?;
        let made = key.is_none();
        let key = key.unwrap_or_else(JobKey::generate);

        // Streams of two runs have different names, as in the cloud.
        let service = ServiceConfig { seed: seconds_since_1970(), ..ServiceConfig::default() };
        let config = ServerConfig { broker: self.broker(), service, ..ServerConfig::default() };
        let server = Server::start(config).await?;
        let size = image.len();
        let mut spec = OtaSpec::mqtt(image.clone(), &key.sign(&image));
        for file in &mut spec.files {
            file.path = self.image.file_name().map(|name| name.to_string_lossy().into_owned());
        }
        let job_id = format!("AFR_OTA-{}", seconds_since_1970());
        let stream = server.queue_job(&self.thing, &job_id, &spec);

        self.print_endpoints(&server);
        println!("Thing       {}", self.thing);
        println!("Image       {}, {size} bytes", self.image.display());
        println!("Job         {job_id}");
        println!("Stream      {stream}");
        if made {
            println!("Code-signing key made for this run; the device verifies with its public half:");
            print!("{}", key.public_pem()?);
        }
        println!("Waiting for the device; Ctrl-C ends.");

        let code = tokio::select! {
            execution = show(&server, &job_id, &self.thing) => {
                tokio::time::sleep(LAST_ANSWER).await;
                exit_code(execution.status)
            }
            _ = tokio::signal::ctrl_c() => {
                println!("Interrupted; the job was not over.");
                INTERRUPTED
            }
        };
        server.shutdown().await;
        Ok(ExitCode::from(code))
    }

    fn broker(&self) -> Broker {
        match (&self.broker, &self.tls_dir) {
            (Some(address), _) => Broker::External { address: address.clone() },
            (None, None) => Broker::Embedded { port: Some(self.mqtt_port.unwrap_or(1883)), tls: None },
            (None, Some(dir)) => {
                let port = self.mqtt_port.unwrap_or(8883);
                let tls = Tls { port, dir: dir.clone(), thing: self.thing.clone() };
                Broker::Embedded { port: None, tls: Some(tls) }
            }
        }
    }

    fn print_endpoints(&self, server: &Server) {
        if let Some(address) = &self.broker {
            println!("MQTT        {address} (external: the device must subscribe to its Jobs answers)");
        }
        if let Some(port) = server.port() {
            println!("MQTT        127.0.0.1:{port} (3.1.1 and 5, any user name)");
        }
        if let Some(port) = server.tls_port() {
            println!("MQTT/TLS    127.0.0.1:{port} (3.1.1 and 5, client certificate required)");
        }
        if let Some(files) = server.certificates() {
            println!("CA          {}", files.ca.display());
            println!("Device      {}", files.device.display());
            println!("Device key  {}", files.device_key.display());
        }
    }
}

/// Prints every change of the execution until it is over.
async fn show(server: &Server, job_id: &str, thing: &str) -> Execution {
    let mut changes = server.watch();
    let mut shown = 0;
    loop {
        changes.mark_unchanged();
        if let Some(execution) = server.job_execution(job_id, thing) {
            for change in execution.history.iter().skip(shown) {
                println!("{}", line(execution.queued_at_ms, change));
            }
            shown = execution.history.len();
            if execution.status.is_terminal() {
                return execution;
            }
        }
        if changes.changed().await.is_err() {
            core::future::pending::<()>().await;
        }
    }
}

/// `+12.345 s  IN_PROGRESS  version 2  receive=64/1792`
fn line(since_ms: u64, change: &Change) -> String {
    let at_ms = change.at_ms.saturating_sub(since_ms);
    let mut text = format!(
        "+{}.{:03} s  {:<11}  version {}",
        at_ms / 1000,
        at_ms % 1000,
        change.status.name(),
        change.version
    );
    for (key, value) in &change.details {
        text += &format!("  {key}={value}");
    }
    text
}

const fn exit_code(status: Status) -> u8 {
    match status {
        Status::Succeeded => 0,
        Status::Failed => 10,
        Status::Rejected => 11,
        Status::TimedOut => 12,
        Status::Canceled => 13,
        Status::Removed => 14,
        // `show` ends with a terminal status.
        Status::Queued | Status::InProgress => 1,
    }
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// AWS: 1 to 128 of `[a-zA-Z0-9:_-]`.
fn thing_name(name: &str) -> Result<String, String> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b':' | b'_' | b'-');
    if (1..=128).contains(&name.len()) && name.bytes().all(legal) {
        Ok(name.into())
    } else {
        Err("a thing name is 1 to 128 of a-z A-Z 0-9 : _ -".into())
    }
}
