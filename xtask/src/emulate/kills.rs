//! Power cuts for real.
use super::{build::Firmware, options::Options};
pub(crate) fn run(_: &Firmware, _: &Options, _: u32) -> anyhow::Result<()> {
    anyhow::bail!("not there yet")
}
