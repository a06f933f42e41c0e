//! The stand-in as a value: start it, queue jobs, watch executions, shut it down.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::certificates::Certificates;
use super::cloud::Cloud;
use super::embedded::Embedded;
use super::external::External;
use crate::aws::{Execution, FaultRates, FlipTarget, OtaSpec, Service, ServiceConfig};

/// How often timers of the service are looked at, and what the operator did is pushed.
const TICK: Duration = Duration::from_millis(20);

/// Mutual TLS of the embedded broker.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Port on the loopback address; 0 takes any free one.
    pub port: u16,
    /// Whose server certificate is shown, and whose CA devices' certificates must come from.
    pub certificates: Certificates,
}

/// Which broker carries the messages.
#[derive(Clone, Debug)]
pub enum Broker {
    /// One in this process, on 127.0.0.1. At least one of the two must be given.
    Embedded {
        /// Plain TCP; 0 takes any free port.
        port: Option<u16>,
        /// TLS with client certificates.
        tls: Option<Tls>,
    },
    /// Somebody else's, reached as an ordinary client over plain TCP: `host:port`.
    External {
        /// Where it listens.
        address: String,
    },
}

/// What to run.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The broker: embedded, plain, any port by default.
    pub broker: Broker,
    /// Behaviour of the service. `epoch_s` is set to the time of the start, any thing is served, and `answer_delay_ms` is not
    /// applied.
    pub service: ServiceConfig,
    /// Faults on block messages. Delays are not applied; a reordered block is overtaken by up to eight others of
    /// its request.
    pub block_faults: FaultRates,
    /// Where blocks flip; anywhere by default, so that flips end in a failed signature check.
    pub flip_target: FlipTarget,
    /// All faults follow from this and from the order of requests.
    pub fault_seed: u64,
    /// Block messages a client may get within a second; what is above is discarded. AWS: 100. `None`: no bound.
    pub messages_per_s: Option<u32>,
    /// Bytes of block messages a client gets within a second; what is above waits. AWS: 512 KiB. `None`: no bound.
    pub bytes_per_s: Option<u32>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            broker: Broker::Embedded { port: Some(0), tls: None },
            service: ServiceConfig::default(),
            block_faults: FaultRates::default(),
            flip_target: FlipTarget::default(),
            fault_seed: 0,
            messages_per_s: None,
            bytes_per_s: None,
        }
    }
}

/// Why the server does not start.
#[derive(Debug)]
pub enum NetError {
    /// The broker: port taken, unreachable, refused.
    Broker(String),
}

impl NetError {
    pub(crate) fn broker(error: impl core::fmt::Display) -> Self {
        Self::Broker(error.to_string())
    }
}

impl core::fmt::Display for NetError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Broker(text) => write!(f, "the broker cannot be used: {text}"),
        }
    }
}

impl core::error::Error for NetError {}

enum Front {
    Embedded(Embedded),
    External(External),
}

/// A running stand-in. It needs a tokio runtime with I/O and time, single-threaded or not, that keeps running.
///
/// Dropping it leaves its tasks running until the runtime ends; prefer [`Server::shutdown`].
pub struct Server {
    cloud: Cloud,
    front: Arc<Front>,
    certificates: Option<Certificates>,
    ticker: JoinHandle<()>,
}

impl core::fmt::Debug for Server {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Server")
            .field("port", &self.port())
            .field("tls_port", &self.tls_port())
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Starts the service and its broker; ready for devices when this returns.
    ///
    /// Errors: a taken port, an unreachable broker, a folder that cannot be written. Dropping the future half-way
    /// can leave a broker listening until the runtime ends.
    pub async fn start(config: ServerConfig) -> Result<Self, NetError> {
        let mut service_config = config.service.clone();
        service_config.any_thing = true;
        if let Ok(since) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            service_config.epoch_s = since.as_secs();
        }
        let cloud = Cloud::new(Service::new(service_config));
        let (front, certificates) = match &config.broker {
            Broker::Embedded { port: None, tls: None } => {
                return Err(NetError::Broker("neither a plain nor a TLS port is asked for".into()));
            }
            Broker::Embedded { port, tls } => {
                let secure = tls.as_ref().map(|tls| (tls.port, &tls.certificates));
                let broker = Embedded::start(&cloud, &config, *port, secure).await?;
                (Front::Embedded(broker), tls.as_ref().map(|tls| tls.certificates.clone()))
            }
            Broker::External { address } => {
                (Front::External(External::start(&cloud, &config, address).await?), None)
            }
        };
        let front = Arc::new(front);
        let ticker = tokio::spawn(tick(cloud.clone(), Arc::clone(&front)));
        Ok(Self { cloud, front, certificates, ticker })
    }

    /// The plain port of the embedded broker.
    pub fn port(&self) -> Option<u16> {
        match &*self.front {
            Front::Embedded(broker) => broker.port,
            Front::External(_) => None,
        }
    }

    /// The TLS port of the embedded broker.
    pub fn tls_port(&self) -> Option<u16> {
        match &*self.front {
            Front::Embedded(broker) => broker.tls_port,
            Front::External(_) => None,
        }
    }

    /// The certificates in use, with TLS.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// Queues an OTA job; the device is told through `notify-next`. Returns the stream's id.
    pub fn queue_job(&self, thing: &str, job_id: &str, spec: &OtaSpec) -> String {
        self.with_service(|service, now_ms| service.create_ota_job(now_ms, thing, job_id, spec))
    }

    /// Works on the service with the time of now: cancel, retry, custom jobs, broken streams …
    pub fn with_service<T>(&self, work: impl FnOnce(&mut Service, u64) -> T) -> T {
        self.cloud.with(work)
    }

    /// The latest execution of a job by a thing.
    pub fn job_execution(&self, job_id: &str, thing: &str) -> Option<Execution> {
        self.cloud.look(|service| service.job_execution(job_id, thing).cloned())
    }

    /// Changes whenever an execution may have changed.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.cloud.watch()
    }

    /// Waits until the latest execution of a job is over. For ever, if the device never ends it.
    ///
    /// Dropping the future is harmless.
    pub async fn finished(&self, job_id: &str, thing: &str) -> Execution {
        let mut changes = self.watch();
        loop {
            changes.mark_unchanged();
            if let Some(execution) = self.job_execution(job_id, thing).filter(|e| e.status.is_terminal()) {
                return execution;
            }
            if changes.changed().await.is_err() {
                // The sender lives as long as `self`; wait rather than spin should that ever change.
                core::future::pending::<()>().await;
            }
        }
    }

    /// Closes one client's connection to the embedded broker, as if the network broke.
    pub async fn kick(&self, client_id: &str) {
        match &*self.front {
            Front::Embedded(broker) => broker.kick(client_id).await,
            Front::External(_) => {}
        }
    }

    /// Stops the broker, or leaves the external one, and waits for its tasks.
    pub async fn shutdown(self) {
        self.ticker.abort();
        let _ = self.ticker.await;
        match Arc::try_unwrap(self.front) {
            Ok(Front::Embedded(broker)) => broker.shutdown().await,
            Ok(Front::External(client)) => client.shutdown().await,
            // The ticker held the only other reference, and is gone.
            Err(_) => {}
        }
    }
}

async fn tick(cloud: Cloud, front: Arc<Front>) {
    let mut interval = tokio::time::interval(TICK);
    loop {
        interval.tick().await;
        let messages = cloud.tick();
        match &*front {
            Front::Embedded(broker) => broker.push(messages).await,
            Front::External(client) => client.push(messages),
        }
    }
}
