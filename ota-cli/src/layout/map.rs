//! A map for people, and for programs.

use std::fmt::Write as _;

use anyhow::Result;
use ota_psoc6::layout::{Area, HEADER_SIZE};
use serde_json::{Value, json};

use super::{Choice, mode_name};

pub(super) fn table(choice: &Choice) -> String {
    let spec = choice.map.spec();
    let mut text = format!("{}, {}, {}\n\n", choice.board.name, spec.name, mode_name(spec.mode));
    let mut rows: Vec<(String, Area)> = Vec::new();
    for pair in spec.images {
        rows.push((format!("{}, primary", pair.name), pair.primary));
        rows.push((format!("{}, secondary", pair.name), pair.secondary));
    }
    rows.extend(spec.reserved.iter().map(|reserved| (reserved.name.to_owned(), reserved.area)));
    let named = [("swap status", spec.status), ("scratch", spec.scratch), ("journal", spec.journal)];
    let own = |area: &Area| spec.reserved.iter().any(|reserved| reserved.area == *area);
    rows.extend(
        named.into_iter().filter_map(|(name, area)| Some((name.to_owned(), area.filter(|a| !own(a))?))),
    );
    rows.push(("RAM".to_owned(), spec.ram));
    rows.push(("RAM of bootloader and secure firmware".to_owned(), spec.boot_ram));
    rows.sort_by_key(|(_, area)| area.address());
    let _ = writeln!(text, "{:<10}  {:<10}  {:>9}  area", "start", "end", "size");
    for (name, area) in rows {
        let _ =
            writeln!(text, "{:#010X}  {:#010X}  {:>#9X}  {name}", area.address(), area.end(), area.size());
    }
    let program = choice.map.program();
    let _ = writeln!(text, "\nprogram     {:#010X}, at most {:#X} bytes", program.address(), program.size());
    let _ = writeln!(
        text,
        "image       at most {:#X} bytes, header {HEADER_SIZE:#X} and signature included",
        choice.map.image(0).max_image_size()
    );
    text
}

pub(super) fn json(choice: &Choice) -> Result<String> {
    let spec = choice.map.spec();
    let area = |area: Area| json!({ "start": area.address(), "size": area.size() });
    let maybe = |place: Option<Area>| place.map_or(Value::Null, area);
    let images: Vec<Value> = spec
        .images
        .iter()
        .enumerate()
        .map(|(index, pair)| {
            let layout = choice.map.image(index);
            json!({
                "name": pair.name,
                "primary": area(pair.primary),
                "secondary": area(pair.secondary),
                "secondary_sector_size": layout.secondary().sector_size(),
                "secondary_erased": layout.secondary().erased(),
                "max_image_size": layout.max_image_size(),
            })
        })
        .collect();
    let reserved: Vec<Value> =
        spec.reserved.iter().map(|it| json!({ "name": it.name, "area": area(it.area) })).collect();
    let map = json!({
        "kit": choice.board.name,
        "mcu": choice.board.mcu,
        "map": spec.name,
        "boot_mode": mode_name(spec.mode),
        "images": images,
        "status": maybe(spec.status),
        "scratch": maybe(spec.scratch),
        "journal": maybe(spec.journal),
        "reserved": reserved,
        "max_sectors": spec.max_sectors,
        "header_size": HEADER_SIZE,
        "trailer_size": spec.trailer_size,
        "program": area(choice.map.program()),
        "ram": area(spec.ram),
        "boot_ram": area(spec.boot_ram),
    });
    Ok(serde_json::to_string_pretty(&map)? + "\n")
}
