//! Who calls whom in a linked program for Armv7-M, read from its machine code, and who can panic.
//!
//! A call is a `BL`, `B.W` or conditional branch to the start of another function (Armv7-M architecture reference manual,
//! A7.7.12 and A7.7.18). A call through a pointer is not seen here; what panics behind one is in the program all the same,
//! and is reported without a name.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

/// Where every panic of Rust's core library ends.
const PANICKING: &str = "core::panicking::";
/// What an `async fn` calls when it is polled after its end. No executor does; no source line can take the check away.
const RESUMED: &[&str] = &[
    "core::panicking::panic_const::panic_const_async_fn_resumed",
    "core::panicking::panic_const::panic_const_async_fn_resumed_drop",
    "core::panicking::panic_const::panic_const_async_fn_resumed_panic",
];
/// Crates whose functions only pass a panic on: whoever calls them is looked for.
const STANDARD: &[&str] = &["core", "alloc", "std", "compiler_builtins"];
/// What LLVM calls instructions that several functions have in common.
const OUTLINED: &str = "OUTLINED_FUNCTION_";

/// The functions of a program and the calls between them.
pub(crate) struct Calls {
    names: Vec<String>,
    /// Callers of each function.
    callers: BTreeMap<usize, BTreeSet<usize>>,
}

impl Calls {
    /// Reads `program`.
    pub(crate) fn of(program: &[u8]) -> anyhow::Result<Self> {
        let file = object::File::parse(program).context("not an ELF file")?;
        let text = file.section_by_name(".text").context("no section .text")?;
        let code = text.data()?;
        let mut functions: Vec<(u64, u64, String)> = file
            .symbols()
            .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0)
            .filter_map(|symbol| Some((symbol.address() & !1, symbol.size(), demangled(symbol.name().ok()?))))
            .collect();
        functions.sort();
        functions.dedup_by_key(|function| function.0);
        // Where code and the tables in it begin (ELF for the Arm architecture, 5.5.5).
        let mut kinds: Vec<(u64, bool)> = file
            .symbols()
            .filter_map(|symbol| {
                let name = symbol.name().ok()?;
                let data = name.starts_with("$d");
                (data || name.starts_with("$t")).then_some((symbol.address() & !1, data))
            })
            .collect();
        kinds.sort();
        let mut callers: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (from, (start, size, _)) in functions.iter().enumerate() {
            let mut at = *start;
            while at < start + size {
                let place = usize::try_from(at - text.address())?;
                let Some(bytes) = code.get(place..place + 2) else { break };
                let first = u16::from_le_bytes([bytes[0], bytes[1]]);
                let in_table = kinds.partition_point(|kind| kind.0 <= at).checked_sub(1);
                if in_table.is_some_and(|kind| kinds[kind].1) || first >> 11 < 0b11101 {
                    at += 2;
                    continue;
                }
                let Some(bytes) = code.get(place + 2..place + 4) else { break };
                let second = u16::from_le_bytes([bytes[0], bytes[1]]);
                if let Some(target) = branch(at, first, second)
                    && let Ok(to) = functions.binary_search_by_key(&target, |function| function.0)
                    && to != from
                {
                    callers.entry(to).or_default().insert(from);
                }
                at += 4;
            }
        }
        Ok(Self { names: functions.into_iter().map(|function| function.2).collect(), callers })
    }

    /// The functions outside Rust's own libraries that can panic. A panic nobody was seen to call has the name of its own
    /// function.
    pub(crate) fn panicking(&self) -> BTreeSet<&str> {
        let roots = (0..self.names.len()).filter(|&function| {
            let name = self.names[function].as_str();
            name.starts_with(PANICKING) && !RESUMED.contains(&name)
        });
        let mut found = BTreeSet::new();
        for root in roots {
            let (mut seen, mut next) = (BTreeSet::from([root]), vec![root]);
            let mut blamed = false;
            while let Some(function) = next.pop() {
                for &caller in self.callers.get(&function).into_iter().flatten() {
                    let name = &self.names[caller];
                    if RESUMED.contains(&name.as_str()) {
                        blamed = true;
                        continue;
                    }
                    if !STANDARD.contains(&crate_of(name)) && !name.starts_with(OUTLINED) {
                        found.insert(name.as_str());
                        blamed = true;
                    } else if seen.insert(caller) {
                        next.push(caller);
                    }
                }
            }
            if !blamed {
                found.insert(self.names[root].as_str());
            }
        }
        found
    }
}

