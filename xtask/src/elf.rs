//! What a linked program takes: sections by kind, as `arm-none-eabi-size` counts them, and the sizes of symbols.

use crate::calls;
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

/// Bytes of the symbols that belong to one of `crates`, or whose name starts with one of `paths`. What the linker put into
/// other functions is not seen.
pub(crate) fn text_of(program: &[u8], crates: &[&str], paths: &[&str]) -> anyhow::Result<u64> {
    let file = object::File::parse(program).context("not an ELF file")?;
    let owned = file.symbols().filter(|symbol| {
        let Ok(name) = symbol.name().map(calls::demangled) else { return false };
        crates.contains(&calls::crate_of(&name)) || paths.iter().any(|path| name.starts_with(path))
    });
    Ok(owned.map(|symbol| symbol.size()).sum())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::hint::black_box;

    use super::*;

    // SAFETY: no symbol of any library has a space in its name.
    #[unsafe(export_name = "sizeof a zeroed array")]
    static ZEROED: [u8; 12345] = [0; 12345];
    // SAFETY: as above.
    #[unsafe(export_name = "sizeof a filled array")]
    static FILLED: [u8; 4321] = [7; 4321];

    /// This test's own program is an ELF file as good as any.
    fn this_program() -> Vec<u8> {
        black_box((&ZEROED, &FILLED));
        std::fs::read("/proc/self/exe").expect("the running program can be read")
    }

    #[test]
    fn symbols_are_found_by_prefix_with_their_sizes() {
        let sizes = symbol_sizes(&this_program(), "sizeof ").expect("an ELF file");
        assert_eq!(sizes, [("a filled array".to_owned(), 4321), ("a zeroed array".to_owned(), 12345)]);
    }

    #[test]
    fn sections_are_counted_by_kind() {
        let program = this_program();
        let found = footprint(&program).expect("an ELF file");
        assert!(found.text > 100_000 && found.data > 0 && found.bss > 0, "{found:?}");
        // Debug information and symbols are in the file, have no address and are not loaded.
        let file = object::File::parse(program.as_slice()).expect("an ELF file");
        let unloaded: u64 = file.sections().filter(|one| one.address() == 0).map(|one| one.size()).sum();
        assert!(unloaded > 0 && found.text + found.data + unloaded <= program.len() as u64, "{found:?}");
    }

    #[test]
    fn something_else_is_an_error() {
        assert!(footprint(b"not a program").is_err());
        assert!(symbol_sizes(&[], "").is_err());
    }
}
