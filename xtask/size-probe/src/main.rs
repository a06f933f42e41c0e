//! One program per set of features; see `cargo xtask sizes`.
//!
//! Inputs come through [`unknown`] and results go through `black_box`, so that nothing is computed at build time and
//! nothing is thrown away.
#![no_std]
#![no_main]
// Each program uses some of the stubs.
#![allow(dead_code)]

use core::{
    hint::black_box,
    sync::atomic::{AtomicUsize, Ordering},
};

use ota_core as _;

#[cfg(any(feature = "http", feature = "tls", feature = "network"))]
mod network;
mod parts;
#[cfg(feature = "path")]
mod path;
#[cfg(feature = "ram")]
mod ram;
mod stubs;

/// Some bytes the compiler knows nothing about, others on each call.
#[inline(never)]
fn unknown() -> &'static mut [u8] {
    const PART: usize = 512;
    const PARTS: usize = 64;
    static mut MEMORY: [u8; PART * PARTS] = [0; PART * PARTS];
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let part = NEXT.fetch_add(1, Ordering::Relaxed);
    if part >= PARTS {
        return &mut [];
    }
    let start = (&raw mut MEMORY).cast::<u8>();
    // SAFETY: the part lies inside the array, and no other call returns it.
    black_box(unsafe { core::slice::from_raw_parts_mut(start.add(part * PART), PART) })
}

/// Text the compiler knows nothing about.
#[inline(never)]
fn unknown_str() -> &'static str {
    core::str::from_utf8(unknown()).unwrap_or_default()
}

#[cortex_m_rt::entry]
fn main() -> ! {
    // In the empty program too, so that no part is charged for them.
    black_box(unknown_str());
    stubs::use_memory();
    embassy_futures::block_on(stubs::use_flash());
    #[cfg(feature = "sha256")]
    parts::sha256();
    #[cfg(feature = "p256")]
    parts::p256();
    #[cfg(feature = "wire")]
    parts::wire();
    #[cfg(feature = "block")]
    embassy_futures::block_on(parts::block());
    #[cfg(feature = "verify")]
    embassy_futures::block_on(parts::verify());
    #[cfg(feature = "journal")]
    embassy_futures::block_on(parts::journal());
    #[cfg(feature = "mqtt")]
    embassy_futures::block_on(parts::mqtt());
    #[cfg(all(feature = "agent", not(feature = "mqtt")))]
    embassy_futures::block_on(parts::agent(stubs::Plane));
    #[cfg(all(feature = "agent", feature = "mqtt"))]
    embassy_futures::block_on(async {
        if let Some(mqtt) = parts::mqtt_plane() {
            parts::agent(mqtt).await;
        }
    });
    #[cfg(feature = "http")]
    embassy_futures::block_on(network::http());
    #[cfg(feature = "tls")]
    embassy_futures::block_on(network::tls());
    #[cfg(feature = "network")]
    embassy_futures::block_on(network::tcp());
    #[cfg(feature = "path")]
    path::run();
    #[cfg(feature = "ram")]
    ram::statics();
    loop {
        black_box(());
    }
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // With its text each kind of panic stays a function of its own, by whose name it can be told from the others.
    #[cfg(feature = "panics")]
    black_box(_info.message());
    loop {
        black_box(());
    }
}
