//! Sizes on the processor itself, where a pointer has 32 bits: each line becomes a static of that size, and
//! `cargo xtask sizes` reads name and size from the program's symbol table.

use core::hint::black_box;

use ota_core::{
    agent::{Action, Agent, Input},
    bitmap::Bitmap,
    boot::Image,
    driver::{Completion, Device, run},
    journal::{FlashJournal, Journal, Record},
    mqtt::{Mqtt, MqttLink},
    policy::{DefaultPolicy, NoObserver},
    slot::Slot,
    transport::{Connector, Control, NoRanges},
    verify::{Digest, EcdsaP256, PublicKey, Rules, Verified, verify},
    wire::document::OtaDocument,
};

use crate::stubs::{Clock, Flash, net::Stream};

/// Size of the future a call returns; the call itself is never made.
const fn future<A, F: Future>(_: &impl FnOnce(A) -> F) -> usize {
    size_of::<F>()
}

macro_rules! sizes {
    ($($name:literal = $size:expr;)*) => {
        /// Keeps the statics in the program.
        pub(crate) fn statics() {
            $({
                // SAFETY: no symbol of any library has a space in its name.
                #[unsafe(export_name = concat!("sizeof ", $name))]
                static SIZE: [u8; $size] = [0; $size];
                black_box(&SIZE);
            })*
        }
    };
}

/// Blocks, and sectors, of 4 KiB in a slot of 2 MiB.
const SLOT_BLOCKS: usize = (2 << 20) / 4096;
/// Bytes the journal writes at once on the kits: a record is padded to write units of 512.
const ROW: usize = (ota_core::journal::RECORD_SIZE as usize).next_multiple_of(512);

type Flashes = Image<Flash, Flash>;
type JobRules = Rules<'static, EcdsaP256<'static>>;
/// A device of one image over MQTT.
type MqttDevice = Device<
    'static,
    Mqtt<'static, Stream>,
    NoRanges,
    Flashes,
    FlashJournal<Flash>,
    DefaultPolicy,
    NoObserver,
    Clock,
    EcdsaP256<'static>,
>;

sizes! {
    "Action" = size_of::<Action>();
    "Agent" = size_of::<Agent<'_>>();
    "block bitmap, 2 MiB in 4 KiB" = SLOT_BLOCKS.div_ceil(8);
    "sector memory, 2 MiB in 4 KiB" = SLOT_BLOCKS.div_ceil(4);
    "journal row" = ROW;
    "Bitmap" = size_of::<Bitmap<'_>>();
    "Completion" = size_of::<Completion>();
    "Device" = size_of::<MqttDevice>();
    "Digest" = size_of::<Digest>();
    "Image" = size_of::<Flashes>();
    "Input" = size_of::<Input<'_>>();
    "Mqtt" = size_of::<Mqtt<'_, Stream>>();
    "MqttLink" = size_of::<MqttLink<'_, '_, Stream>>();
    "OtaDocument" = size_of::<OtaDocument<'_>>();
    "PublicKey" = size_of::<PublicKey<'_>>();
    "Record" = size_of::<Record>();
    "Slot" = size_of::<Slot<Flash>>();
    "Verified" = size_of::<Verified>();
    "future of Slot::write" =
        future(&|(slot, data): (&'static mut Slot<Flash>, &'static [u8])| slot.write(0, data));
    "future of run" = future(&|(agent, device): (&'static mut Agent<'static>, &'static mut MqttDevice)| run(agent, device));
    "future of verify" = future(&|(images, digest, rules): (&'static mut Flashes, Digest, &'static JobRules)| {
        verify(images, 0, 0, digest, &[], rules)
    });
    "future of Journal::append" =
        future(&|(journal, record): (&'static mut FlashJournal<Flash>, &'static Record)| journal.append(record));
    "future of Mqtt::connect" = future(&|mqtt: &'static mut Mqtt<'static, Stream>| mqtt.connect());
    "future of MqttLink::receive" =
        future(&|link: &'static mut MqttLink<'static, 'static, Stream>| link.receive());
}
