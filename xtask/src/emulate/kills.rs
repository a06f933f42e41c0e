//! Power cuts for real: QEMU is killed, the flash file is looked at, QEMU is started again, until the update ends.
//!
//! Where a kill falls is counted in the device's own progress (flash operations, frames, lines on its console), so a seed
//! repeats it as far as network and host do. Scripts come first, one for each part of an update; then scripts from the seed.

use anyhow::{Context, ensure};
use ota_sim::{
    aws::Rng,
    flash::{Cut, Tear, When},
};
use qemu_board::{Place, Plan};
use serde_json::Value;

use super::{
    build::{Firmware, Program},
    options::Options,
    report,
    setting::Setting,
    update::{Kill, Update},
};

/// How far the kills of one life are spread: flash operations of the application (a download has about 180), of the bootloader
/// (a swap has about 1200), frames and lines of the console. Less than a whole life has, so that most of them fall.
const DOWNLOAD_OPERATIONS: u64 = 80;
const SWAP_OPERATIONS: u64 = 900;
const FRAMES: u64 = 200;
const LINES: u64 = 60;
/// Kills in one update, at most: it shall end, too.
const KILLS_PER_UPDATE: core::ops::RangeInclusive<u64> = 4..=12;

const HALF: When = When::Inside(Tear::Half);
const ERASED: When = When::Inside(Tear::ReadsErased);
const COMPLETE: When = When::Inside(Tear::ReadsComplete);

const fn at(place: Place<'static>, operation: u32, when: When) -> Kill {
    Kill::Plan(Plan { place, cut: Cut { operation, when } })
}

const fn state(name: &'static str, operation: u32, when: When) -> Kill {
    at(Place::State(name), operation, when)
}

/// One update each: the kills of its lives, in the order in which their places come.
fn scripts() -> Vec<(&'static str, Program, Vec<Kill>)> {
    let boot = |operation, when| at(Place::Bootloader, operation, when);
    vec![
        (
            "download",
            Program::Second,
            vec![
                at(Place::Frame, 3, When::Before),
                state("Downloading", 0, When::Before),
                state("Downloading", 1, HALF),
                state("Downloading", 37, ERASED),
                at(Place::Frame, 150, When::Before),
                state("Downloading", 40, COMPLETE),
                Kill::Line(30),
            ],
        ),
        (
            "between the phases",
            Program::Second,
            vec![
                state("Offered", 0, HALF),
                state("Judging", 0, ERASED),
                state("Verifying", 0, COMPLETE),
                state("Ready", 0, HALF),
                state("Pending", 0, HALF),
            ],
        ),
        (
            "request for the swap",
            Program::Second,
            vec![
                state("Verified", 0, HALF),
                state("Activating", 0, When::Before),
                state("Activating", 0, HALF),
                state("Activating", 1, ERASED),
                state("Activating", 1, COMPLETE),
                state("Activating", 2, HALF),
                state("Activating", 3, When::After),
            ],
        ),
        (
            "swap",
            Program::Second,
            vec![
                boot(0, HALF),
                boot(0, When::After),
                boot(2, ERASED),
                boot(5, HALF),
                boot(101, COMPLETE),
                boot(202, When::Before),
                boot(203, HALF),
            ],
        ),
        ("before the confirm", Program::Second, vec![state("Confirming", 0, When::Before)]),
        ("in the confirm", Program::Second, vec![state("Confirming", 0, HALF)]),
        ("after the confirm", Program::Second, vec![state("Confirming", 0, When::After)]),
        // The first kill may fall in the swap forward already; the others fall in the way back.
        (
            "revert",
            Program::Broken,
            vec![boot(1200, HALF), boot(300, COMPLETE), boot(9, ERASED), boot(10, HALF)],
        ),
        (
            "a failure is owed",
            Program::Broken,
            vec![state("Failed", 0, HALF), state("Failed", 0, COMPLETE), state("Failed", 0, When::After)],
        ),
    ]
}

/// A script from the seed.
fn draw(rng: &mut Rng) -> (Program, Vec<Kill>) {
    let program = if rng.between(0..=5) == 0 { Program::Broken } else { Program::Second };
    let count = rng.between(KILLS_PER_UPDATE);
    (program, (0..count).map(|_| draw_kill(rng)).collect())
}

