//! Whole updates on every kind of device with every boot mode.

use ota_tests::{Kind, Scenario};

#[test]
fn every_kind_and_mode_updates() {
    for kind in Kind::ALL {
        for mode in kind.modes() {
            let report = Scenario::new(kind, *mode).run();
            let context = format!("{kind:?} {mode:?}");
            report.assert_updated(&context);
            assert!(report.promised > 0, "{context}: no record promised anything");
        }
    }
}
