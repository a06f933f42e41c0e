//! An AWS IoT stand-in for tests: Jobs and MQTT-based file delivery, as the service documents them.
//!
//! [`Service`] is the cloud's side as a plain value: requests in, answers out, time as an argument; no
//! socket, no thread, no clock. [`Link`] connects one device with it in virtual time and does to the
//! messages what networks do, decided by a seed. The feature `net` puts the same `Service` behind a real
//! broker (`net::Server`).
//!
//! ```
//! use ota_sim::aws::{Link, LinkConfig, OtaSpec, Service, ServiceConfig, Status};
//!
//! let mut service = Service::new(ServiceConfig::default());
//! service.create_ota_job(0, "dev-7", "AFR_OTA-rel-12", &OtaSpec::mqtt(vec![7; 10_000], "MAYCAQECAQE="));
//! let mut link = Link::new(service, "dev-7", LinkConfig::default());
//! link.connect(0);
//! link.publish(0, "$aws/things/dev-7/jobs/$next/get", b"{}", 1).unwrap();
//! let (at_ms, answer) = link.receive(0, 1_000);
//! assert_eq!(at_ms, 2); // a millisecond each way
//! assert_eq!(answer.unwrap().topic, "$aws/things/dev-7/jobs/$next/get/accepted");
//! assert_eq!(link.service().job_execution("AFR_OTA-rel-12", "dev-7").unwrap().status, Status::Queued);
//! ```

mod config;
mod document;
mod faults;
mod jobs;
mod jobs_api;
mod json;
mod link;
mod message;
mod rng;
mod service;
mod streams;
mod topic;

pub use config::{EmptyNext, LinkConfig, Presign, ServiceConfig};
pub use document::{OtaFile, OtaSpec};
#[cfg(feature = "net")]
pub(crate) use faults::damage;
pub use faults::{FaultRates, Faults, FlipTarget};
pub use jobs::{Change, Execution, Origin, Status};
pub use jobs_api::JobsError;
pub use link::Link;
pub use message::{Counters, Kind, LinkDown, Message, Outgoing, Passing, To};
pub use rng::Rng;
pub use service::Service;
pub use streams::{
    BITMAP_LIMIT, BLOCK_COUNT_MAX, BLOCK_SIZE_MAX, BLOCK_SIZE_MIN, FILE_SIZE_MAX, Format, REQUEST_BYTES_MAX,
    Stream, StreamError,
};
pub use topic::{matches, thing_of};
