//! What is told at the end: a table for people, an object for scripts. Its keys stand in `examples/README.md`; most are those of
//! the host example, and what only a target can tell is in `target`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    options::Options,
    update::{End, Update},
};

/// Bytes of a block, as the application asks for them.
const BLOCK_SIZE: usize = 4096;

/// Prints how an update ended: a line, or the table.
pub(crate) fn tell(update: &Update<'_, '_>, end: &End, options: &Options) {
    if options.quiet {
        println!(
            "{:<14} {:<9} {:<8} {} ({}), version {} runs, {} boots, {:.1} s",
            options.part.name,
            options.protocol.name(),
            end.outcome(),
            end.status,
            end.reason,
            end.running.version,
            update.boots,
            end.time.as_secs_f64()
        );
    } else {
        print!("{}", table(update, end));
    }
}

/// The one object of a run of several updates: the last one's, with the kills of all, how many they were and how they ended.
pub(crate) fn sum_up(mut updates: Vec<Value>) -> Value {
    let count = updates.len();
    let kills: u64 = updates.iter().filter_map(|update| update["kills"].as_u64()).sum();
    let mut ends = BTreeMap::<String, u32>::new();
    for outcome in updates.iter().filter_map(|update| update["outcome"].as_str()) {
        *ends.entry(outcome.to_owned()).or_default() += 1;
    }
    let mut sum = updates.pop().unwrap_or_else(|| json!({}));
    sum["kills"] = json!(kills);
    sum["updates"] = json!(count);
    sum["ends"] = json!(ends);
    sum
}

fn table(update: &Update<'_, '_>, end: &End) -> String {
    let sum = |name: &str| update.sums.get(name).copied().unwrap_or(0);
    let file = &update.setting.file;
    let mut rows = vec![
        ("job".to_owned(), format!("{}: {} ({})", update.cloud.job_id, end.status, end.reason)),
        ("runs now".to_owned(), format!("version {}", end.running.version)),
        ("file".to_owned(), format!("{} bytes, {} blocks of {BLOCK_SIZE}", file.len(), blocks(update))),
        ("requests".to_owned(), format!("{} for blocks, {} ranges", sum("requests"), sum("ranges"))),
        (
            "received".to_owned(),
            format!("{} blocks, {} resumed", sum("blocks_received"), sum("resumed_blocks")),
        ),
        (
            "secondary".to_owned(),
            format!(
                "{} erases, at most {} of one sector, {} bytes written",
                sum("erases"),
                sum("max_erases_per_sector"),
                sum("bytes_written")
            ),
        ),
        (
            "bootloader".to_owned(),
            format!("{} erases, {} bytes written", sum("bootloader_erases"), sum("bootloader_bytes")),
        ),
        ("boots".to_owned(), format!("{}, {} power cuts", update.boots, update.kills)),
    ];
    for (name, value) in &update.peaks {
        if name.starts_with("stack_") {
            rows.push((name.replace('_', " "), format!("{value} bytes at most")));
        } else if update.setting.options.count {
            rows.push((name.replace('_', " "), value.to_string()));
        }
    }
    rows.push(("time".to_owned(), format!("{:.1} s", end.time.as_secs_f64())));
    let lines: String = rows.iter().map(|(name, value)| format!("{name:<19} {value}\n")).collect();
    format!("\n{}\n{lines}", end.outcome())
}

fn blocks(update: &Update<'_, '_>) -> usize {
    update.setting.file.len().div_ceil(BLOCK_SIZE)
}

/// The object of one update.
pub(crate) fn object(update: &Update<'_, '_>, end: &End) -> Value {
    let sum = |name: &str| update.sums.get(name).copied().unwrap_or(0);
    let counted = update.setting.options.count;
    // Without `-icount` the clock runs with the host's and counts no instructions.
    let target: Map<String, Value> = update
        .peaks
        .iter()
        .filter(|(name, _)| counted || !name.starts_with("instructions_"))
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    json!({
        "outcome": end.outcome(),
        "job_status": end.status,
        "reason": end.cause(),
        "reason_detail": end.reason,
        "running_version": end.running.version.to_string(),
        "job_id": update.cloud.job_id,
        "file_size": update.setting.file.len(),
        "block_size": BLOCK_SIZE,
        "blocks": blocks(update),
        "requests": sum("requests"),
        "blocks_received": sum("blocks_received"),
        "duplicates": sum("duplicates"),
        "dropped": sum("dropped"),
        "resumed_blocks": sum("resumed_blocks"),
        "erases": sum("erases"),
        "max_erases_per_sector": sum("max_erases_per_sector"),
        "bytes_written": sum("bytes_written"),
        "journal_writes": sum("journal_writes"),
        "journal_erases": sum("journal_erases"),
        "confirm_writes": sum("confirm_writes"),
        "bootloader_erases": sum("bootloader_erases"),
        "bootloader_bytes_written": sum("bootloader_bytes"),
        "reboots": update.resets,
        "power_cut": update.power_cut,
        "flash_operations": sum("flash_operations"),
        "flash_violations": sum("flash_violations"),
        "time_ms": u64::try_from(end.time.as_millis()).unwrap_or(u64::MAX),
        "ranges": sum("ranges"),
        "boots": update.boots,
        "kills": update.kills,
        "target": target,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Programs read the object: a key that comes, goes or changes its name does so in the table, too. An update takes an
    /// emulator, so the keys are read from this file.
    #[test]
    fn the_object_has_the_keys_of_its_table() {
        const TABLE: &str = include_str!("../../../examples/README.md");
        let (_, table) = TABLE.split_once("## The object of `--json`").unwrap();
        let (table, _) = table.split_once("\n## ").unwrap();
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
        let mut keys: Vec<&str> = rows
            .filter(|row| !row.ends_with("| host"))
            .flat_map(|row| row.split(" | ").next().unwrap_or_default().split(", "))
            .map(|key| key.trim_matches('`'))
            .collect();
        keys.sort_unstable();
        let of_one = include_str!("report.rs").lines().filter_map(|line| line.strip_prefix("        \""));
        let of_one = of_one.filter_map(|line| Some(line.split_once("\":")?.0));
        let mut found: Vec<&str> = of_one.chain(["updates", "ends"]).collect();
        found.sort_unstable();
        assert_eq!(found, keys);
    }

    #[test]
    fn a_run_of_several_updates_is_one_object() {
        let one = |outcome: &str, kills: u32| json!({"outcome": outcome, "kills": kills, "blocks": 7});
        let sum = sum_up(vec![one("updated", 7), one("reverted", 1), one("updated", 6)]);
        let ends = json!({"reverted": 1, "updated": 2});
        assert_eq!(sum, json!({"outcome": "updated", "kills": 14, "blocks": 7, "updates": 3, "ends": ends}));
        assert_eq!(sum_up(Vec::new()), json!({"kills": 0, "updates": 0, "ends": {}}));
    }
}
