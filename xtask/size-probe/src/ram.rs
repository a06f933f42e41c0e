//! Sizes on the processor itself, where a pointer has 32 bits: each line becomes a static of that size, and
//! `cargo xtask sizes` reads name and size from the program's symbol table.

use core::hint::black_box;

use ota_core::{
    bitmap::Bitmap,
    boot::Image,
    journal::{FlashJournal, Journal, Record},
    mqtt::{Mqtt, MqttLink},
    slot::Slot,
    transport::{Connector, Control},
    verify::{Digest, EcdsaP256, PublicKey, Rules, Verified, verify},
    wire::document::OtaDocument,
};

use crate::stubs::{Flash, net::Stream};

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

type Flashes = Image<Flash, Flash>;
type JobRules = Rules<'static, EcdsaP256<'static>>;

sizes! {
    "Bitmap" = size_of::<Bitmap<'_>>();
    "Digest" = size_of::<Digest>();
    "Image" = size_of::<Flashes>();
    "Mqtt" = size_of::<Mqtt<'_, Stream>>();
    "MqttLink" = size_of::<MqttLink<'_, '_, Stream>>();
    "OtaDocument" = size_of::<OtaDocument<'_>>();
    "PublicKey" = size_of::<PublicKey<'_>>();
    "Record" = size_of::<Record>();
    "Slot" = size_of::<Slot<Flash>>();
    "Verified" = size_of::<Verified>();
    "future of Slot::write" =
        future(&|(slot, data): (&'static mut Slot<Flash>, &'static [u8])| slot.write(0, data));
    "future of verify" = future(&|(images, digest, rules): (&'static mut Flashes, Digest, &'static JobRules)| {
        verify(images, 0, 0, digest, &[], rules)
    });
    "future of Journal::append" =
        future(&|(journal, record): (&'static mut FlashJournal<Flash>, &'static Record)| journal.append(record));
    "future of Mqtt::connect" = future(&|mqtt: &'static mut Mqtt<'static, Stream>| mqtt.connect());
    "future of MqttLink::receive" =
        future(&|link: &'static mut MqttLink<'static, 'static, Stream>| link.receive());
}
