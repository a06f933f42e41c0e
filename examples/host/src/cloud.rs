//! AWS IoT as far as the device sees it: the stand-in of `ota-sim`, one job queued.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use ota_sim::aws::{Execution, OtaFile, OtaSpec, ServiceConfig};
use ota_sim::https::{FileServer, FileServerConfig};
use ota_sim::net::{Broker, Certificates, Server, ServerConfig, Tls};
use serde_json::{Value, json};

use crate::board::beside;
use crate::network::Identity;
use crate::options::{Options, Outcome, Protocol};
use crate::update::Update;

/// The thing the device is.
pub(crate) const THING: &str = "laptop";

/// Where the files lie on the file server.
const PATHS: [&str; 2] = ["/fw/app.bin", "/fw/secure.bin"];

/// The cloud with its broker, its file server and the job.
pub(crate) struct Cloud {
    server: Server,
    files: Option<Arc<FileServer>>,
    /// What the device knows of a cloud that speaks TLS, and has to show it.
    pub(crate) identity: Option<Identity>,
    /// Where the device finds the broker.
    pub(crate) broker: SocketAddr,
    job_id: String,
    /// Beside a flash that outlives the process: how the job ended, as a cloud would remember.
    memory: Option<PathBuf>,
}

/// How the job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobEnd {
    /// AWS' spelling.
    pub(crate) status: String,
    /// `statusDetails.reason`.
    pub(crate) reason: String,
}

impl JobEnd {
    /// What that means for the device.
    pub(crate) fn outcome(&self) -> Outcome {
        match (self.status.as_str(), self.cause()) {
            ("SUCCEEDED", _) => Outcome::Updated,
            ("REJECTED", _) => Outcome::Rejected,
            ("CANCELED" | "REMOVED" | "TIMED_OUT", _) => Outcome::Canceled,
            (_, "reverted") => Outcome::Reverted,
            (_, _) => Outcome::Failed,
        }
    }

    /// The reason's fixed spelling; behind a colon may follow a number.
    pub(crate) fn cause(&self) -> &str {
        self.reason.split(':').next().unwrap_or_default()
    }
}

impl Cloud {
    /// Starts the service, its broker and the file server, and queues the job.
    pub(crate) async fn start(options: &Options, update: &Update) -> anyhow::Result<Self> {
        let external = options.broker_address()?;
        let folder = tempfile::tempdir()?;
        let made = || Certificates::create(folder.path(), THING, &[]);
        let certificates = options.has_tls().then(made).transpose()?;
        let identity = certificates.as_ref().map(Identity::load).transpose()?;

        let mut service = ServiceConfig { seed: options.seed, ..ServiceConfig::default() };
        service.streams_die_at_percent = options.mqtt_fault.die_at_percent;
        let file = |(number, file): (usize, &Vec<u8>)| OtaFile {
            id: number as u8,
            ..OtaFile::firmware(file.clone(), &update.job_key.sign_job_base64(file))
        };
        let mut spec =
            OtaSpec { protocols: Vec::new(), files: update.files.iter().enumerate().map(file).collect() };
        let mut files = None;
        if options.protocol != Protocol::Mqtt {
            let others = || Certificates::create(&folder.path().join("others"), THING, &[]);
            let shown = match options.http_fault.is_untrusted && certificates.is_some() {
                true => Some(others()?),
                false => certificates.clone(),
            };
            let server = Arc::new(file_server(options, shown).await?);
            service.presign = server.presign();
            for (file, path) in spec.files.iter_mut().zip(PATHS) {
                server.put(path, file.content.clone());
                file.url = Some(FileServer::placeholder(path));
            }
            files = Some(server);
        }
        spec.protocols = match options.protocol {
            Protocol::Mqtt => vec!["MQTT".into()],
            Protocol::Http => vec!["HTTP".into()],
            Protocol::Both => vec!["MQTT".into(), "HTTP".into()],
        };

        let tls = certificates.map(|certificates| Tls { port: 0, certificates });
        let server = Server::start(ServerConfig {
            broker: match &options.broker {
                Some(address) => Broker::External { address: address.clone() },
                None => Broker::Embedded { port: tls.is_none().then_some(0), tls },
            },
            service,
            block_faults: options.fault.clone(),
            fault_seed: options.seed,
            bytes_per_s: options.rate,
            ..ServerConfig::default()
        })
        .await?;
        let own = || Some(SocketAddr::from((Ipv4Addr::LOCALHOST, server.tls_port().or(server.port())?)));
        let broker = external.or_else(own).context("the broker has no port")?;
        server.queue_job(THING, &update.job_id, &spec);
        let memory = options.flash.as_deref().map(|flash| beside(flash, "job"));
        Ok(Self { server, files, identity, broker, job_id: update.job_id.clone(), memory })
    }

    /// How the job ended, if an earlier process saw it end.
    pub(crate) fn remembered(options: &Options, update: &Update) -> Option<JobEnd> {
        let text = fs::read_to_string(beside(options.flash.as_deref()?, "job")).ok()?;
        let value: Value = serde_json::from_str(&text).ok()?;
        let text = |key: &str| value.get(key)?.as_str().map(String::from);
        let end = JobEnd { status: text("status")?, reason: text("reason")? };
        let same = text("job_id")? == update.job_id;
        if same {
            eprintln!(
                "note: this job ended in an earlier run; remove the flash file and the one beside it to start over"
            );
        }
        same.then_some(end)
    }

    /// How the job ended, if it has.
    pub(crate) fn end(&self) -> Option<JobEnd> {
        let job = self.job().filter(|job| job.status.is_terminal())?;
        let reason = job.detail("reason").unwrap_or_default().into();
        Some(JobEnd { status: job.status.name().into(), reason })
    }

    /// Remembers how the job ended for the next process: to be called before the device forgets the job.
    pub(crate) fn remember(&self, end: &JobEnd) -> io::Result<()> {
        let Some(path) = &self.memory else { return Ok(()) };
        let text = json!({ "job_id": self.job_id, "status": end.status, "reason": end.reason });
        let half = beside(path, "new");
        fs::write(&half, text.to_string())?;
        fs::rename(&half, path)
    }

    /// The operator takes the job back.
    pub(crate) fn cancel(&self) {
        self.server.with_service(|service, now_ms| service.cancel(now_ms, &self.job_id, true));
    }

    /// Bytes of the file that left the file server, those of answers that were cut off included.
    pub(crate) fn http_bytes(&self) -> u64 {
        self.files.as_ref().map_or(0, |files| PATHS.iter().map(|path| files.sent(path)).sum())
    }

    fn job(&self) -> Option<Execution> {
        self.server.job_execution(&self.job_id, THING)
    }
}

async fn file_server(options: &Options, certificates: Option<Certificates>) -> anyhow::Result<FileServer> {
    let server = FileServer::start(FileServerConfig {
        plain: certificates.is_none().then_some(0),
        tls: certificates.map(|certificates| (0, certificates)),
        url_expires_s: options.url_expires,
        range_limit: options.range_limit,
        bytes_per_s: options.rate,
        die_at_percent: options.http_fault.die_at_percent,
        ..FileServerConfig::default()
    })
    .await?;
    options.http_fault.requests.iter().for_each(|fault| server.fault(fault.clone()));
    Ok(server)
}
