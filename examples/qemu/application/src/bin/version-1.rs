//! The version the device comes with.

#![no_std]
#![no_main]

use application::SelfTest;

#[cortex_m_rt::entry]
fn main() -> ! {
    application::run("1.0.0", SelfTest::Pass)
}
