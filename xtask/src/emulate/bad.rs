//! Bad input: a cloud that is broken, careless or hostile. The image that runs goes on running, the job says why, and nothing
//! panics (a panic of the device fails the update it happens in).

use anyhow::{Context, ensure};
use ota_sim::image::{Corruption, ImageBuilder, Key, Version};
use qemu_board::{FLASH_BASE, HEADER_SIZE};
use serde_json::Value;

use super::{
    build::{Firmware, Program},
    options::{Options, Protocol},
    report,
    setting::Setting,
    update::{Enough, Update},
};

/// What one case is to come to.
enum Expect {
    /// The job's status and its reason.
    Job(&'static str, &'static str),
    /// The device refuses the server, and says so in these words; it never learns of the job.
    Refusal(&'static str),
    /// The server refuses the device, which never learns of the job.
    Refused,
}

struct Case {
    name: &'static str,
    protocol: Protocol,
    change: fn(&mut Setting<'_>),
    expect: Expect,
}

const fn case(name: &'static str, change: fn(&mut Setting<'_>), expect: Expect) -> Case {
    Case { name, protocol: Protocol::Mqtt, change, expect }
}

const GOOD: Expect = Expect::Job("SUCCEEDED", "accepted v2.0.0");

const CASES: &[Case] = &[
    case(
        "the job is signed by somebody else",
        |setting| setting.job_key = Key::from_seed(99),
        Expect::Job("FAILED", "signature_invalid"),
    ),
    case(
        "the image is signed by somebody else",
        |setting| setting.file = setting.image(&Key::from_seed(99)),
        Expect::Job("FAILED", "image_signature_invalid"),
    ),
    case(
        "one bit of the image is wrong",
        |setting| setting.spoil(Corruption::Payload),
        Expect::Job("FAILED", "image_hash_mismatch"),
    ),
    case(
        "the image's signature is cut off",
        |setting| setting.spoil(Corruption::Truncated(20)),
        Expect::Job("FAILED", "image_invalid"),
    ),
    case(
        "half of the image is missing",
        |setting| setting.spoil(Corruption::Truncated(setting.file.len() / 2)),
        Expect::Job("REJECTED", "image_truncated"),
    ),
    case(
        "the file is no image",
        |setting| setting.spoil(Corruption::Magic),
        Expect::Job("REJECTED", "not_an_image"),
    ),
    case(
        "the image is older than the one that runs",
        |setting| setting.file = linked_at(Version::new(0, 9, 0, 0), FLASH_BASE, &setting.image_key),
        Expect::Job("REJECTED", "downgrade"),
    ),
    case(
        "the image is linked for another place",
        |setting| {
            setting.file = linked_at(Firmware::version(Program::Second), 0x0800_0000, &setting.image_key);
        },
        Expect::Job("REJECTED", "wrong_slot"),
    ),
    case(
        "the server's certificate is another's",
        |setting| setting.server_name = "broker.example",
        Expect::Refusal("name"),
    ),
    case(
        "the server's certificate is signed by somebody else",
        |setting| setting.foreign_root = true,
        Expect::Refusal("root"),
    ),
    case("the server does not know the device", |setting| setting.foreign_device = true, Expect::Refused),
    case(
        "blocks are lost, doubled, late and cut off",
        |setting| setting.more = words(&["--fault", "loss=10,dup=10,reorder=10,truncate=5"]),
        GOOD,
    ),
    case(
        "bits flip on the way",
        |setting| setting.more = words(&["--fault", "flip=30"]),
        Expect::Job("FAILED", "signature_invalid"),
    ),
    Case {
        name: "the stream stops half-way",
        protocol: Protocol::Both,
        change: |setting| setting.more = words(&["--mqtt-fault", "die-at=50"]),
        expect: GOOD,
    },
    Case {
        name: "the file server has a bad day",
        protocol: Protocol::Http,
        change: |setting| {
            let faults = "status=500,busy=1,close=5000,chunked,ignore-range,connection-close,expired";
            setting.more = words(&["--http-fault", faults, "--range-limit", "50000"]);
        },
        expect: GOOD,
    },
];

/// An image of no use, whose program begins behind the header at `address`.
fn linked_at(version: Version, address: u32, key: &Key) -> Vec<u8> {
    let reset = address + HEADER_SIZE + 0x101;
    let image = ImageBuilder::new(version, vec![0x55; 50_000]).reset_vector(0x2000_1000, reset);
    image.header_size(HEADER_SIZE as u16).signed(key)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// All cases, one line each.
pub(crate) fn run(firmware: &Firmware, options: &Options) -> anyhow::Result<()> {
    let mut ends = Vec::new();
    for case in CASES.iter().filter(|case| case.name.contains(&options.case)) {
        let options = Options { protocol: case.protocol, ..options.clone() };
        ends.push(one(firmware, &options, case).with_context(|| case.name)?);
    }
    ensure!(!ends.is_empty(), "--case: no case has `{}` in its name", options.case);
    println!("{} cases of bad input, and the device says why", ends.len());
    if options.json {
        println!("{}", report::sum_up(ends));
    }
    Ok(())
}

/// One case; the object of its update.
fn one(firmware: &Firmware, options: &Options, case: &Case) -> anyhow::Result<Value> {
    let mut setting = Setting::new(firmware, options, Program::Second);
    (case.change)(&mut setting);
    let mut update = Update::new(&setting)?;
    update.enough = match case.expect {
        Expect::Job(..) => None,
        Expect::Refusal(_) => Some(Enough::Refusals(2)),
        Expect::Refused => Some(Enough::Connections(3)),
    };
    update.run(|_| None)?;
    let end = update.end()?;
    let (status, cause) = (&*end.status, end.cause());
    match case.expect {
        Expect::Job(wanted, reason) => {
            ensure!(
                (status, cause) == (wanted, reason),
                "the job is {status} ({cause}), not {wanted} ({reason})"
            );
        }
        Expect::Refusal(wanted) => {
            ensure!(status == "QUEUED", "the job is {status} ({cause})");
            let said = update.refusals.join("; ");
            ensure!(said.contains(wanted), "the device says `{said}`, and nothing of `{wanted}`");
        }
        Expect::Refused => ensure!(status == "QUEUED", "the job is {status} ({cause})"),
    }
    print!("{:<52} {:>5.1} s  ", case.name, end.time.as_secs_f64());
    match update.refusals.first() {
        Some(said) => println!("{said}"),
        None if status == "QUEUED" => println!("the device tries again"),
        None => println!("{status} ({cause}), version {} runs", end.running.version),
    }
    if !options.quiet {
        report::tell(&update, &end, options);
    }
    Ok(report::object(&update, &end))
}
