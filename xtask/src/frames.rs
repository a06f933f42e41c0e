//! Stack frames, read from the machine code of function prologues (Armv7-M: PUSH, VPUSH, SUB SP).

use anyhow::Context;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use crate::calls;

/// Halfwords of a function in which its prologue is looked for.
const PROLOGUE: usize = 40;

/// The function with the largest stack frame, and its bytes.
///
/// What a function pushes for a single call in its middle is not counted; compilers for this processor do not.
pub(crate) fn largest(program: &[u8]) -> anyhow::Result<(String, u64)> {
    let file = object::File::parse(program).context("not an ELF file")?;
    let mut found = (String::new(), 0);
    for symbol in file.symbols().filter(|one| one.kind() == SymbolKind::Text && one.size() > 0) {
        let Some(index) = symbol.section_index() else { continue };
        let section = file.section_by_index(index)?;
        let size = symbol.size().min(2 * PROLOGUE as u64);
        let Some(code) = section.data_range(symbol.address() & !1, size)? else { continue };
        let code: Vec<u16> =
            code.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        let bytes = frame(&code);
        if bytes > found.1 {
            found = (calls::demangled(symbol.name()?), bytes);
        }
    }
    Ok(found)
}

/// Bytes a prologue takes from the stack.
fn frame(code: &[u16]) -> u64 {
    let mut bytes = 0;
    let mut at = 0;
    while let Some(&first) = code.get(at) {
        if first >> 11 < 0b11101 {
            match first >> 8 {
                // PUSH (T1): eight registers and LR.
                0xB4 | 0xB5 => bytes += u64::from((first & 0x1FF).count_ones()) * 4,
                // SUB SP, #imm7 × 4 (T1).
                0xB0 if first & 0x80 != 0 => bytes += u64::from(first & 0x7F) * 4,
                // POP, BX, an unconditional branch: the prologue is over.
                0xBC | 0xBD | 0xE0..=0xE7 => return bytes,
                _ => {}
            }
            at += 1;
            continue;
        }
        let Some(&second) = code.get(at + 1) else { break };
        match first {
            // STMDB SP! (T2 of PUSH).
            0xE92D => bytes += u64::from(second.count_ones()) * 4,
            // VPUSH of double words.
            0xED2D if second >> 8 & 0xF == 0xB => bytes += u64::from(second & 0xFF) * 4,
            // SUB.W SP, SP, #const (T2) and SUBW SP, SP, #imm12 (T3), with SP as destination.
            0xF1AD | 0xF5AD if second >> 8 & 0xF == 13 => bytes += expand(first, second),
            0xF2AD | 0xF6AD if second >> 8 & 0xF == 13 => bytes += imm12(first, second),
            _ => {}
        }
        at += 2;
    }
    bytes
}

/// `i:imm3:imm8` as it stands.
fn imm12(first: u16, second: u16) -> u64 {
    u64::from(first >> 10 & 1) << 11 | u64::from(second >> 12 & 7) << 8 | u64::from(second & 0xFF)
}

/// A modified immediate (Armv7-M, A5.3.2).
fn expand(first: u16, second: u16) -> u64 {
    let imm = imm12(first, second);
    let byte = imm & 0xFF;
    match imm >> 8 {
        0 => byte,
        1 => byte | byte << 16,
        2 => byte << 8 | byte << 24,
        3 => byte | byte << 8 | byte << 16 | byte << 24,
        _ => {
            let unrotated = 0x80 | imm as u32 & 0x7F;
            unrotated.rotate_right((imm >> 7) as u32).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prologues_as_an_assembler_writes_them() {
        for (code, bytes) in [
            (&[0xB5F0, 0xAF03][..], 20),
            (&[0xB5F0, 0xAF03, 0xE92D, 0x0F00, 0xB0A1], 20 + 16 + 132),
            (&[0xE92D, 0x4FF0, 0xF5AD, 0x5D80], 36 + 4096),
            (&[0xE92D, 0x4FF0, 0xF6AD, 0x7D1C], 36 + 0xF1C),
            (&[0xB580, 0xED2D, 0x8B04, 0xF2AD, 0x4D04], 8 + 16 + 0x404),
            // Nothing behind a return counts.
            (&[0x4770, 0xE7FE, 0xB5F0], 0),
            (&[0xB510, 0xBD10, 0xB0FF], 8),
        ] {
            assert_eq!(frame(code), bytes, "{code:#06x?}");
        }
    }
}
