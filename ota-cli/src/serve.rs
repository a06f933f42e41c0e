//! `ota serve`: the AWS IoT stand-in for one update of one device, on the loopback address.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use ota_sim::aws::{Change, Execution, FILE_SIZE_MAX, FaultRates, OtaSpec, ServiceConfig, Status};
use ota_sim::https::{FileServer, FileServerConfig, HttpFaults, StreamFaults};
use ota_sim::net::{Broker, Certificates, Server, ServerConfig, Tls};

use crate::job_key::JobKey;

/// How long the broker stays after the job is over, so that the device gets the answer to its last update.
const LAST_ANSWER: Duration = Duration::from_millis(500);
/// Where the image lies on the file server.
const PATH: &str = "/image.bin";
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
    /// Data planes the job offers, in this order: mqtt, http or both
    #[arg(long, value_delimiter = ',', default_value = "mqtt")]
    protocols: Vec<Protocol>,
    /// Port of the broker on 127.0.0.1; 0 takes a free one [default: 1883, with --tls-dir 8883]
    #[arg(long, value_name = "N", conflicts_with = "broker")]
    mqtt_port: Option<u16>,
    /// Speak TLS only, with certificates made for this run and written here: mutual with the broker, https for files
    #[arg(long, value_name = "DIR", conflicts_with = "broker")]
    tls_dir: Option<PathBuf>,
    /// One more host name or IP address devices know this computer by, for the server's certificate; may be repeated
    #[arg(long, value_name = "NAME", requires = "tls_dir")]
    tls_name: Vec<String>,
    /// Port of the file server on 127.0.0.1; 0 takes a free one [default: 8080, with --tls-dir 8443]
    #[arg(long, value_name = "N")]
    http_port: Option<u16>,
    /// Host name in presigned URLs; the server's certificate is valid for it too
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    http_host: String,
    /// How long a presigned URL is good for
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    url_expires: u64,
    /// The file server closes the connection after so many bytes of one answer
    #[arg(long, value_name = "BYTES")]
    range_limit: Option<u64>,
    /// Blocks and files leave no faster than this
    #[arg(long, value_name = "BYTES_PER_S")]
    rate: Option<u32>,
    /// Faults on block messages of MQTT in percent, e.g. loss=20,dup=10,reorder=20,flip=1 (also: truncate)
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true)]
    fault: FaultRates,
    /// The same faults again for the same seed and the same requests
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// die-at=PERCENT: once so much of the image was sent as blocks, no more of it comes over MQTT
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true)]
    mqtt_fault: StreamFaults,
    /// die-at=PERCENT: the file server is gone once so much was served; untrusted: its certificate is; and for each of the first requests one of status=N,
    /// busy=SECONDS, redirect=URL, close=BYTES, stall=BYTES, size=BYTES, ignore-range, chunked, encoded, connection-close,
    /// etag, expired
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true)]
    http_fault: HttpFaults,
    /// Use this broker in place of the built-in one; the device must then subscribe to its Jobs answers
    #[arg(long, value_name = "HOST:PORT")]
    broker: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Protocol {
    Mqtt,
    Http,
}

impl Protocol {
    /// AWS' spelling.
    const fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "MQTT",
            Self::Http => "HTTP",
        }
    }
}

