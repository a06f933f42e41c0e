//! The broker in this process: its configuration, and the service hooked into it.
//!
//! Requests to Jobs and streams are taken out of the broker before it routes them, and answered here. Answers of
//! Jobs go into the queue of the client that asked, subscribed or not; blocks and pushes are routed to subscribers.

use std::collections::HashMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use mqtt5::QoS;
use mqtt5::broker::config::RateLimitConfig;
use mqtt5::broker::config::{BrokerConfig, StorageBackend, StorageConfig, TlsConfig};
use mqtt5::broker::events::{BrokerEventHandler, ClientDisconnectEvent, ClientPublishEvent, PublishAction};
use mqtt5::broker::router::MessageRouter;
use mqtt5::broker::server::BrokerShutdownHandle;
use mqtt5::broker::storage::QueuedMessage;
use mqtt5::broker::{MqttBroker, config::AuthConfig};
use mqtt5::packet::publish::PublishPacket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::certificates::Certificates;
use super::cloud::{BlockFaults, Cloud};
use super::pace::{Pace, wait};
use super::server::{NetError, ServerConfig};
use crate::aws::{Kind, Outgoing, To, thing_of};

/// AWS' bound on a PUBLISH payload, and some room for the topic.
const PACKET_SIZE_MAX: usize = 128 * 1024 + 1024;
/// QoS 1 messages waiting for a client above which its blocks wait too.
const BACKLOG_MAX: usize = 256;

/// A running broker.
pub(crate) struct Embedded {
    pub(crate) port: Option<u16>,
    pub(crate) tls_port: Option<u16>,
    router: Arc<MessageRouter>,
    stop: BrokerShutdownHandle,
    task: JoinHandle<()>,
    hook: Arc<Hook>,
}

impl Embedded {
    pub(crate) async fn start(
        cloud: &Cloud,
        config: &ServerConfig,
        port: Option<u16>,
        tls: Option<(u16, &Certificates)>,
    ) -> Result<Self, NetError> {
        let hook = Arc::new(Hook {
            cloud: cloud.clone(),
            faults: Mutex::new(BlockFaults::new(
                config.fault_seed,
                config.block_faults.clone(),
                config.flip_target,
            )),
            messages_per_s: config.messages_per_s,
            bytes_per_s: config.bytes_per_s,
            router: OnceLock::new(),
            clients: Mutex::new(HashMap::new()),
        });
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let storage = StorageConfig::new().with_backend(StorageBackend::Memory);
        // Tests connect as often as they like; a lock-out after failed logins would only confuse.
        let mut auth = AuthConfig::new().with_allow_anonymous(true);
        auth.rate_limit = RateLimitConfig { enabled: false, ..RateLimitConfig::default() };
        let mut broker_config = BrokerConfig::new()
            .with_bind_addresses(port.map(loopback).into_iter().collect())
            .with_storage(storage)
            .with_auth(auth)
            .with_maximum_qos(1)
            .with_max_packet_size(PACKET_SIZE_MAX)
            .with_sys_topics_enabled(false)
            .with_event_handler(Arc::clone(&hook) as Arc<dyn BrokerEventHandler>);
        if let Some((port, files)) = tls {
            broker_config = broker_config.with_tls(
                TlsConfig::new(files.server.clone(), files.server_key.clone())
                    .with_ca_file(files.ca.clone())
                    .with_require_client_cert(true)
                    .with_bind_address(loopback(port)),
            );
        }
        let mut broker = MqttBroker::with_config(broker_config).await.map_err(NetError::broker)?;
        let router = broker.router();
        // Held weakly: the router owns the hook.
        let _ = hook.router.set(Arc::downgrade(&router));
        let local_port = |address: Option<SocketAddr>| address.map(|address| address.port());
        let (port, tls_port) = (local_port(broker.local_addr()), local_port(broker.tls_local_addr()));
        let (stop, mut ready) = (broker.shutdown_handle(), broker.ready_receiver());
        let task = tokio::spawn(async move {
            // Ends at shutdown; what else could fail was checked when it was made.
            let _ = broker.run().await;
        });
        if ready.wait_for(|ready| *ready).await.is_err() {
            return Err(NetError::Broker("the broker stopped before it was ready".into()));
        }
        Ok(Self { port, tls_port, router, stop, task, hook })
    }