fn draw_kill(rng: &mut Rng) -> Kill {
    let mut below = |end: u64| u32::try_from(rng.between(0..=end - 1)).unwrap_or(0);
    let kind = below(100);
    let when = [When::Before, When::After, HALF, ERASED, COMPLETE][below(5) as usize];
    match kind {
        // Random bytes in a status entry are more than MCUboot promises to survive, so only the application's may tear so.
        0..10 => {
            let seed = below(1 << 30).into();
            at(Place::Application, below(DOWNLOAD_OPERATIONS), When::Inside(Tear::Garbage(seed)))
        }
        10..40 => at(Place::Application, below(DOWNLOAD_OPERATIONS), when),
        40..58 => at(Place::Bootloader, below(SWAP_OPERATIONS), when),
        58..70 => at(Place::Frame, below(FRAMES), When::Before),
        _ => Kill::Line(1 + below(LINES)),
    }
}

/// Kills QEMU `count` times or a few more, over as many updates as that takes.
pub(crate) fn run(firmware: &Firmware, options: &Options, count: u32) -> anyhow::Result<()> {
    println!("kills: seed {}", options.seed);
    // Where every self test shall fail there is no good image.
    let program = |program| if options.self_test_fails { Program::Broken } else { program };
    let (mut kills, mut updates) = (0, Vec::new());
    for (name, of_script, script) in scripts() {
        if kills < count {
            let (more, object) = update(firmware, options, program(of_script), &script)
                .with_context(|| format!("script `{name}`"))?;
            kills += more;
            updates.push(object);
        }
    }
    let mut rng = Rng::new(options.seed);
    while kills < count {
        let (drawn, script) = draw(&mut rng);
        let (more, object) = update(firmware, options, program(drawn), &script)
            .with_context(|| format!("{drawn:?}, {script:?}"))?;
        kills += more;
        updates.push(object);
        ensure!(updates.len() < 2 * count as usize + 20, "{kills} kills in {} updates", updates.len());
    }
    let sum = report::sum_up(updates);
    let ends = sum["ends"].as_object().into_iter().flatten();
    let ends: Vec<_> = ends.map(|(end, count)| format!("{count} {end}")).collect();
    println!(
        "{kills} kills in {} updates, flash whole and bootable after each; ends: {}",
        sum["updates"],
        ends.join(", ")
    );
    if options.json {
        println!("{sum}");
    }
    Ok(())
}

/// One update with these kills; how many fell, and its object.
fn update(
    firmware: &Firmware,
    options: &Options,
    program: Program,
    script: &[Kill],
) -> anyhow::Result<(u32, Value)> {
    let setting = Setting::new(firmware, options, program);
    let mut update = Update::new(&setting)?;
    update.run(|life| script.get(life as usize).copied())?;
    let end = update.end()?;
    let outcome = end.outcome();
    if !options.quiet {
        report::tell(&update, &end, options);
    }
    // A power cut before the confirm makes a good image go, too; the other way round nothing may happen.
    let expected = update.expected_without_cuts();
    let reverted = update.can_revert() && outcome == "reverted";
    ensure!(
        outcome == expected || reverted,
        "the outcome is {outcome} ({}), expected was {expected}",
        end.reason
    );
    Ok((update.kills, report::object(&update, &end)))
}

#[cfg(test)]
mod tests {
    use qemu_board::Arguments;

    use super::*;

    #[test]
    fn the_device_reads_every_plan_as_it_was_meant() {
        let mut rng = Rng::new(3);
        let drawn = (0..200).flat_map(|_| draw(&mut rng).1);
        let mut count = 0;
        for kill in scripts().into_iter().flat_map(|(_, _, script)| script).chain(drawn) {
            if let Kill::Plan(plan) = kill {
                let line = format!("device seed=7 cut={plan}");
                assert_eq!(Arguments::parse(&line), Arguments { seed: 7, plan: Some(plan) }, "{line}");
                count += 1;
            }
        }
        assert!(count > 500, "{count}");
        assert_eq!(Arguments::parse("device cut=frame:x:half seed=-1"), Arguments::default());
    }
}
