//! The data plane over HTTP, against a server with one file.

use ota_core::transport::{RangeError, RangeSession, Ranges};

use super::{Broken, must, poll_and_drop};

/// What the server has.
#[derive(Clone, Copy, Debug)]
pub struct RangesSpec<'a> {
    /// Where the file is, as a job would name it.
    pub url: &'a str,
    /// What is in it: a few kilobytes at least.
    pub content: &'a [u8],
    /// A place on the same server where nothing is.
    pub nothing: &'a str,
}

/// Everything `ota-core` relies on in [`Ranges`] and its sessions.
///
/// # Errors
/// The first rule that is broken.
pub async fn ranges<R: Ranges>(plane: &mut R, spec: &RangesSpec<'_>) -> Result<(), Broken> {
    let size = spec.content.len() as u32;
    must(size >= 4096, "the file has 4096 bytes or more", size)?;
    for bad in ["", "ftp://host/file", "no url", "https://"] {
        must(plane.target(bad) == Err(RangeError::Refused), "what is no URL is Refused", bad.len() as u32)?;
    }
    must(plane.target(spec.url).is_ok(), "the file's URL is one to fetch from", 0)?;
    {
        let Ok(mut session) = plane.connect().await else {
            return Err(Broken { rule: "a session can be opened", at: 0 });
        };
        // The ends, one byte, all, and parts that no buffer suits, over one session.
        for (from, to) in [(0, 1), (size - 1, size), (0, size), (1, size), (1000, 3001), (0, 512)] {
            must(
                session.request(spec.url, from, to, size).is_ok(),
                "one range after the other can be asked for",
                from,
            )?;
            let mut at = from;
            for len in [1, 7, 64, 500].into_iter().cycle() {
                if at == to {
                    break;
                }
                let mut part = [0; 500];
                let part = &mut part[..len.min((to - at) as usize)];
                must(session.read(part).await.is_ok(), "a range can be read in parts of any length", at)?;
                let (from, to) = (at as usize, at as usize + part.len());
                must(*part == spec.content[from..to], "what is read is the file", at)?;
                at += part.len() as u32;
            }
        }
    }
    // A read that is dropped costs the session, not the plane.
    for polls in 1..6 {
        must(plane.target(spec.url).is_ok(), "the URL can be named again", 0)?;
        let Ok(mut session) = plane.connect().await else {
            return Err(Broken { rule: "a session can be opened after one that was dropped", at: polls });
        };
        must(session.request(spec.url, 0, size, size).is_ok(), "a new session takes a request", polls)?;
        poll_and_drop(session.read(&mut [0; 64]), polls as usize);
    }
    must(
        read_one(plane, spec.url, size).await == Ok(spec.content[0]),
        "after a dropped read a new session works",
        0,
    )?;

    let wrong = read_one(plane, spec.url, size + 1).await;
    must(wrong == Err(RangeError::Changed), "a file of another size is Changed", size + 1)?;
    let nothing = read_one(plane, spec.nothing, size).await;
    must(nothing == Err(RangeError::NotFound), "what is not there is NotFound", 0)?;
    must(read_one(plane, spec.url, size).await == Ok(spec.content[0]), "after a refusal the plane works", 0)
}

/// The first byte of a file.
async fn read_one<R: Ranges>(plane: &mut R, url: &str, size: u32) -> Result<u8, RangeError> {
    plane.target(url)?;
    let mut session = plane.connect().await?;
    session.request(url, 0, 1, size)?;
    let mut byte = [0];
    session.read(&mut byte).await.map(|()| byte[0])
}
