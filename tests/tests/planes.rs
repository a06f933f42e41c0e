//! Two data planes and one bitmap: over HTTP, over both, and from one to the other in mid-file.

use ota_core::agent::Plane;
use ota_core::geometry::BootMode;
use ota_sim::aws::Status;
use ota_tests::{Kind, Object, Report, Scenario};

fn large(planes: &'static [Plane]) -> Scenario {
    let mut scenario = Scenario::new(Kind::Nor4k, BootMode::SwapMove);
    scenario.planes = planes;
    scenario
}

fn blocks(report: &Report) -> u32 {
    report.image_size.div_ceil(1024)
}

#[test]
fn http_alone_on_every_kind_of_device() {
    for kind in Kind::ALL {
        for mode in kind.modes() {
            let mut scenario = Scenario::new(kind, *mode);
            scenario.planes = &[Plane::Http];
            let report = scenario.run();
            report.assert_updated(&format!("{kind:?} {mode:?}"));
            assert_eq!(report.statistics.ranges, 1, "one request asks for everything");
            assert_eq!(report.statistics.block_requests, 0);
        }
    }
}

#[test]
fn mqtt_gives_up_and_http_goes_on() {
    let mut scenario = large(&[Plane::Mqtt, Plane::Http]);
    scenario.link.faults.blocks.loss_pct = 100;
    let report = scenario.run();
    report.assert_updated("no block over MQTT");
    assert_eq!(report.statistics.blocks_received, blocks(&report));
    assert_eq!(report.statistics.block_requests, 4, "a plane is left soon while another one is there");
}

#[test]
fn http_dies_in_mid_file_and_mqtt_goes_on() {
    let mut scenario = large(&[Plane::Http, Plane::Mqtt]);
    scenario.object.dies_after = Some(10_000);
    let report = scenario.run();
    report.assert_updated("HTTP dies");
    assert_eq!(report.statistics.blocks_received, blocks(&report), "nothing is fetched twice");
    assert!(report.statistics.block_requests > 0 && report.statistics.ranges > 0);
}

#[test]
fn urls_expire_and_ranges_are_cut_short() {
    let mut scenario = large(&[Plane::Http]);
    scenario.object =
        Object { bytes_per_s: 10_000, expires_ms: Some(500), range_limit: Some(4096), dies_after: None };
    let report = scenario.run();
    report.assert_updated("expiring URLs");
    assert!(report.statistics.url_refreshes > 0, "{report:#?}");
    assert_eq!(report.statistics.blocks_received, blocks(&report));
}

#[test]
fn both_planes_lost_reports_both_reasons() {
    let mut scenario = large(&[Plane::Mqtt, Plane::Http]);
    scenario.link.faults.blocks.loss_pct = 100;
    scenario.object.dies_after = Some(0);
    let report = scenario.run();
    report.assert_sane("both lost");
    assert_eq!(report.status, Status::Failed);
    assert_eq!(report.reason, "no_data_plane_left: mqtt no_blocks_received, http http_failed");
    // What one plane was tried in vain is not held against the other.
    assert_eq!((report.statistics.block_requests, report.statistics.ranges), (4, 16));
}

/// Memory for one session: the link is closed during ranges and back within the time given.
#[test]
fn one_session_at_a_time() {
    let mut scenario = large(&[Plane::Http]);
    scenario.one_session_ms = Some(1_000);
    scenario.object.bytes_per_s = 5_000;
    let report = scenario.run();
    report.assert_updated("one session");
    assert!(report.statistics.ranges > 2, "the link came back in between: {report:#?}");
    // A range is closed in the middle of a block: that block is asked for again, those held are not.
    assert_eq!(report.statistics.blocks_received, blocks(&report));
}

#[test]
fn small_ranges_share_a_connection() {
    let mut scenario = large(&[Plane::Http]);
    scenario.range_size = 4096;
    let report = scenario.run();
    report.assert_updated("small ranges");
    assert_eq!(report.statistics.ranges, blocks(&report).div_ceil(4));
    assert_eq!(report.statistics.blocks_received, blocks(&report));
}
