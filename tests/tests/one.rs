//! One scenario, for the debugger.
use ota_core::geometry::BootMode;
use ota_sim::flash::{Cut, Tear, When};
use ota_tests::{Kind, Scenario};
#[test]
fn one() {
    let _ = Tear::Half;
    let mut s = Scenario::new(Kind::External, BootMode::Overwrite);
    s.cut = Some(Cut { operation: 9, when: When::Before });
    s.run().assert_sane("");
}