impl Serve {
    /// Serves until the job execution is over or Ctrl-C.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.serve())
    }

    /// Refuses faults of a plane the job does not offer: a device would look as if it had survived them.
    fn check(&self) -> Result<()> {
        let offers = |protocol| self.protocols.contains(&protocol);
        let http = self.http_fault != HttpFaults::default() || self.range_limit.is_some();
        ensure!(
            !http || offers(Protocol::Http),
            "--http-fault, --range-limit: nothing is served over HTTP; add http to --protocols"
        );
        ensure!(
            !self.http_fault.is_untrusted || self.tls_dir.is_some(),
            "--http-fault untrusted: without TLS there is no certificate; add --tls-dir"
        );
        let mqtt = self.mqtt_fault != StreamFaults::default() || self.fault != FaultRates::default();
        ensure!(
            !mqtt || offers(Protocol::Mqtt),
            "--mqtt-fault, --fault: no block is sent over MQTT; add mqtt to --protocols"
        );
        Ok(())
    }

    async fn serve(self) -> Result<ExitCode> {
        self.check()?;
        let image =
            std::fs::read(&self.image).with_context(|| format!("cannot read {}", self.image.display()))?;
        ensure!(!image.is_empty(), "{} is empty", self.image.display());
        ensure!(image.len() <= FILE_SIZE_MAX, "a stream holds at most {FILE_SIZE_MAX} bytes");
        let key = self.job_key.as_deref().map(JobKey::load).transpose()?;
        let made = key.is_none();
        let key = key.unwrap_or_else(JobKey::generate);

        // One certificate for the broker and the file server.
        let names = || [&self.tls_name[..], std::slice::from_ref(&self.http_host)].concat();
        let made_here = |dir: &Path| {
            Certificates::create(dir, &self.thing, &names()).with_context(|| {
                format!("cannot make certificates in {} (--tls-dir, --tls-name)", dir.display())
            })
        };
        let certificates = self.tls_dir.as_deref().map(made_here).transpose()?;
        let shown = match (&self.tls_dir, self.http_fault.is_untrusted) {
            (Some(dir), true) => Some(made_here(&dir.join("untrusted"))?),
            (Some(_), false) | (None, _) => certificates.clone(),
        };
        let files = match self.protocols.contains(&Protocol::Http) {
            true => Some(Arc::new(self.file_server(shown).await?)),
            false => None,
        };
        // Streams of two runs have different names, as in the cloud.
        let mut service = ServiceConfig { seed: seconds_since_1970(), ..ServiceConfig::default() };
        service.streams_die_at_percent = self.mqtt_fault.die_at_percent;
        if let Some(files) = &files {
            service.presign = files.presign();
        }
        let broker = self.broker(certificates);
        let server = Server::start(ServerConfig {
            broker,
            service,
            bytes_per_s: self.rate,
            block_faults: self.fault.clone(),
            fault_seed: self.seed,
            ..ServerConfig::default()
        })
        .await?;
        let size = image.len();
        let mut spec = OtaSpec::mqtt(image.clone(), &key.sign(&image));
        spec.protocols = self.protocols.iter().map(|protocol| protocol.name().into()).collect();
        for file in &mut spec.files {
            file.path = self.image.file_name().map(|name| name.to_string_lossy().into_owned());
            if let Some(files) = &files {
                files.put(PATH, image.clone());
                file.url = Some(FileServer::placeholder(PATH));
            }
        }
        let job_id = format!("AFR_OTA-{}", seconds_since_1970());
        let stream = server.queue_job(&self.thing, &job_id, &spec);

        self.print_endpoints(&server, files.as_deref());
        println!("Thing       {}", self.thing);
        println!("Image       {}, {size} bytes", self.image.display());
        println!("Job         {job_id}");
        if self.protocols.contains(&Protocol::Mqtt) {
            println!("Stream      {stream}");
        }
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

    fn broker(&self, certificates: Option<Certificates>) -> Broker {
        match (&self.broker, certificates) {
            (Some(address), _) => Broker::External { address: address.clone() },
            (None, None) => Broker::Embedded { port: Some(self.mqtt_port.unwrap_or(1883)), tls: None },
            (None, Some(certificates)) => {
                let tls = Tls { port: self.mqtt_port.unwrap_or(8883), certificates };
                Broker::Embedded { port: None, tls: Some(tls) }
            }
        }
    }

    async fn file_server(&self, certificates: Option<Certificates>) -> Result<FileServer> {
        let port = |default| self.http_port.unwrap_or(default);
        let config = FileServerConfig {
            plain: certificates.is_none().then_some(port(8080)),
            tls: certificates.map(|files| (port(8443), files)),
            host: self.http_host.clone(),
            url_expires_s: self.url_expires,
            range_limit: self.range_limit,
            bytes_per_s: self.rate,
            die_at_percent: self.http_fault.die_at_percent,
            ..FileServerConfig::default()
        };
        let server = FileServer::start(config).await?;
        self.http_fault.requests.iter().for_each(|fault| server.fault(fault.clone()));
        Ok(server)
    }

    fn print_endpoints(&self, server: &Server, files: Option<&FileServer>) {
        if let Some(address) = &self.broker {
            println!("MQTT        {address} (external: the device must subscribe to its Jobs answers)");
        }
        if let Some(port) = server.port() {
            println!("MQTT        127.0.0.1:{port} (3.1.1 and 5, any user name)");
        }
        if let Some(port) = server.tls_port() {
            println!("MQTT/TLS    127.0.0.1:{port} (3.1.1 and 5, client certificate required)");
        }
        let host = &self.http_host;
        if let Some(port) = files.and_then(FileServer::port) {
            println!(
                "HTTP        127.0.0.1:{port} (URLs of the job name {host}:{port}; plain, the device must be told to take it)"
            );
        }
        if let Some(port) = files.and_then(FileServer::tls_port) {
            println!("HTTPS       127.0.0.1:{port} (URLs of the job name {host}:{port}; TLS 1.3)");
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
