//! What a network does to messages, as numbers; the decisions follow from a seed.

use core::ops::{Range, RangeInclusive};
use core::str::FromStr;

use super::message::Kind;
#[cfg(feature = "net")]
use super::message::Outgoing;
use super::rng::Rng;

/// Faults of one kind of message. Percentages are of messages; the default is a perfect network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRates {
    /// Never arrives.
    pub loss_pct: u8,
    /// Arrives twice.
    pub dup_pct: u8,
    /// Arrives up to [`FaultRates::reorder_ms`] late, so that later ones overtake it.
    pub reorder_pct: u8,
    /// Arrives with one bit changed (only towards the device).
    pub flip_pct: u8,
    /// Arrives cut off at any length (only towards the device).
    pub truncate_pct: u8,
    /// Travel time of every message, ms. Order is kept unless reordering strikes.
    pub delay_ms: RangeInclusive<u64>,
    /// How much longer than the others a reordered message travels at most, ms.
    pub reorder_ms: u64,
}

impl Default for FaultRates {
    fn default() -> Self {
        Self {
            loss_pct: 0,
            dup_pct: 0,
            reorder_pct: 0,
            flip_pct: 0,
            truncate_pct: 0,
            delay_ms: 1..=1,
            reorder_ms: 40,
        }
    }
}

/// `loss=20,dup=10,reorder=20,flip=1,truncate=1`: percentages, as a command line says them.
impl FromStr for FaultRates {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut rates = FaultRates::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (name, percent) = part.split_once('=').ok_or(format!("`{part}` is not NAME=PERCENT"))?;
            let percent = percent.parse().ok().filter(|percent| *percent <= 100);
            let percent = percent.ok_or(format!("`{part}`: the percentage must be 0 to 100"))?;
            match name {
                "loss" => rates.loss_pct = percent,
                "dup" => rates.dup_pct = percent,
                "reorder" => rates.reorder_pct = percent,
                "flip" => rates.flip_pct = percent,
                "truncate" => rates.truncate_pct = percent,
                _ => return Err(format!("`{name}`: there are loss, dup, reorder, flip and truncate")),
            }
        }
        Ok(rates)
    }
}

/// Which bits of a block message may flip.
///
/// A flip in the payload, or in the block id, cannot be noticed by the protocol: stream messages carry no
/// checksum (TLS protects them in the field). Such a flip ends in a failed signature check, as it must.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlipTarget {
    /// Anywhere in the message, payload included.
    #[default]
    Anywhere,
    /// Everything but the payload; a changed block id can still look right.
    Envelope,
    /// Only where every decoder must notice: neither the payload, nor the values of `f` and `i`, nor the token.
    Detectable,
}

/// Faults of a link. Block messages and all others (requests, answers, pushes) have their own rates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Everything follows from this number.
    pub seed: u64,
    /// Messages that carry a block of a file.
    pub blocks: FaultRates,
    /// Everything else, in both directions.
    pub control: FaultRates,
    /// Where block messages flip; others flip anywhere.
    pub flip_target: FlipTarget,
    /// The link breaks this long after each connect, ms. `None`: never by itself.
    pub disconnect_every_ms: Option<RangeInclusive<u64>>,
}

impl Faults {
    /// Loss, duplication and reordering of block messages, in percent: the hostile network most tests want.
    pub fn on_blocks(seed: u64, loss_pct: u8, dup_pct: u8, reorder_pct: u8) -> Self {
        let blocks = FaultRates { loss_pct, dup_pct, reorder_pct, ..FaultRates::default() };
        Self { seed, blocks, ..Self::default() }
    }

    pub(crate) fn rates(&self, kind: &Kind) -> &FaultRates {
        match kind {
            Kind::Block { .. } => &self.blocks,
            Kind::Answer | Kind::Push => &self.control,
        }
    }
}

/// What happens to one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) copies: u8,
    pub(crate) reordered: bool,
    pub(crate) flipped: bool,
    pub(crate) truncated: bool,
}

impl FaultRates {
    /// Draws the same five numbers for every message, so that one changed rate leaves the others' choices alone.
    pub(crate) fn fate(&self, rng: &mut Rng) -> Fate {
        let lost = rng.chance(self.loss_pct);
        let doubled = rng.chance(self.dup_pct);
        let reordered = rng.chance(self.reorder_pct);
        let flipped = rng.chance(self.flip_pct);
        let truncated = rng.chance(self.truncate_pct);
        let copies = match (lost, doubled) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 2,
        };
        Fate { copies, reordered, flipped, truncated }
    }
}

/// Flips one bit of `message` inside what `target` allows.
pub(crate) fn flip(rng: &mut Rng, message: &mut [u8], kind: &Kind, target: FlipTarget) {
    let end = message.len();
    let places: Vec<Range<usize>> = match (kind, target) {
        (Kind::Block { payload, .. }, FlipTarget::Envelope) => vec![0..payload.start, payload.end..end],
        // The first byte opens the map; between the ids and the payload stand `l` and the payload's own length.
        (Kind::Block { ids, payload }, FlipTarget::Detectable) => {
            vec![0..1, ids.end..payload.start, payload.end..end]
        }
        (Kind::Block { .. }, FlipTarget::Anywhere) | (Kind::Answer | Kind::Push, _) => {
            core::iter::once(0..end).collect()
        }
    };
    let total: usize = places.iter().map(ExactSizeIterator::len).sum();
    if total == 0 {
        return;
    }
    let mut at = rng.between(0..=total as u64 - 1) as usize;
    let bit = rng.between(0..=7);
    for place in places {
        if at < place.len() {
            if let Some(byte) = message.get_mut(place.start + at) {
                *byte ^= 1 << bit;
            }
            return;
        }
        at -= place.len();
    }
}

/// The copies of one block message that leave, and whether each is late.
#[cfg(feature = "net")]
pub(crate) fn damage(
    rng: &mut Rng,
    rates: &FaultRates,
    target: FlipTarget,
    message: &Outgoing,
) -> Vec<(bool, Outgoing)> {
    let fate = rates.fate(rng);
    let copy = |_| {
        let mut copy = message.clone();
        if fate.flipped {
            flip(rng, &mut copy.payload, &message.kind, target);
        }
        if fate.truncated {
            truncate(rng, &mut copy.payload);
        }
        (fate.reordered, copy)
    };
    (0..fate.copies).map(copy).collect()
}

/// Cuts `message` off at a random length below its own.
pub(crate) fn truncate(rng: &mut Rng, message: &mut Vec<u8>) {
    let length = rng.between(0..=(message.len() as u64).saturating_sub(1));
    message.truncate(length as usize);
}
