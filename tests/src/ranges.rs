//! The object behind the presigned URL, in virtual time.

use std::cell::Cell;

use ota_core::transport::{RangeError, RangeSession, Ranges, Timer};
use ota_sim::aws::OtaSpec;

use crate::cloud::{Cloud, SimTimer};
use crate::scenario::object_path;

/// The server and what is wrong with it.
#[derive(Clone, Debug)]
pub struct Object {
    /// Bytes a second.
    pub bytes_per_s: u64,
    /// A URL is good for so long after the job document was sent, virtual milliseconds.
    pub expires_ms: Option<u64>,
    /// The server closes a range after so many bytes.
    pub range_limit: Option<u32>,
    /// The server is gone after so many bytes in all.
    pub dies_after: Option<u64>,
    /// What the first requests are answered with, in this order, in place of bytes.
    pub refuses: Vec<RangeError>,
    /// How many were.
    pub refused: Cell<usize>,
}

impl Default for Object {
    fn default() -> Self {
        Self {
            bytes_per_s: 1_000_000,
            expires_ms: None,
            range_limit: None,
            dies_after: None,
            refuses: Vec::new(),
            refused: Cell::new(0),
        }
    }
}

pub(crate) struct SimRanges<'w> {
    cloud: &'w Cloud,
    object: &'w Object,
    specs: &'w [(String, OtaSpec)],
    served: &'w Cell<u64>,
}

pub(crate) struct SimSession<'w> {
    cloud: &'w Cloud,
    object: &'w Object,
    specs: &'w [(String, OtaSpec)],
    /// The object of the range that is open.
    content: &'w [u8],
    served: &'w Cell<u64>,
    open: Option<Open>,
}

struct Open {
    at: u32,
    to: u32,
    left: u32,
    issued_ms: u64,
    asked: bool,
}

impl<'w> SimRanges<'w> {
    pub(crate) fn new(
        cloud: &'w Cloud,
        object: &'w Object,
        specs: &'w [(String, OtaSpec)],
        served: &'w Cell<u64>,
    ) -> Self {
        Self { cloud, object, specs, served }
    }
}

impl<'w> Ranges for SimRanges<'w> {
    type Session<'s>
        = SimSession<'w>
    where
        Self: 's;

    fn target(&mut self, url: &str) -> Result<(), RangeError> {
        if url.starts_with("https://") { Ok(()) } else { Err(RangeError::Refused) }
    }

    async fn connect(&mut self) -> Result<SimSession<'w>, RangeError> {
        let timer = &mut SimTimer(self.cloud);
        let soon = timer.now_ms() + 20;
        timer.until(soon).await;
        let Self { cloud, object, specs, served } = *self;
        Ok(SimSession { cloud, object, specs, content: &[], served, open: None })
    }
}

impl RangeSession for SimSession<'_> {
    fn request(&mut self, url: &str, from: u32, to: u32, size: u32) -> Result<(), RangeError> {
        let mut files =
            self.specs.iter().flat_map(|(job, spec)| spec.files.iter().map(move |file| (job, file)));
        let asked = files.find(|(job, file)| url.contains(&object_path(job, file.id)));
        self.content = asked.map(|(_, file)| &*file.content).ok_or(RangeError::NotFound)?;
        if size as usize != self.content.len() {
            return Err(RangeError::Changed);
        }
        // The URL carries when it was made.
        let issued_ms =
            url.rsplit('=').next().and_then(|text| text.parse().ok()).ok_or(RangeError::Refused)?;
        let left = self.object.range_limit.unwrap_or(u32::MAX);
        self.open = Some(Open { at: from, to, left, issued_ms, asked: false });
        Ok(())
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<(), RangeError> {
        let len = buf.len() as u32;
        let now = self.cloud.clock.get();
        let open = self.open.as_mut().ok_or(RangeError::Lost)?;
        if !open.asked && self.object.expires_ms.is_some_and(|good| now > open.issued_ms + good) {
            return Err(RangeError::Expired);
        }
        if !open.asked
            && let Some(error) = self.object.refuses.get(self.object.refused.get())
        {
            self.object.refused.set(self.object.refused.get() + 1);
            return Err(*error);
        }
        open.asked = true;
        let dead = self.object.dies_after.is_some_and(|most| self.served.get() + u64::from(len) > most);
        if dead || open.left < len || open.at + len > open.to {
            return Err(RangeError::Lost);
        }
        buf.copy_from_slice(&self.content[open.at as usize..(open.at + len) as usize]);
        open.at += len;
        open.left -= len;
        let takes = (u64::from(len) * 1000).div_ceil(self.object.bytes_per_s);
        SimTimer(self.cloud).until(now + takes).await;
        self.served.set(self.served.get() + u64::from(len));
        Ok(())
    }
}