    /// Sends pushes to whoever subscribed.
    pub(crate) async fn push(&self, messages: Vec<Outgoing>) {
        for message in messages {
            self.router.route_message(&packet(&message), None).await;
        }
    }

    /// Closes one client's connection, as if the network broke.
    pub(crate) async fn kick(&self, client_id: &str) {
        self.router.disconnect_client(client_id).await;
    }

    pub(crate) async fn shutdown(self) {
        for (_, client) in self.hook.clients().drain() {
            client.task.abort();
        }
        self.stop.shutdown();
        let _ = self.task.await;
    }
}

/// What sits in the broker's publish path.
struct Hook {
    cloud: Cloud,
    faults: Mutex<BlockFaults>,
    messages_per_s: Option<u32>,
    bytes_per_s: Option<u32>,
    router: OnceLock<Weak<MessageRouter>>,
    /// One sender of blocks per client, so that a slow client delays only itself.
    clients: Mutex<HashMap<String, BlockSender>>,
}

struct BlockSender {
    blocks: mpsc::UnboundedSender<Outgoing>,
    task: JoinHandle<()>,
}

impl Hook {
    fn clients(&self) -> std::sync::MutexGuard<'_, HashMap<String, BlockSender>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a message to the sender of a client's blocks, which is started when needed.
    fn send_block(&self, router: &Arc<MessageRouter>, client_id: &str, message: Outgoing) {
        let mut clients = self.clients();
        let sender = clients.entry(client_id.into()).or_insert_with(|| {
            let (blocks, waiting) = mpsc::unbounded_channel();
            let pace = Pace::new(self.messages_per_s, self.bytes_per_s);
            let task = tokio::spawn(send_blocks(Arc::clone(router), client_id.into(), waiting, pace));
            BlockSender { blocks, task }
        });
        // The sender ends only with the client's connection; its blocks are QoS 0 and may be lost then.
        let _ = sender.blocks.send(message);
    }
}

async fn send_blocks(
    router: Arc<MessageRouter>,
    client_id: String,
    mut waiting: mpsc::UnboundedReceiver<Outgoing>,
    mut pace: Pace,
) {
    while let Some(message) = waiting.recv().await {
        while router.queue_handle(&client_id).count() > BACKLOG_MAX {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let now = Instant::now();
        if pace.admits(now) {
            wait(pace.wait(now, message.payload.len())).await;
            router.route_message(&packet(&message), None).await;
        }
        // The client's own task shall write while more blocks are made.
        tokio::task::yield_now().await;
    }
}

impl BrokerEventHandler for Hook {
    fn on_client_publish<'a>(
        &'a self,
        event: ClientPublishEvent,
    ) -> Pin<Box<dyn Future<Output = PublishAction> + Send + 'a>> {
        Box::pin(async move {
            let Some(thing) = thing_of(&event.topic) else { return PublishAction::Continue };
            let Some(router) = self.router.get().and_then(Weak::upgrade) else {
                return PublishAction::Continue;
            };
            let answers = self
                .cloud
                .with(|service, now_ms| service.publish(now_ms, thing, &event.topic, &event.payload));
            let answers = self.faults.lock().unwrap_or_else(PoisonError::into_inner).apply(answers);
            for answer in answers {
                match (&answer.kind, answer.to) {
                    (Kind::Block { .. }, _) => self.send_block(&router, &event.client_id, answer),
                    (Kind::Answer | Kind::Push, To::Requester) => {
                        let queue = router.queue_handle(&event.client_id);
                        let packet = packet(&answer);
                        let qos = packet.qos;
                        queue.push(QueuedMessage::new(packet, event.client_id.to_string(), qos, None));
                        queue.notify();
                    }
                    (Kind::Answer | Kind::Push, To::Subscribers) => {
                        router.route_message(&packet(&answer), None).await;
                    }
                }
            }
            PublishAction::Handled
        })
    }

    fn on_client_disconnect<'a>(
        &'a self,
        event: ClientDisconnectEvent,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            if let Some(client) = self.clients().remove(&*event.client_id) {
                client.task.abort();
            }
        })
    }
}

fn packet(message: &Outgoing) -> PublishPacket {
    let qos = if message.qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
    PublishPacket::new(message.topic.clone(), message.payload.clone(), qos)
}
