//! The update.

#![no_std]
#![no_main]

use application::SelfTest;

#[cortex_m_rt::entry]
fn main() -> ! {
    application::run("2.0.0", SelfTest::Pass)
}
