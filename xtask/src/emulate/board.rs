//! The board as the host sees it: its flash, a file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, ensure};
use ota_sim::{
    flash::FlashDouble,
    mcuboot::{ImageBoot, PublicKey},
};
use qemu_board::{FLASH_SIZE, Part, SETTINGS_AT, SETTINGS_SIZE, STATUS_AT, STATUS_SIZE, Settings};

/// The file behind the flash.
pub(crate) struct Board {
    pub(crate) file: PathBuf,
    part: &'static Part,
    keys: [PublicKey; 1],
}

impl Board {
    /// A new device: the factory has written its first image and its settings.
    pub(crate) fn new(folder: &Path, factory: &[u8], settings: &Settings<'_>) -> anyhow::Result<Self> {
        let part = settings.part;
        let mut bytes = vec![part.erased; FLASH_SIZE as usize];
        ensure!(factory.len() < part.slot_size as usize, "the image is larger than the slot");
        bytes[..factory.len()].copy_from_slice(factory);
        let status = STATUS_AT as usize..(STATUS_AT + STATUS_SIZE) as usize;
        bytes[status].fill(part.status().erased);
        let mut at = SETTINGS_AT as usize;
        settings.encode(|piece| {
            bytes[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        });
        ensure!(
            Settings::decode(&bytes[SETTINGS_AT as usize..]) == Some(*settings),
            "the settings do not fit"
        );
        ensure!(at < (SETTINGS_AT + SETTINGS_SIZE) as usize, "the settings are too long");
        let file = folder.join("flash.bin");
        fs::write(&file, bytes).with_context(|| file.display().to_string())?;
        let keys = [PublicKey::from_spki(settings.image_key).context("the image key")?];
        Ok(Self { file, part, keys })
    }

    /// What would run if the power came back now, and what if it then failed once more: boots a copy of the flash twice. An
    /// image that has not confirmed itself goes at the second boot, so this also tells whether the way back is whole.
    pub(crate) fn boot_copy(&self) -> anyhow::Result<[ImageBoot; 2]> {
        let bytes = fs::read(&self.file)?;
        let (flash, status) = (self.part.flash(), self.part.status());
        let slots = bytes[..flash.size as usize].to_vec();
        let rows = bytes[STATUS_AT as usize..][..status.size as usize].to_vec();
        let mut slots = FlashDouble::<_, 1, 1>::new(slots, flash)?;
        let mut rows = FlashDouble::<_, 1, 1>::new(rows, status)?;
        let mut boot = || self.part.boot(&mut slots, &mut rows, &self.keys);
        let [first, second] = [boot(), boot()];
        let halted = |halt| anyhow!("the device would not boot any more: {halt:?}");
        Ok([first.map_err(halted)?, second.map_err(halted)?])
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use ota_sim::image::{ImageBuilder, Key, Version};
    use ota_sim::mcuboot::{Mode, trailer_magic};
    use qemu_board::{Endpoint, PARTS};

    use super::*;

    #[test]
    fn a_new_board_of_every_part_boots_and_knows_its_settings() {
        let folder = std::env::temp_dir().join(format!("ota-board-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let key = Key::from_seed(1);
        for part in &PARTS {
            let settings = Settings {
                part,
                thing: "thing",
                broker: Endpoint { address: Ipv4Addr::new(10, 0, 2, 2), port: 8883 },
                server_name: "localhost",
                root: &[1; 500],
                certificate: &[2; 600],
                device_key: &[3; 32],
                job_key: key.public_spki(),
                image_key: key.public_spki(),
            };
            let factory = ImageBuilder::with_random_payload(Version::new(1, 0, 0, 0), 50_000, 1);
            let board = Board::new(&folder, &factory.signed(&key), &settings).unwrap();
            for boot in board.boot_copy().unwrap() {
                assert_eq!(
                    boot.running.map(|image| image.version),
                    Some(Version::new(1, 0, 0, 0)),
                    "{}",
                    part.name
                );
            }
            // An update that was asked for runs on trial, and goes with the next boot where there is a way back.
            let update = ImageBuilder::with_random_payload(Version::new(2, 0, 0, 0), 50_000, 2).signed(&key);
            let (slot, end) = (part.slot_size as usize, 2 * part.slot_size as usize);
            let at = slot + if part.mode == Mode::SwapOffset { part.sector_size as usize } else { 0 };
            let mut bytes = fs::read(&board.file).unwrap();
            bytes[at..at + update.len()].copy_from_slice(&update);
            bytes[end - 16..end].copy_from_slice(&trailer_magic(part.max_align()).unwrap());
            fs::write(&board.file, &bytes).unwrap();
            let back = if part.mode == Mode::Overwrite { 2 } else { 1 };
            let boots = board.boot_copy().unwrap();
            let versions = boots.map(|boot| boot.running.map(|image| image.version));
            assert_eq!(versions, [2, back].map(|it| Some(Version::new(it, 0, 0, 0))), "{}", part.name);
            assert!(fs::read(&board.file).unwrap() == bytes, "{}: what was booted is a copy", part.name);
            // Another key's image is none that may boot.
            let board = Board::new(&folder, &factory.signed(&Key::from_seed(2)), &settings).unwrap();
            assert!(board.boot_copy().is_err(), "{}", part.name);
        }
        let empty = Settings::decode(&[0xFF; 64]);
        assert_eq!(empty, None);
        fs::remove_dir_all(&folder).unwrap();
    }
}
