//! The linker's view of a map.

use core::fmt;

use super::FlashMap;

/// `memory.x` of `cortex-m-rt` for a map: the program of image 0 begins behind the image header, which imgtool puts in front
/// of it (`--pad-header`), and ends before the trailer.
///
/// Written with `Display`; the feature `build` has a function for build scripts.
#[derive(Clone, Copy, Debug)]
pub struct MemoryX<'a>(pub &'a FlashMap);

impl fmt::Display for MemoryX<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (program, ram) = (self.0.program(), self.0.ram());
        writeln!(
            f,
            "/* {}: generated, do not edit. Primary slot less header and trailer. */",
            self.0.spec().name
        )?;
        writeln!(f, "MEMORY")?;
        writeln!(f, "{{")?;
        writeln!(f, "  FLASH : ORIGIN = {:#010X}, LENGTH = {:#X}", program.address(), program.size())?;
        writeln!(f, "  RAM   : ORIGIN = {:#010X}, LENGTH = {:#X}", ram.address(), ram.size())?;
        writeln!(f, "}}")
    }
}
