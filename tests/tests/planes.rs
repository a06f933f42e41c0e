//! Two data planes and one bitmap: over HTTP, over both, and from one to the other in mid-file.

use ota_core::agent::Plane;
use ota_core::geometry::BootMode;
use ota_core::transport::RangeError;
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
        Object { bytes_per_s: 10_000, expires_ms: Some(500), range_limit: Some(4096), ..Object::default() };
    let report = scenario.run();
    report.assert_updated("expiring URLs");
    assert!(report.statistics.url_refreshes > 0, "{report:#?}");
    assert_eq!(report.statistics.blocks_received, blocks(&report));
}

/// Over HTTP alone, with these answers to the first requests.
fn refused(refuses: &[RangeError]) -> Report {
    let mut scenario = large(&[Plane::Http]);
    scenario.object.refuses = refuses.to_vec();
    let report = scenario.run();
    report.assert_sane(&format!("{refuses:?}"));
    report
}

/// Each answer a bounded number of times, and a name for the end.
#[test]
fn every_refusal_has_an_end_and_its_name() {
    use RangeError::{Busy, Changed, Expired, Lost, NotFound, Refused, Untrusted};
    for (refusal, most, reason) in [
        // A new URL each time but the last.
        (Expired, 4, "url_expired"),
        // Started over twice.
        (Changed, 3, "object_changed"),
        (NotFound, 1, "object_not_found"),
        (Refused, 1, "http_failed"),
        (Untrusted, 1, "server_not_trusted"),
        (Lost, 16, "http_failed"),
        (Busy { after_ms: 0 }, 16, "http_failed"),
        (Busy { after_ms: u32::MAX }, 16, "http_failed"),
    ] {
        let report = refused(&[refusal; 100]);
        assert_eq!((report.status, &report.reason[..]), (Status::Failed, reason), "{refusal:?}");
        assert_eq!(report.statistics.ranges, most, "{refusal:?}: {report:#?}");
    }
}

/// The new URL takes longer than the pause between two requests: the old one is not asked again meanwhile.
#[test]
fn an_expired_url_is_not_asked_again() {
    let mut scenario = large(&[Plane::Http]);
    scenario.service.answer_delay_ms = 4_000;
    scenario.object.refuses = vec![RangeError::Expired; 3];
    let report = scenario.run();
    report.assert_updated("slow refreshes");
    assert_eq!((report.statistics.url_refreshes, report.statistics.ranges), (3, 4));
}

#[test]
fn once_less_often_it_goes_on() {
    use RangeError::{Busy, Changed, Expired};
    let report = refused(&[Expired; 3]);
    report.assert_updated("three times expired");
    assert_eq!((report.statistics.url_refreshes, report.statistics.ranges), (3, 4));
    refused(&[Changed; 2]).assert_updated("twice changed");
    // A day is the server's word; two minutes are believed.
    let report = refused(&[Busy { after_ms: 86_400_000 }]);
    report.assert_updated("busy once");
    assert!((120_000..300_000).contains(&report.took_ms), "{} ms", report.took_ms);
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
