//! The object store on the network: [`FileServer`] serves ranges of files over HTTPS (and plain HTTP) as S3 does, to
//! whoever holds a signed URL that is still good.
//!
//! ```no_run
//! # async fn example() -> Result<(), ota_sim::https::FileServerError> {
//! use ota_sim::https::{FileServer, FileServerConfig, HttpFault};
//!
//! let server = FileServer::start(FileServerConfig::default()).await?;
//! server.put("/fw/app.bin", vec![7; 300_000]);
//! server.fault(HttpFault::CloseAfter(1000));
//! println!("{}", server.url("/fw/app.bin"));
//! # Ok(())
//! # }
//! ```

mod answer;
mod body;
mod fault;
mod server;
mod sign;

pub use fault::{HttpFault, HttpFaults, StreamFaults};
pub use server::{FileServer, FileServerConfig, FileServerError, Served};
