//! One scenario, for the debugger.
use ota_core::geometry::BootMode;
use ota_sim::flash::{Cut, Tear, When};
use ota_tests::{Kind, Scenario};
#[test]
fn one() {
    let _ = Tear::Half;
    let mut s = Scenario::new(Kind::Nor4k, BootMode::SwapOffset);
    s.cut = Some(Cut { operation: 49, when: When::Before });
    s.run().assert_updated("");
}
