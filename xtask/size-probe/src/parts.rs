//! The parts that are measured. Each is one function and one feature of this crate.
#![allow(unused_imports, reason = "each program has some of the parts")]

use core::hint::black_box;

use crate::{stubs::Flash, unknown, unknown_str};

#[cfg(feature = "sha256")]
pub(crate) fn sha256() {
    use sha2::Digest;
    black_box(sha2::Sha256::digest(unknown()));
}

/// A signature over a digest, checked the way a job's is.
#[cfg(feature = "p256")]
pub(crate) fn p256() {
    use p256::ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier};
    let Ok(key) = VerifyingKey::from_sec1_bytes(unknown()) else { return };
    let Ok(signature) = Signature::from_der(unknown()) else { return };
    let _ = black_box(key.verify_prehash(unknown(), &signature));
}

/// All messages of a download over MQTT with CBOR blocks, without what decides about them.
#[cfg(feature = "wire")]
pub(crate) fn wire() {
    use ota_core::wire::{job, request::GetStream, stream, topic, update};

    let _ = black_box(topic::Incoming::parse(unknown_str(), unknown_str()));
    let _ = black_box(topic::Topic::DescribeNext.encode(unknown_str(), unknown()));
    let _ = black_box(job::parse_update(unknown()));
    if let Ok(answer) = job::parse_describe(unknown()) {
        if let Some(execution) = &answer.execution
            && let ota_core::wire::document::Document::Ota(document) = execution.document()
        {
            for file in document.files() {
                let _ = black_box(file);
            }
        }
        black_box(answer);
    }
    let _ = black_box(update::encode_describe(unknown(), unknown_str(), true, None));
    let changed = update::Update {
        status: job::JobStatus::InProgress,
        details: black_box(&[("receive", "1/2")]),
        expected_version: black_box(None),
        execution_number: black_box(None),
        include_state: true,
        token: Some(unknown_str()),
    };
    let _ = black_box(update::encode_update(unknown(), &changed));
    let request = GetStream {
        token: None,
        file_id: black_box(0),
        block_size: black_box(4096),
        offset: black_box(0),
        bitmap: unknown(),
        count: black_box(1),
    };
    let _ = black_box(request.encode(topic::Format::Cbor, unknown()));
    let _ = black_box(stream::decode_block(topic::Format::Cbor, unknown(), unknown()));
    let _ = black_box(ota_core::wire::rejection::parse_stream_error(topic::Format::Cbor, unknown()));
}

/// The way of one block: decode, bitmap, write with read-back.
#[cfg(feature = "block")]
pub(crate) async fn block() {
    use ota_core::{
        bitmap::Bitmap,
        slot::Slot,
        wire::{Format, stream},
    };

    let Some(mut bitmap) = Bitmap::new(unknown(), black_box(256)) else { return };
    let Ok(mut slot) = Slot::new(Flash, layout::SECONDARY) else { return };
    if let Ok(block) = stream::decode_block(Format::Cbor, unknown(), unknown())
        && bitmap.is_missing(block.block_id)
    {
        let _ = black_box(slot.erase(black_box(0)).await);
        let _ = black_box(slot.write(black_box(0), block.payload).await);
        bitmap.clear(block.block_id);
    }
    black_box(bitmap.window(black_box(0), unknown()));
}

/// Verification; with feature `boot` also what is done with its proof, and the confirm of the next start.
#[cfg(feature = "verify")]
pub(crate) async fn verify() {
    use ota_core::{
        boot::Image,
        verify::{Digest, EcdsaP256, PublicKey, Rules, verify},
    };

    let Ok(mut images) = Image::new(Flash, Flash, layout::IMAGE) else { return };
    let mut digest = Digest::new();
    digest.set_image_end(black_box(1000));
    digest.update(unknown());
    let Ok(key) = PublicKey::spki(unknown()) else { return };
    let keys = [key];
    let Ok(job) = EcdsaP256::new(&keys) else { return };
    let rules = Rules { job, image_keys: &keys, reset_vector: None };
    let verified = verify(&mut images, 0, black_box(1000), digest, unknown(), &rules).await;
    #[cfg(feature = "boot")]
    {
        use ota_core::{boot::Images, trailer::Pending};
        if let Ok(token) = verified {
            let _ = black_box(images.set_pending(token, black_box(Pending::Test)).await);
        }
        let _ = black_box(images.inspect(0).await);
        let _ = black_box(images.withdraw(0).await);
        let _ = black_box(images.confirm(0).await);
    }
    #[cfg(not(feature = "boot"))]
    let _ = black_box(verified);
}

