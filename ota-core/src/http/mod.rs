//! The HTTP data plane: ranges of a file over any byte stream (RFC 9110, RFC 9112).
//!
//! [`Http`] is the plane as the driver uses it. Below it, with no agent and no flash in sight, a [`Session`] is one
//! connection on which one range after the other is asked for, and whose bodies are read block by block into the caller's
//! block buffer. Streams are opened (DNS, TCP, TLS) by an [`Open`](crate::open::Open). A session has no clock:
//! waiting for bytes may be given up and taken up again.
//!
//! ```text
//!             send                    accept                     next_block: 0 bytes
//!  Idle ---------------> Sending ---------------> (Reply) Body ------------------------> Idle
//!                          |                        |                    | "Connection: close", body left unread
//!                 dropped  |   any error            |  any error         v
//!                          '----------------------> Failed            Spent
//! ```
//!
//! ```
//! # use ota_core::http::{Config, HttpError, RangeRequest, Schemes, Session, Url};
//! # async fn example<S>(stream: S, url_of_job: &str, head: &mut [u8], block: &mut [u8]) -> Result<(), HttpError>
//! # where S: embedded_io_async::Read + embedded_io_async::Write {
//! let Ok(url) = Url::parse(url_of_job, Schemes::HttpsOnly) else { return Err(HttpError::Request) };
//! let mut session = Session::new(stream, head, Config::default())?;
//! let reply = session.open(&url, &RangeRequest::new(0, 65_535, 300_000)?).await?;
//! let mut filled = 0;
//! while session.next_block(block, &mut filled).await? {
//!     // `block[..filled]` is the next block; the last one may be short.
//!     filled = 0;
//! }
//! # let _ = reply;
//! # Ok(())
//! # }
//! ```
//!
//! reqwless writes the request and parses the head of the response; bodies are read by this module (its file says why).
//!
//! Not done: compression, several ranges in one request, dates in `Retry-After`, proxies, HTTP/2.

mod body;
mod error;
mod head;
mod plane;
mod range;
mod request;
mod session;
mod url;

pub use embedded_io_async;
pub use error::{Advice, HttpError};
pub use plane::{Http, HttpConfig, HttpSession};
pub use range::{Etag, RangeRequest, Reply};
pub use session::{BUFFER_MIN, Config, Redirects, Session};
pub use url::{Scheme, Schemes, URL_MAX, Url, UrlError};

#[cfg(test)]
mod tests;
