//! Boot control: from a download to a confirmed image.

use ota_core::boot::{Images, Pending, Request, Revert, Withdrawn};
use ota_core::geometry::BootMode;
use ota_core::slot::{Compared, FlashError};
use ota_core::verify::{Digest, Rules, Scheme, Verified, verify};

use super::{Broken, must};

/// Bytes written at once: a multiple of every write unit.
const PART: usize = 1024;

/// An image newer than the one that runs, and what makes it believed.
#[derive(Clone, Copy, Debug)]
pub struct NewImage<'a> {
    /// Number of the image.
    pub number: u8,
    /// The signed file.
    pub file: &'a [u8],
    /// The job's signature over it, DER.
    pub signature: &'a [u8],
}

/// Everything `ota-core` relies on in [`Images`], with `reset` as the bootloader: on the chip a real one, on a host the model.
/// The old image runs and is confirmed when it begins; the new one is confirmed when it ends.
///
/// # Errors
/// The first rule that is broken.
pub async fn images<I: Images, S: Scheme>(
    images: &mut I,
    new: &NewImage<'_>,
    rules: &Rules<'_, S>,
    mut reset: impl AsyncFnMut(),
) -> Result<(), Broken> {
    let number = new.number;
    let Some(layout) = images.layout(number).copied() else {
        return Err(Broken { rule: "the image has a layout", at: number.into() });
    };
    must(images.layout(u8::MAX).is_none(), "a number without an image has no layout", u8::MAX.into())?;
    must(
        images.inspect(u8::MAX).await == Err(FlashError::NoImage),
        "a number without an image is NoImage",
        255,
    )?;
    let before = inspect(images, number).await?;
    must(before.running.is_some(), "what runs is recognised", 0)?;
    must(before.request == Request::None, "nothing is asked for at first", 0)?;
    must(before.revert != Revert::Yes, "nothing is to be taken back at first", 0)?;

    // The slot as the download uses it.
    let size = new.file.len() as u32;
    let write_size = layout.secondary().write_size();
    let generation = images.generation(number);
    store(images, new).await?;
    must(images.generation(number) != generation, "a write changes the generation", generation)?;
    let outside = images.write(number, layout.max_image_size().next_multiple_of(write_size), &[0; 1]).await;
    must(
        outside == Err(FlashError::OutOfBounds),
        "past the largest image nothing is written",
        layout.max_image_size(),
    )?;
    let at = 0;
    let same = images.compare(number, at, &new.file[..PART.min(new.file.len())]).await;
    must(same == Ok(Compared::Equal), "what was written compares equal", at)?;
    let other = [!new.file[0], new.file[1]];
    must(
        images.compare(number, at, &other).await == Ok(Compared::Different),
        "something else compares different",
        at,
    )?;
    must(inspect(images, number).await? == before, "a download alone asks for nothing", 0)?;

    // A proof holds for the slot it was made of.
    let token = proof(images, new, rules).await?;
    let sector = layout.secondary().sector_of(layout.image_offset());
    must(images.erase(number, sector).await.is_ok(), "a sector can be erased", sector)?;
    let stale = images.set_pending(token, Pending::Test).await;
    must(stale == Err(FlashError::Stale), "a proof is void once the slot has changed", 0)?;
    must(inspect(images, number).await?.request == Request::None, "a void proof asks for nothing", 0)?;

    // Asked for, taken back, asked for again.
    store(images, new).await?;
    let token = proof(images, new, rules).await?;
    must(images.set_pending(token, Pending::Test).await.is_ok(), "a verified image can be asked for", 0)?;
    must(inspect(images, number).await?.request == Request::Test, "the request is read back", 0)?;
    let withdrawn = images.withdraw(number).await;
    must(withdrawn.is_ok(), "a request can be taken back", 0)?;
    must(
        inspect(images, number).await?.request == Request::None,
        "a request that was taken back is gone",
        0,
    )?;
    if withdrawn != Ok(Withdrawn::ImageKept) {
        store(images, new).await?;
    }
    let token = proof(images, new, rules).await?;
    must(images.set_pending(token, Pending::Test).await.is_ok(), "it can be asked for again", 0)?;

    // The bootloader, and the new image's own words.
    reset().await;
    let tested = inspect(images, number).await?;
    let runs = tested.running.map(|image| image.version);
    must(runs != before.running.map(|image| image.version), "after the reset the new image runs", size)?;
    let has_way_back = layout.mode() != BootMode::Overwrite;
    must(has_way_back || tested.revert == Revert::No, "overwrite-only never takes back", 0)?;
    must(
        !has_way_back || tested.revert != Revert::No,
        "an image that is not confirmed may be taken back",
        0,
    )?;
    must(images.confirm(number).await.is_ok(), "the running image can be confirmed", 0)?;
    must(images.confirm(number).await.is_ok(), "confirming twice does no harm", 0)?;
    must(inspect(images, number).await?.confirmed, "a confirmed image says so", 0)?;
    reset().await;
    let after = inspect(images, number).await?;
    must(after.running.map(|image| image.version) == runs, "a confirmed image stays", 0)?;
    must(!after.reverted, "a confirmed image is not taken back", 0)
}

async fn inspect<I: Images>(images: &mut I, number: u8) -> Result<ota_core::boot::ImageState, Broken> {
    images
        .inspect(number)
        .await
        .map_err(|error| Broken { rule: "what runs can be looked at", at: error as u32 })
}

/// Erases what the file covers and writes it.
async fn store<I: Images>(images: &mut I, new: &NewImage<'_>) -> Result<(), Broken> {
    let layout = *images.layout(new.number).ok_or(Broken { rule: "the image has a layout", at: 0 })?;
    let secondary = layout.secondary();
    for sector in 0..secondary.sector_count() {
        let erased = images.erase(new.number, sector).await;
        must(erased.is_ok(), "every sector of the secondary can be erased", sector)?;
    }
    let mut at = 0;
    for part in new.file.chunks(PART) {
        // Not over the end of a sector, as the agent does it.
        let mut rest = part;
        while !rest.is_empty() {
            let place = layout.image_offset() + at;
            let sector = secondary.sector_of(place);
            let room = (1..rest.len()).find(|ahead| secondary.sector_of(place + *ahead as u32) != sector);
            let (now, later) = rest.split_at(room.unwrap_or(rest.len()));
            must(images.write(new.number, at, now).await.is_ok(), "an erased place can be written", at)?;
            at += now.len() as u32;
            rest = later;
        }
    }
    Ok(())
}

async fn proof<I: Images, S: Scheme>(
    images: &mut I,
    new: &NewImage<'_>,
    rules: &Rules<'_, S>,
) -> Result<Verified, Broken> {
    let size = new.file.len() as u32;
    let mut digest = Digest::new();
    digest.set_image_end(hashed_size(new.file));
    let mut part = [0; PART];
    for at in (0..size).step_by(PART) {
        let part = &mut part[..(size - at).min(PART as u32) as usize];
        must(images.read(new.number, at, part).await.is_ok(), "the secondary can be read", at)?;
        digest.update(part);
    }
    let verified = verify(images, new.number, size, digest, new.signature, rules).await;
    verified.map_err(|_| Broken { rule: "the file in the slot can be verified", at: size })
}

/// Header, program and protected TLVs (MCUboot's image header: sizes at 8, 10 and 12).
fn hashed_size(file: &[u8]) -> u32 {
    let half = |at: usize| file.get(at..at + 2).map_or(0, |b| u32::from(u16::from_le_bytes([b[0], b[1]])));
    half(8) + half(10) + half(12) + (half(14) << 16)
}
