//! The AWS IoT stand-in on the network: [`Server`] runs a [`Service`](crate::aws::Service) in real time behind an
//! embedded MQTT 5 broker (which also speaks 3.1.1), or as a client of an external one.
//!
//! Everything binds to the loopback address only. User names and passwords are accepted and ignored, as AWS does
//! with certificates in use; with [`Tls`] the broker asks for a client certificate, which [`Certificates`] makes per run.
//!
//! ```no_run
//! # async fn example() -> Result<(), ota_sim::net::NetError> {
//! use ota_sim::aws::OtaSpec;
//! use ota_sim::net::{Server, ServerConfig};
//!
//! let server = Server::start(ServerConfig::default()).await?;
//! server.queue_job("dev-7", "AFR_OTA-rel-12", &OtaSpec::mqtt(vec![7; 10_000], "MAYCAQECAQE="));
//! println!("point the device at 127.0.0.1:{}", server.port().unwrap_or(0));
//! let execution = server.finished("AFR_OTA-rel-12", "dev-7").await;
//! println!("{}", execution.status.name());
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod certificates;
mod cloud;
mod embedded;
mod external;
mod pace;
mod server;

pub use certificates::Certificates;
pub use server::{Broker, NetError, Server, ServerConfig, Tls};
