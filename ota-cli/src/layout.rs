//! `ota layout`: a kit's flash map in the words of everybody who has to agree on it.

mod bootloader;
mod map;
mod signing;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use ota_core::geometry::BootMode;
use ota_psoc6::kit::{CY8CKIT_062S2_43012, CY8CPROTO_062_4343W, Kit as Board};
use ota_psoc6::layout::{Bootloader, FlashMap, MemoryX, Secondary, psoc62};
use ota_psoc64::kit::CY8CKIT_064S0S2_4343W;
use ota_psoc64::layout::Policy;

/// Print a kit's flash map: for the linker, the bootloader's build, the signing tool, or people.
///
/// All formats come from the constants the drivers are built with. Exit code: 0 printed, 1 no such layout, 2 wrong arguments.
#[derive(Debug, Args)]
pub(crate) struct Layout {
    /// The kit
    #[arg(long, value_enum, ignore_case = true)]
    kit: Kit,
    /// Where the secondary slot lies on a PSoC 62. PSoC 64: accepted, the policy decides
    #[arg(long, value_enum, default_value_t = Place::External)]
    secondary: Place,
    /// How the bootloader installs an image. Default: overwrite on PSoC 62, as the original; swap-status on PSoC 64, as
    /// its policy
    #[arg(long, value_enum)]
    boot_mode: Option<Mode>,
    /// Bytes the bootloader of a PSoC 62 takes: 0x28000 are later swap builds
    #[arg(long, value_enum, default_value_t = Size::Small)]
    bootloader: Size,
    /// The policy a PSoC 64 was provisioned with
    #[arg(long, value_enum, default_value_t = PolicyName::Tfm)]
    policy: PolicyName,
    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Bootloader settings without signatures, as the original's instructions have them: anybody's image is then installed
    #[arg(long)]
    insecure_unsigned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kit {
    #[value(name = "CY8CPROTO-062-4343W")]
    Proto062,
    #[value(name = "CY8CKIT-062S2-43012")]
    Kit062,
    #[value(name = "CY8CKIT-064S0S2-4343W")]
    Kit064,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Place {
    Internal,
    External,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    Overwrite,
    SwapScratch,
    SwapMove,
    SwapOffset,
    SwapStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Size {
    #[value(name = "0x18000")]
    Small,
    #[value(name = "0x28000")]
    Large,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PolicyName {
    /// Trusted Firmware-M 1.3's for this kit
    Tfm,
    /// Amazon FreeRTOS 202007's
    Older,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The linker's memory.x
    MemoryX,
    /// Settings of MCUBootApp, for make
    McubootMk,
    /// The signing command, with imgtool
    Imgtool,
    /// The signing command, with cysecuretools (PSoC 64)
    Cysecuretools,
    /// For people
    Table,
    /// For programs
    Json,
}

/// What was chosen.
struct Choice {
    board: Board,
    map: FlashMap,
    is_psoc64: bool,
    insecure_unsigned: bool,
}

impl Layout {
    pub(crate) fn run(self) -> Result<ExitCode> {
        print!("{}", self.text()?);
        Ok(ExitCode::SUCCESS)
    }

    fn text(&self) -> Result<String> {
        let choice = self.choice()?;
        if self.insecure_unsigned {
            if self.format != Format::McubootMk || choice.is_psoc64 {
                bail!("--insecure-unsigned: only for --format mcuboot-mk of a PSoC 62");
            }
            eprintln!(
                "ota: WARNING: a bootloader built with these settings checks no signature. It installs any image that \
                 reaches the secondary slot"
            );
        }
        Ok(match self.format {
            Format::MemoryX => MemoryX(&choice.map).to_string(),
            Format::McubootMk => bootloader::settings(&choice)?,
            Format::Imgtool => signing::imgtool(&choice),
            Format::Cysecuretools => signing::cysecuretools(&choice)?,
            Format::Table => map::table(&choice),
            Format::Json => map::json(&choice)?,
        })
    }

    fn choice(&self) -> Result<Choice> {
        let board = match self.kit {
            Kit::Proto062 => CY8CPROTO_062_4343W,
            Kit::Kit062 => CY8CKIT_062S2_43012,
            Kit::Kit064 => CY8CKIT_064S0S2_4343W,
        };
        let is_psoc64 = self.kit == Kit::Kit064;
        let older = self.policy == PolicyName::Older;
        let mode = match self.boot_mode {
            Some(Mode::Overwrite) => BootMode::Overwrite,
            Some(Mode::SwapScratch) => BootMode::SwapScratch,
            Some(Mode::SwapMove) => BootMode::SwapMove,
            Some(Mode::SwapOffset) => BootMode::SwapOffset,
            Some(Mode::SwapStatus) => BootMode::SwapStatus,
            None if is_psoc64 && !older => BootMode::SwapStatus,
            None => BootMode::Overwrite,
        };
        let map = if is_psoc64 {
            ota_psoc64::layout::map(if older { Policy::Older } else { Policy::Tfm }, mode)
        } else {
            let secondary = match self.secondary {
                Place::Internal => Secondary::Internal,
                Place::External => Secondary::External,
            };
            let bootloader = match self.bootloader {
                Size::Small => Bootloader::Small,
                Size::Large => Bootloader::Large,
            };
            psoc62::map(secondary, mode, bootloader)
        };
        let map = map.map_err(|error| anyhow::anyhow!("{}: {error}", board.name))?;
        Ok(Choice { board, map, is_psoc64, insecure_unsigned: self.insecure_unsigned })
    }
}

/// The boot mode as the command line spells it.
fn mode_name(mode: BootMode) -> &'static str {
    match mode {
        BootMode::Overwrite => "overwrite",
        BootMode::SwapScratch => "swap-scratch",
        BootMode::SwapMove => "swap-move",
        BootMode::SwapOffset => "swap-offset",
        BootMode::SwapStatus => "swap-status",
    }
}
