//! The service as an ordinary client of somebody else's broker.
//!
//! An external broker delivers to subscribers only: the device must subscribe to the answers of Jobs.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mqtt5::time::Duration as MqttDuration;
use mqtt5::types::Message;
use mqtt5::{ConnectOptions, MqttClient, QoS, SubscribeOptions};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::cloud::{BlockFaults, Cloud};
use super::pace::{Pace, wait};
use super::server::{NetError, ServerConfig};
use crate::aws::{Kind, Outgoing, thing_of};

/// Requests of any thing; answers are not among them, so the service never hears itself.
const FILTERS: [&str; 6] = [
    "$aws/things/+/jobs/get",
    "$aws/things/+/jobs/start-next",
    "$aws/things/+/jobs/+/get",
    "$aws/things/+/jobs/+/update",
    "$aws/things/+/streams/+/get/+",
    "$aws/things/+/streams/+/describe/+",
];

/// A connection to an external broker.
pub(crate) struct External {
    client: MqttClient,
    outbox: mpsc::UnboundedSender<Outgoing>,
    task: JoinHandle<()>,
}

impl External {
    /// Connects to `address` (`host:port`, plain TCP) and subscribes; the client reconnects by itself.
    pub(crate) async fn start(cloud: &Cloud, config: &ServerConfig, address: &str) -> Result<Self, NetError> {
        let id = format!("ota-sim-{}", std::process::id());
        let options = ConnectOptions::new(id)
            .with_clean_start(true)
            .with_keep_alive(MqttDuration::from_secs(30))
            .with_automatic_reconnect(true);
        let client = MqttClient::with_options(options);
        client.connect(&format!("mqtt://{address}")).await.map_err(NetError::broker)?;

        let (outbox, mut waiting) = mpsc::unbounded_channel::<Outgoing>();
        let faults = std::sync::Arc::new(Mutex::new(BlockFaults::new(
            config.fault_seed,
            config.block_faults.clone(),
            config.flip_target,
        )));
        for filter in FILTERS {
            let (cloud, outbox, faults) = (cloud.clone(), outbox.clone(), std::sync::Arc::clone(&faults));
            let answer = move |message: Message| {
                let Some(thing) = thing_of(&message.topic) else { return };
                let answers = cloud
                    .with(|service, now_ms| service.publish(now_ms, thing, &message.topic, &message.payload));
                for answer in faults.lock().unwrap_or_else(PoisonError::into_inner).apply(answers) {
                    // The publisher ends with the server; nobody waits for these answers then.
                    let _ = outbox.send(answer);
                }
            };
            let options = SubscribeOptions { qos: QoS::AtLeastOnce, ..SubscribeOptions::default() };
            client.subscribe_with_options(filter, options, answer).await.map_err(NetError::broker)?;
        }

        let publisher = client.clone();
        let mut pace = Pace::new(config.messages_per_s, config.bytes_per_s);
        let task = tokio::spawn(async move {
            while let Some(message) = waiting.recv().await {
                if matches!(message.kind, Kind::Block { .. }) {
                    let now = Instant::now();
                    if !pace.admits(now) {
                        continue;
                    }
                    wait(pace.wait(now, message.payload.len())).await;
                }
                // A lost link loses messages, as it does in the field; devices ask again.
                let sent = if message.qos == 0 {
                    publisher.publish_qos0(message.topic, message.payload).await
                } else {
                    publisher.publish_qos1(message.topic, message.payload).await
                };
                if sent.is_err() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
        Ok(Self { client, outbox, task })
    }

    pub(crate) fn push(&self, messages: Vec<Outgoing>) {
        for message in messages {
            let _ = self.outbox.send(message);
        }
    }

    pub(crate) async fn shutdown(self) {
        self.task.abort();
        let _ = self.client.disconnect().await;
    }
}
