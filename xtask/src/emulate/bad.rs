//! Bad input.
use super::{build::Firmware, options::Options};
pub(crate) fn run(_: &Firmware, _: &Options) -> anyhow::Result<()> {
    anyhow::bail!("not there yet")
}
