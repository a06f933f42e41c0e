//! The command that signs an image for a layout.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use ota_core::geometry::BootMode;
use ota_psoc6::layout::{Area, BOOT_WRITE_SIZE, HEADER_SIZE};

use super::Choice;

/// imgtool for image 0. On PSoC 64 cysecuretools wraps it.
pub(super) fn imgtool(choice: &Choice) -> String {
    let spec = choice.map.spec();
    let secondary = spec.images[0].secondary;
    let erased = erased_value(secondary);
    // imgtool's own arithmetic for a trailer with a status entry for each of so many rows would refuse images this map
    // has room for. The bootloader keeps none there: with overwrite-only or a status partition the flags are all.
    let mut text = format!(
        "imgtool sign --key KEY.pem --header-size {HEADER_SIZE:#X} --pad-header --align {BOOT_WRITE_SIZE} \
         --slot-size {:#X} --max-sectors {} --overwrite-only --erased-val {erased} --version VERSION APP.bin SIGNED.bin\n",
        spec.images[0].primary.size(),
        spec.max_sectors,
    );
    let most = choice.map.program().size() + HEADER_SIZE;
    let _ = writeln!(
        text,
        "# SIGNED.bin must not be longer than {most:#X} bytes. It is the file of the update job."
    );
    if choice.is_psoc64 {
        text.push_str(
            "# This kit's bootloader wants what cysecuretools makes: see --format cysecuretools.\n",
        );
    }
    text
}

/// cysecuretools for both images.
pub(super) fn cysecuretools(choice: &Choice) -> Result<String> {
    if !choice.is_psoc64 {
        bail!("{}: signs with imgtool, see --format imgtool", choice.board.name);
    }
    let spec = choice.map.spec();
    let upgrade_mode = match spec.mode {
        BootMode::Overwrite => "overwrite",
        BootMode::SwapStatus | BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset => "swap",
    };
    let mut text = String::new();
    for (pair, id, file) in [(&spec.images[0], 16, "app"), (&spec.images[1], 1, "tfm")] {
        let erased = erased_value(pair.secondary);
        let _ = writeln!(
            text,
            "# {}: {:#X} bytes at {:#010X}",
            pair.name,
            pair.secondary.size(),
            pair.secondary.address()
        );
        let _ = writeln!(
            text,
            "cysecuretools --target CY8CKIT-064S0S2-4343W --policy POLICY.json sign-image --hex {file}.hex --image-id {id} \
             --image-type UPGRADE --upgrade-mode {upgrade_mode} --erased-val {erased}"
        );
    }
    Ok(text)
}

/// What erased flash of the area reads as, in the words both tools accept.
fn erased_value(area: Area) -> &'static str {
    match area.device().map(|device| device.erased()) {
        Some(0) => "0",
        Some(_) | None => "0xff",
    }
}
