//! What goes into an update.

use ota_sim::image::{Corruption, Key, corrupt};

use super::{
    build::{Firmware, Program},
    cloud::SERVER_NAME,
    options::Options,
};

/// What goes into an update; bad input is made by changing it.
pub(crate) struct Setting<'a> {
    pub(crate) firmware: &'a Firmware,
    pub(crate) options: &'a Options,
    /// The file that is delivered.
    pub(crate) file: Vec<u8>,
    /// The image the device comes with.
    pub(crate) factory: Vec<u8>,
    pub(crate) program: Program,
    /// Signs images; the bootloader believes it.
    pub(crate) image_key: Key,
    /// Signs the job.
    pub(crate) job_key: Key,
    /// What the device believes.
    pub(crate) trusted_job_key: Key,
    /// The device is told this name of the servers.
    pub(crate) server_name: &'a str,
    /// The device trusts another root.
    pub(crate) foreign_root: bool,
    /// The device shows a certificate that is not its own.
    pub(crate) foreign_device: bool,
    /// More words for `ota serve`.
    pub(crate) more: Vec<String>,
}

impl<'a> Setting<'a> {
    pub(crate) fn new(firmware: &'a Firmware, options: &'a Options, program: Program) -> Self {
        let image_key = Key::from_seed(options.seed);
        let image = |program| firmware.image(program, options.part, &image_key);
        Self {
            firmware,
            options,
            file: image(program),
            factory: image(Program::First),
            program,
            job_key: Key::from_seed(!options.seed),
            trusted_job_key: Key::from_seed(!options.seed),
            image_key,
            server_name: SERVER_NAME,
            foreign_root: false,
            foreign_device: false,
            more: Vec::new(),
        }
    }

    /// The update's image, signed with another key.
    pub(crate) fn image(&self, key: &Key) -> Vec<u8> {
        self.firmware.image(self.program, self.options.part, key)
    }

    /// Spoils the file.
    pub(crate) fn spoil(&mut self, how: Corruption) {
        self.file = corrupt(std::mem::take(&mut self.file), how);
    }
}
