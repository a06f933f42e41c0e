//! Flash in a file: its content outlives the process, also one that was killed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::{ConfigError, FlashConfig, FlashDouble, FlashFault, Memory, Supply, VecLedger};
use core::borrow::Borrow;

/// A flash whose bytes lie in a file; made by [`FlashDouble::open`].
pub type FileFlash<const WRITE: usize, const ERASE: usize, P = Supply> =
    FlashDouble<FileMemory, WRITE, ERASE, VecLedger, P>;

/// The bytes of a file. Every store goes straight to the operating system, with no buffer in the process, so what was
/// written before a `kill -9` is there when the file is opened again.
#[derive(Debug)]
pub struct FileMemory {
    file: File,
    size: u32,
}

impl FileMemory {
    /// Opens the file, or makes one filled with `config.erased`.
    ///
    /// # Errors
    /// From the operating system; `InvalidData` when the file exists with another length.
    pub fn open(path: &Path, config: &FlashConfig) -> io::Result<Self> {
        let size = config.size;
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.metadata()?.len() {
            0 => {
                let chunk = std::vec![config.erased; size as usize];
                file.write_all(&chunk)?;
            }
            length if length == u64::from(size) => {}
            // A file cut short was killed while it was made: nothing can have been stored yet.
            length if length < u64::from(size) => {
                file.seek(SeekFrom::End(0))?;
                file.write_all(&std::vec![config.erased; (u64::from(size) - length) as usize])?;
            }
            length => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    std::format!("flash file holds {length} bytes, the part has {size}"),
                ));
            }
        }
        Ok(Self { file, size })
    }
}

impl Memory for FileMemory {
    fn capacity(&self) -> u32 {
        self.size
    }

    fn load(&self, at: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        bounds(self.size, at, bytes.len())?;
        let mut file = &self.file;
        file.seek(SeekFrom::Start(u64::from(at))).map_err(|_| FlashFault::Memory)?;
        file.read_exact(bytes).map_err(|_| FlashFault::Memory)
    }

    fn store(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        bounds(self.size, at, bytes.len())?;
        self.file.seek(SeekFrom::Start(u64::from(at))).map_err(|_| FlashFault::Memory)?;
        self.file.write_all(bytes).map_err(|_| FlashFault::Memory)
    }

    fn fill(&mut self, at: u32, length: u32, value: u8) -> Result<(), FlashFault> {
        self.store(at, &std::vec![value; length as usize])
    }

    fn all(&self, at: u32, length: u32, value: u8) -> Result<bool, FlashFault> {
        let mut bytes = std::vec![0; length as usize];
        self.load(at, &mut bytes)?;
        Ok(bytes.iter().all(|&byte| byte == value))
    }
}

impl<const WRITE: usize, const ERASE: usize> FileFlash<WRITE, ERASE> {
    /// Opens or makes a flash in a file, with a power supply of its own.
    ///
    /// # Errors
    /// From the operating system, or `InvalidInput` with a [`ConfigError`].
    pub fn open(path: &Path, config: FlashConfig) -> io::Result<Self> {
        Self::open_on(path, Supply::new(), config)
    }
}

impl<const WRITE: usize, const ERASE: usize, P: Borrow<Supply>> FileFlash<WRITE, ERASE, P> {
    /// Opens or makes a flash in a file on a power supply given. Which units were programmed is learned from the bytes,
    /// wear counts from zero.
    ///
    /// # Errors
    /// From the operating system, or `InvalidInput` with a [`ConfigError`].
    pub fn open_on(path: &Path, supply: P, config: FlashConfig) -> io::Result<Self> {
        config.check().map_err(invalid)?;
        let memory = FileMemory::open(path, &config)?;
        Self::with_parts(memory, VecLedger::new(&config), supply, config).map_err(invalid)
    }
}

fn invalid(error: ConfigError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

fn bounds(size: u32, at: u32, length: usize) -> Result<(), FlashFault> {
    match u32::try_from(length).ok().and_then(|length| at.checked_add(length)) {
        Some(end) if end <= size => Ok(()),
        Some(_) | None => Err(FlashFault::OutOfBounds),
    }
}
