//! What a linked program takes: sections by kind, as `arm-none-eabi-size` counts them, and the sizes of symbols.

use anyhow::Context;
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SectionKind, elf};

/// Bytes a program takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// Code and constants: flash.
    pub(crate) text: u64,
    /// Variables with a start value: flash and RAM.
    pub(crate) data: u64,
    /// Variables that start at zero: RAM.
    pub(crate) bss: u64,
}

/// Adds up the sections of `program` that are loaded.
pub(crate) fn footprint(program: &[u8]) -> anyhow::Result<Footprint> {
    let file = object::File::parse(program).context("not an ELF file")?;
    let mut found = Footprint::default();
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
        if !sh_flags.contains(elf::SHF_ALLOC) {
            continue;
        }
        let sum = if section.kind() == SectionKind::UninitializedData {
            &mut found.bss
        } else if sh_flags.contains(elf::SHF_WRITE) {
            &mut found.data
        } else {
            &mut found.text
        };
        *sum += section.size();
    }
    Ok(found)
}

/// Sizes of the symbols whose name starts with `prefix`, by the rest of the name.
pub(crate) fn symbol_sizes(program: &[u8], prefix: &str) -> anyhow::Result<Vec<(String, u64)>> {
    let file = object::File::parse(program).context("not an ELF file")?;
    let mut found: Vec<(String, u64)> = file
        .symbols()
        .filter_map(|symbol| Some((symbol.name().ok()?.strip_prefix(prefix)?.to_owned(), symbol.size())))
        .collect();
    found.sort();
    Ok(found)
}
