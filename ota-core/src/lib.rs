//! Over-the-air firmware update for embedded Rust, from AWS IoT Jobs into MCUboot slots, without a heap.
//!
//! The library takes a job from AWS IoT Jobs, downloads the file over MQTT streams (or in HTTP ranges), writes it block by block into
//! MCUboot's secondary slot, verifies it, asks MCUboot for the swap, tests and confirms the new image after the reset,
//! and tells the cloud what really happened. Why it is built this way stands in the repository's `DESIGN.md`, every byte
//! it sends, reads and writes in `SPEC.md`.
//!
//! ```text
//!       the application                                the cloud: Jobs, streams
//!   Policy  Observer  Commands                                    ^
//!      ^       ^         |                                        | MQTT
//!      |       |         v                                        v
//!    .--------------------- driver::run ---------------------------------.
//!    |      one loop: take an Action, do it, give the Input back         |
//!    '-------------------------------------------------------------------'
//!          ^ |                    |                 |              |
//!    Action| |Input               v                 v              v
//!          | v               boot::Images    journal::Journal   verify
//!    .---------------.            |                 |           job signature,
//!    | agent::Agent  |            v                 v           image hash
//!    | a function of |       slot::Slot        sectors of
//!    | state, time   |            |            its own
//!    | and input     |            v                 |
//!    '---------------'      any NorFlash of embedded-storage-async
//! ```
//!
//! # An update
//!
//! [`run`](driver::run) is all a firmware calls. It returns when the device has to be reset, or when the application
//! has said [`ShutDown`](command::Command::ShutDown).
//!
//! ```
//! use core::cell::RefCell;
//! use embedded_storage_async::nor_flash::NorFlash;
//! use ota_core::agent::{Agent, Config, MAX_PAYLOAD_SIZE, Memory, Outcome};
//! use ota_core::boot::{Image, SharedFlash};
//! use ota_core::command::Commands;
//! use ota_core::driver::{Device, Local, run};
//! use ota_core::geometry::*;
//! use ota_core::journal::{FlashJournal, JournalLayout, JournalRegion};
//! use ota_core::policy::{DefaultPolicy, NoObserver};
//! use ota_core::transport::{Connector, NoRanges, Timer};
//! use ota_core::verify::{EcdsaP256, PublicKey, Rules};
//!
//! // Where things lie. A layout that breaks a rule does not compile, and the message names the rule.
//! const SLOT: SlotLayout = SlotLayout {
//!     start: 0x1_0000, size: 0x7_0000, sector_size: 4096, write_size: 8, erased: 0xFF,
//!     reprogram: Reprogram::Forbidden, rewrite: false, erase_ms: 0,
//! };
//! const LAYOUTS: [ImageLayout; 1] = [ImageLayout::checked(ImageSlots {
//!     primary: Geometry::checked(SLOT),
//!     secondary: Geometry::checked(SlotLayout { start: 0x8_0000, ..SLOT }),
//!     mode: BootMode::SwapMove, max_align: MaxAlign::M8, boot_write_size: 8, max_sectors: 128,
//! })];
//! const JOURNAL: JournalRegion = JournalRegion::checked(JournalLayout {
//!     start: 0xF_0000, sector_count: 2, sector_size: 4096, write_size: 8, erased: 0xFF,
//!     reprogram: Reprogram::Forbidden, rewrite: false,
//! });
//!
//! /// The application says what it wants, and how its self test went, here: from any task or interrupt.
//! static COMMANDS: Commands = Commands::new();
//!
//! async fn update<F: NorFlash>(flash: F, key_der: &[u8], connector: impl Connector, timer: impl Timer) -> Outcome {
//!     let flash = RefCell::new(flash);
//!     let shared = SharedFlash::new(&flash);
//!     let images = Image::new(shared, shared, LAYOUTS[0]).expect("the layout fits the flash");
//!     let journal = FlashJournal::new(shared, JOURNAL).expect("the journal fits the flash");
//!     let keys = [PublicKey::spki(key_der).expect("a P-256 key")];
//!     let rules = Rules { job: EcdsaP256::new(&keys).expect("a key"), image_keys: &[], reset_vector: None };
//!     let memory = Memory {
//!         strings: &mut [0; Memory::STRINGS],
//!         blocks: &mut [0; Memory::block_bytes(&LAYOUTS[0], 4096)],
//!         sectors: &mut [0; Memory::sector_bytes(&LAYOUTS[0])],
//!     };
//!     let config = Config::new("my-thing", &LAYOUTS);
//!     let mut agent = Agent::new(&config, memory).expect("a good configuration");
//!     let local = Local::new(images, journal, rules, DefaultPolicy, NoObserver);
//!     let (commands, buffer) = (&COMMANDS, &mut [0; MAX_PAYLOAD_SIZE]);
//!     let (ranges, block) = (NoRanges, &mut []); // no HTTP
//!     run(&mut agent, &mut Device { connector, ranges, local, timer, commands, buffer, block }).await
//! }
//! ```
//!
//! On [`Outcome::Reset`](agent::Outcome::Reset) reset the chip. After the reset call the same function again: the agent
//! finds out what boots now, and waits for [`Command::SelfTestPassed`](command::Command::SelfTestPassed) before it
//! confirms a new image. **Every image must say it**: without it the update is taken back when the self test's time is
//! over (and where the boot mode knows no way back, reported as failed).
//!
//! Dropping the future is legal at any await; so is a power cut. `run` again with the same agent, or a new agent after a
//! reset, goes on from what flash holds.
//!
//! # Modules
//!
//! | Module | Names |
//! |---|---|
//! | [`agent`] | [`Agent`](agent::Agent), [`Config`](agent::Config), [`Timing`](agent::Timing), [`Destination`](agent::Destination), [`Component`](agent::Component), [`Plane`](agent::Plane), [`Memory`](agent::Memory), [`ConfigError`](agent::ConfigError); [`Input`](agent::Input), [`Action`](agent::Action), [`Outcome`](agent::Outcome), [`State`](agent::State), [`StateKind`](agent::StateKind), [`Stage`](agent::Stage), [`Failure`](agent::Failure), [`Message`](agent::Message), [`Part`](agent::Part), [`Publication`](agent::Publication), [`Subscription`](agent::Subscription), [`Request`](agent::Request), [`Report`](agent::Report), [`BlockRequest`](agent::BlockRequest), [`RangeRequest`](agent::RangeRequest), [`Statistics`](agent::Statistics), [`TopicBuffer`](agent::TopicBuffer), [`Filters`](agent::Filters) |
//! | [`driver`] | [`run`](driver::run), [`Device`](driver::Device), [`Local`](driver::Local), [`Completion`](driver::Completion), [`Held`](driver::Held), [`decode`](driver::decode): the pieces of another driver |
//! | [`command`] | [`Command`](command::Command), [`Commands`](command::Commands): the application's words |
//! | [`policy`] | [`Policy`](policy::Policy), [`DefaultPolicy`](policy::DefaultPolicy), [`Question`](policy::Question), [`Answer`](policy::Answer): may we? [`Observer`](policy::Observer), [`NoObserver`](policy::NoObserver), [`Drop`](policy::Drop): what happens |
//! | [`status`] | [`Reason`](status::Reason), [`Ended`](status::Ended): why and how a job ended |
//! | [`transport`] | [`Connector`](transport::Connector), [`Control`](transport::Control), [`Timer`](transport::Timer), [`Received`](transport::Received), [`Qos`](transport::Qos), [`Failure`](transport::Failure), [`FailureKind`](transport::FailureKind); [`Ranges`](transport::Ranges), [`RangeSession`](transport::RangeSession), [`NoRanges`](transport::NoRanges), [`RangeError`](transport::RangeError) |
#![cfg_attr(
    any(feature = "http", feature = "mqtt", feature = "nal", feature = "tls"),
    doc = "| [`open`] | [`Open`](open::Open), [`Endpoint`](open::Endpoint), [`Security`](open::Security), [`Refusal`](open::Refusal): streams to servers |"
)]
#![cfg_attr(
    feature = "mqtt",
    doc = "| [`mqtt`] | [`Mqtt`](mqtt::Mqtt), [`MqttLink`](mqtt::MqttLink), [`Config`](mqtt::Config), [`ConfigError`](mqtt::ConfigError), [`MqttError`](mqtt::MqttError), [`Others`](mqtt::Others), [`EmbassyTimer`](mqtt::EmbassyTimer), [`rx_size`](mqtt::rx_size), [`tx_size`](mqtt::tx_size), [`Bounded`](mqtt::Bounded), [`BoundedError`](mqtt::BoundedError) |"
)]
#![cfg_attr(
    feature = "http",
    doc = "| [`http`] | [`Http`](http::Http), [`HttpConfig`](http::HttpConfig), [`HttpSession`](http::HttpSession); [`Session`](http::Session), [`Config`](http::Config), [`Redirects`](http::Redirects), [`RangeRequest`](http::RangeRequest), [`Reply`](http::Reply), [`Etag`](http::Etag), [`Url`](http::Url), [`UrlError`](http::UrlError), [`Scheme`](http::Scheme), [`Schemes`](http::Schemes), [`HttpError`](http::HttpError), [`Advice`](http::Advice): ranges of a file |"
)]
#![cfg_attr(
    feature = "tls",
    doc = "| [`tls`] | [`Tls`](tls::Tls), [`connect`](tls::connect), [`TlsStream`](tls::TlsStream), [`Config`](tls::Config), [`Client`](tls::Client), [`Sign`](tls::Sign), [`SignError`](tls::SignError), [`Time`](tls::Time), [`Buffers`](tls::Buffers), [`rx_size`](tls::rx_size), [`tx_size`](tls::tx_size), [`roots`](tls::roots), [`ConfigError`](tls::ConfigError), [`TlsError`](tls::TlsError), [`CertificateError`](tls::CertificateError), [`OpenError`](tls::OpenError): verified TLS 1.3 |"
)]
#![cfg_attr(
    feature = "nal",
    doc = "| [`nal`] | [`Network`](nal::Network), [`Limits`](nal::Limits), [`NetworkError`](nal::NetworkError): DNS and TCP |"
)]
//! | [`geometry`] | [`SlotLayout`](geometry::SlotLayout), [`Geometry`](geometry::Geometry), [`ImageSlots`](geometry::ImageSlots), [`ImageLayout`](geometry::ImageLayout), [`BootMode`](geometry::BootMode), [`MaxAlign`](geometry::MaxAlign), [`Reprogram`](geometry::Reprogram), [`GeometryError`](geometry::GeometryError): where things lie, checked while compiling |
//! | [`slot`] | [`Slot`](slot::Slot), [`Compared`](slot::Compared), [`FlashError`](slot::FlashError) |
//! | [`boot`] | [`Images`](boot::Images), [`Image`](boot::Image), [`ImageState`](boot::ImageState), [`Operation`](boot::Operation), [`Controlled`](boot::Controlled), [`Request`](boot::Request), [`Revert`](boot::Revert), [`Withdrawn`](boot::Withdrawn), [`SharedFlash`](boot::SharedFlash), [`SharedError`](boot::SharedError) |
//! | [`image`](mod@image) | [`Header`](image::Header), [`TlvWalk`](image::TlvWalk), [`Tlv`](image::Tlv), [`ImageInfo`](image::ImageInfo), [`ImageError`](image::ImageError): MCUboot images as bytes |
//! | [`trailer`] | [`TrailerLayout`](trailer::TrailerLayout), [`Trailer`](trailer::Trailer), [`Magic`](trailer::Magic), [`Flag`](trailer::Flag), [`Pending`](trailer::Pending), [`SwapType`](trailer::SwapType), [`swap_type`](trailer::swap_type) |
//! | [`verify`] | [`verify`](fn@verify::verify), [`Verified`](verify::Verified), [`verify_bundle`](verify::verify_bundle), [`SignedBundle`](verify::SignedBundle), [`verify_member`](verify::verify_member), [`Rules`](verify::Rules), [`Scheme`](verify::Scheme), [`EcdsaP256`](verify::EcdsaP256), [`PublicKey`](verify::PublicKey), [`Digest`](verify::Digest), [`Hashes`](verify::Hashes), [`VerifyError`](verify::VerifyError), [`Der`](verify::Der), [`parse_pem`](verify::parse_pem) |
//! | [`journal`] | [`Journal`](journal::Journal), [`FlashJournal`](journal::FlashJournal), [`NoJournal`](journal::NoJournal), [`Record`](journal::Record), [`Phase`](journal::Phase), [`JournalLayout`](journal::JournalLayout), [`JournalRegion`](journal::JournalRegion), [`RegionError`](journal::RegionError) |
//! | [`version`] | [`Version`](version::Version), [`ParseVersionError`](version::ParseVersionError) |
//! | [`bitmap`] | [`Bitmap`](bitmap::Bitmap) and the functions on bare bytes: which blocks are missing |
//! | [`wire`] | topics, Jobs JSON, stream CBOR and JSON: borrow-parse and encode, for other agents and for tools |
//!
//! # Features
//!
//! | Feature | Adds |
//! |---|---|
//! | (none) | everything but a transport: bring your own [`Connector`](transport::Connector) and [`Timer`](transport::Timer), and [`Ranges`](transport::Ranges) for HTTP |
//! | `bundle` | several images of a device in one TAR file, as the Cypress library packs them |
//! | `mqtt` | the transport over minimq (MQTT 5), any `embedded-io-async` stream, and a timer over embassy-time |
//! | `http` | the data plane over HTTP: ranges over any `embedded-io-async` stream, reqwless as the codec |
//! | `tls` | TLS 1.3 to authenticated servers over any stream: `tls::connect`, and the opener `tls::Tls` for `mqtt` and `http` |
//! | `nal` | the opener `nal::Network`: DNS and TCP over the stacks that implement `embedded-nal-async` |
//! | `rsa` | servers with RSA certificates; needs a heap |
//!
//! There is no feature that turns a check off.
//!
//! # What it never does
//!
//! Allocate (but for the feature `rsa`), panic, recurse, wait without a deadline, or ask MCUboot for an image that was not verified: the request
//! takes a [`Verified`](verify::Verified), and only [`verify`](fn@verify::verify) makes one. All memory is the caller's.
#![no_std]
#![forbid(unsafe_code)]

pub mod agent;
pub mod bitmap;
pub mod boot;
mod bytes;
pub mod command;
pub mod driver;
pub mod geometry;
pub mod image;
pub mod journal;
pub mod policy;
mod script;
mod sha256;
pub mod slot;
pub mod status;
pub mod trailer;
pub mod transport;
pub mod verify;
pub mod version;
pub mod wire;

#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "mqtt")]
pub mod mqtt;
#[cfg(feature = "nal")]
pub mod nal;
#[cfg(any(feature = "http", feature = "mqtt", feature = "nal", feature = "tls"))]
pub mod open;
#[cfg(feature = "tls")]
pub mod tls;

/// The README's example is compiled with the tests.
#[cfg(all(doctest, feature = "mqtt"))]
#[doc = include_str!("../../README.md")]
struct Readme;