#[cfg(feature = "journal")]
pub(crate) async fn journal() {
    use ota_core::journal::{FlashJournal, Journal};

    let Ok(mut journal) = FlashJournal::<_>::new(Flash, layout::JOURNAL) else { return };
    if let Ok(Some(record)) = journal.load().await {
        let _ = black_box(journal.append(black_box(&record)).await);
    }
}

/// Connect, subscribe, publish, receive.
#[cfg(feature = "mqtt")]
pub(crate) async fn mqtt() {
    use ota_core::transport::{Connector, Control, Qos};

    let Some(mut mqtt) = mqtt_plane() else { return };
    let Ok(mut link) = mqtt.connect().await else { return };
    let _ = black_box(link.subscribe(&[(unknown_str(), Qos::AtLeastOnce)]).await);
    let _ = black_box(link.publish(unknown_str(), unknown(), black_box(Qos::AtLeastOnce)).await);
    let _ = black_box(link.receive().await);
}

#[cfg(feature = "mqtt")]
pub(crate) fn mqtt_plane() -> Option<ota_core::mqtt::Mqtt<'static, crate::stubs::net::Stream>> {
    use ota_core::{
        mqtt::{Config, Mqtt},
        open::Endpoint,
    };

    Mqtt::new(
        crate::stubs::net::Stream,
        Config::new(unknown_str(), Endpoint::tls(unknown_str(), 8883)),
        unknown(),
        unknown(),
    )
    .ok()
}

/// A whole device of one image: everything `driver::run` puts to use.
#[cfg(feature = "agent")]
pub(crate) async fn agent(connector: impl ota_core::transport::Connector) {
    use ota_core::{
        agent::{Agent, Config, Memory},
        boot::Image,
        command::Commands,
        driver::{Device, Local, run},
        journal::FlashJournal,
        policy::{DefaultPolicy, NoObserver},
        transport::NoRanges,
        verify::{EcdsaP256, PublicKey, Rules},
    };

    let config = Config::new(unknown_str(), core::slice::from_ref(&layout::IMAGE));
    let memory = Memory { strings: unknown(), blocks: unknown(), sectors: unknown() };
    let Ok(mut agent) = Agent::new(&config, memory) else { return };
    let Ok(images) = Image::new(Flash, Flash, layout::IMAGE) else { return };
    let Ok(journal) = FlashJournal::<_>::new(Flash, layout::JOURNAL) else { return };
    let Ok(key) = PublicKey::spki(unknown()) else { return };
    let keys = [key];
    let Ok(job) = EcdsaP256::new(&keys) else { return };
    let rules = Rules { job, image_keys: &keys, reset_vector: None };
    let mut device = Device {
        connector,
        ranges: NoRanges,
        local: Local::new(images, journal, rules, DefaultPolicy, NoObserver),
        timer: crate::stubs::Clock,
        commands: &Commands::new(),
        buffer: unknown(),
        block: &mut [],
    };
    black_box(run(&mut agent, &mut device).await);
}

/// Two slots and a journal in external NOR.
pub(crate) mod layout {
    use ota_core::{
        geometry::{BootMode, Geometry, ImageLayout, ImageSlots, MaxAlign, Reprogram, SlotLayout},
        journal::{JournalLayout, JournalRegion},
    };

    const SLOT: SlotLayout = SlotLayout {
        start: 0,
        size: 1 << 20,
        sector_size: 4096,
        write_size: 1,
        erased: 0xff,
        reprogram: Reprogram::Allowed,
        rewrite: false,
        erase_ms: 0,
    };
    pub(crate) const PRIMARY: Geometry = Geometry::checked(SLOT);
    pub(crate) const SECONDARY: Geometry = Geometry::checked(SlotLayout { start: 1 << 20, ..SLOT });
    pub(crate) const IMAGE: ImageLayout = ImageLayout::checked(ImageSlots {
        primary: PRIMARY,
        secondary: SECONDARY,
        mode: BootMode::SwapMove,
        max_align: MaxAlign::M8,
        boot_write_size: 8,
        max_sectors: 256,
    });
    pub(crate) const JOURNAL: JournalRegion = JournalRegion::checked(JournalLayout {
        start: 2 << 20,
        sector_count: 2,
        sector_size: 4096,
        write_size: 1,
        erased: 0xff,
        reprogram: Reprogram::Allowed,
        rewrite: false,
    });
}