/// A name as a reader of the source knows it, without the hash.
pub(crate) fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

/// The crate a demangled name belongs to: of `<Type as Trait>::method` the type's, or the trait's where the type is a
/// parameter.
pub(crate) fn crate_of(name: &str) -> &str {
    let path = name.trim_start_matches(['<', '&', '*', '(', '[', '_']);
    let path = path.strip_prefix("mut ").unwrap_or(path);
    // Methods of primitive types and slices: `<u32>::div_ceil`.
    if path.split("::").next().is_some_and(|first| first.ends_with(['>', ']'])) && !path.contains(" as ") {
        return "core";
    }
    match path.split_once(" as ") {
        Some((of, implemented)) if !of.contains("::") => {
            implemented.split("::").next().unwrap_or(implemented)
        }
        _ => path.split("::").next().unwrap_or(path),
    }
}

/// The target of a 32-bit branch at `at`.
pub(crate) fn branch(at: u64, first: u16, second: u16) -> Option<u64> {
    if first >> 11 != 0b11110 || second >> 15 == 0 {
        return None;
    }
    let bit = |from: u16, place: u32| u32::from(from >> place & 1);
    let (sign, j1, j2) = (bit(first, 10), bit(second, 13), bit(second, 11));
    let low = u32::from(second & 0x7FF) << 1;
    let offset = if second & 0x1000 != 0 {
        // BL (T1), or B.W (T4) where bit 14 is clear.
        let (i1, i2) = (!(j1 ^ sign) & 1, !(j2 ^ sign) & 1);
        let bits = sign << 24 | i1 << 23 | i2 << 22 | u32::from(first & 0x3FF) << 12 | low;
        (bits << 7).cast_signed() >> 7
    } else {
        // A conditional branch (T3); the conditions 14 and 15 are other instructions.
        if second & 0x4000 != 0 || first >> 7 & 7 == 7 {
            return None;
        }
        let bits = sign << 20 | j2 << 19 | j1 << 18 | u32::from(first & 0x3F) << 12 | low;
        (bits << 11).cast_signed() >> 11
    };
    at.checked_add(4)?.checked_add_signed(offset.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_read_as_an_assembler_writes_them() {
        // Of a disassembly: address, halfwords, target.
        for (at, first, second, target) in [
            (0x1000, 0xF000, 0xF800, Some(0x1004)),
            (0x1000, 0xF7FF, 0xFFFE, Some(0x1000)),
            (0x1000_b810, 0xF002, 0xFDDE, Some(0x1000_e3d0)),
            (0x1000_b8e6, 0xF004, 0xBC51, Some(0x1001_018c)),
            (0x1000, 0xF040, 0x8002, Some(0x1008)),
            (0x1000, 0xF3BF, 0x8F4F, None),
            (0x1000, 0xF8D0, 0x0458, None),
        ] {
            assert_eq!(branch(at, first, second), target, "{at:#x} {first:#x} {second:#x}");
        }
    }

    #[test]
    fn the_panics_of_the_standard_library_are_blamed_on_its_callers() {
        let names = [
            "core::panicking::panic_fmt",
            "core::slice::index::slice_index_fail",
            "ota_core::slot::read",
            "core::panicking::panic_const::panic_const_async_fn_resumed",
            "ota_core::slot::erase",
            "core::panicking::panic_nounwind",
        ];
        let callers =
            [(0, vec![1, 3]), (1, vec![2]), (3, vec![4])].map(|(to, from)| (to, from.into_iter().collect()));
        let calls =
            Calls { names: names.map(str::to_owned).to_vec(), callers: callers.into_iter().collect() };
        let found: Vec<&str> = calls.panicking().into_iter().collect();
        assert_eq!(found, ["core::panicking::panic_nounwind", "ota_core::slot::read"]);
    }

    #[test]
    fn names_belong_to_crates() {
        for (name, owner) in [
            ("ota_core::agent::Agent::step", "ota_core"),
            ("<ota_core::wire::Unescaped as core::iter::Iterator>::next", "ota_core"),
            ("<&T as core::fmt::Display>::fmt", "core"),
            ("<T as der::decode::Decode>::decode", "der"),
            ("<u32>::div_ceil", "core"),
            ("memcpy", "memcpy"),
        ] {
            assert_eq!(crate_of(name), owner, "{name}");
        }
    }
}
