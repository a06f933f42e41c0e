//! The settings MCUBootApp must be built with.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use ota_core::geometry::BootMode;
use ota_psoc6::layout::Device;

use super::{Choice, mode_name};

/// A fragment for `boot/cypress/MCUBootApp/MCUBootApp.mk`, to be included before its first line.
pub(super) fn settings(choice: &Choice) -> Result<String> {
    if choice.is_psoc64 {
        bail!(
            "{}: its bootloader is provisioned with the policy, not built; see --format cysecuretools",
            choice.board.name
        );
    }
    let spec = choice.map.spec();
    let pair = &spec.images[0];
    let external = pair.secondary.device() == Some(Device::External);
    let mut out = String::new();
    let text = &mut out;
    let _ =
        writeln!(text, "# MCUBootApp for {}: {}, {}.", choice.board.name, spec.name, mode_name(spec.mode));
    let _ = writeln!(text, "# `include` this at the top of boot/cypress/MCUBootApp/MCUBootApp.mk.");
    let _ = writeln!(text, "PLATFORM = PSOC_062_2M");
    let _ = writeln!(text, "USE_EXTERNAL_FLASH = {}", u8::from(external));
    match spec.mode {
        BootMode::Overwrite => {
            let _ = writeln!(text, "USE_OVERWRITE = 1");
        }
        BootMode::SwapStatus | BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset => {
            let _ = writeln!(text, "USE_OVERWRITE = 0");
        }
    }
    let _ = writeln!(text, "MAX_IMG_SECTORS = {}", spec.max_sectors);
    let define = |text: &mut String, name: &str, value: u32| {
        let _ = writeln!(text, "DEFINES_APP += -D{name}={value:#X}");
    };
    let _ = writeln!(text, "DEFINES_APP += -DMCUBOOT_MAX_IMG_SECTORS={}", spec.max_sectors);
    if let Some(bootloader) = spec.reserved.first() {
        define(text, "CY_BOOT_BOOTLOADER_SIZE", bootloader.area.size());
    }
    define(text, "CY_BOOT_PRIMARY_1_SIZE", pair.primary.size());
    define(text, "CY_BOOT_SECONDARY_1_SIZE", pair.secondary.size());
    if let (Some(status), Some(scratch)) = (spec.status, spec.scratch) {
        define(text, "CY_BOOT_PRIMARY_1_START", pair.primary.address());
        define(text, "CY_BOOT_SECONDARY_1_START", pair.secondary.address());
        define(text, "CY_BOOT_STATUS_START", status.address());
        define(text, "CY_BOOT_STATUS_SIZE", status.size());
        define(text, "CY_BOOT_SCRATCH_START", scratch.address());
        define(text, "CY_BOOT_SCRATCH_SIZE", scratch.size());
    }
    let ram = spec.boot_ram;
    let _ = writeln!(
        text,
        "# MCUBootApp.ld, so that the application's RAM from {:#010X} on is its own:",
        spec.ram.address()
    );
    let _ = writeln!(text, "#   ram (rwx) : ORIGIN = {:#010X}, LENGTH = {:#X}", ram.address(), ram.size());
    let _ = writeln!(
        text,
        "# config/mcuboot_config/mcuboot_config.h: the primary slot was checked before it was copied, so"
    );
    let _ = writeln!(text, "# a quick start may skip it:");
    let _ = writeln!(
        text,
        "#   sed -i 's|^#define MCUBOOT_VALIDATE_PRIMARY_SLOT|//&|' config/mcuboot_config/mcuboot_config.h"
    );
    if choice.insecure_unsigned {
        let _ = writeln!(
            text,
            "# INSECURE: no signature is checked, of either slot. Anybody's image is installed:"
        );
        let _ = writeln!(
            text,
            "#   sed -i -e 's|^#define MCUBOOT_SIGN_EC256|//&|' -e 's|^#define NUM_ECC_BYTES|//&|' \\"
        );
        let _ = writeln!(text, "#     config/mcuboot_config/mcuboot_config.h");
    } else {
        let _ = writeln!(
            text,
            "# MCUBOOT_SIGN_EC256 and NUM_ECC_BYTES stay defined: only signed images are installed. The"
        );
        let _ = writeln!(text, "# original's instructions switch them off for both slots.");
    }
    Ok(out)
}
