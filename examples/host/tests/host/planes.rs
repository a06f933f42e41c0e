//! HTTP, TLS, and falling over from one plane to the other in the middle of a file.

use crate::process::{End, RECORD_BLOCKS, run};

/// Blocks over MQTT and over HTTP.
fn shares(end: &End) -> (u64, u64) {
    (end.number("blocks_over_mqtt"), end.number("blocks_over_http"))
}

#[test]
fn either_plane_with_tls_and_without() {
    for (protocol, tls) in [("mqtt", "on"), ("http", "on"), ("both", "on"), ("http", "off"), ("mqtt", "off")]
    {
        let end = run(&format!("--protocol {protocol} --tls={tls} --size 300000"));
        end.is_updated();
        end.nothing_twice();
        assert_eq!(end.report["tls"], tls == "on");
        let blocks = end.number("blocks");
        let over_http = protocol == "http";
        assert_eq!(shares(&end), if over_http { (0, blocks) } else { (blocks, 0) }, "{protocol}");
        // One range is the whole file, and not one byte leaves twice.
        let (ranges, bytes) = if over_http { (1, end.number("file_size")) } else { (0, 0) };
        assert_eq!((end.number("ranges"), end.number("http_bytes_sent")), (ranges, bytes), "{protocol}");
        assert_eq!(end.number("requests") == 0, over_http);
    }
    assert_eq!(run("--tls --size 60000").report["tls"], true);
}

#[test]
fn mqtt_dies_and_http_goes_on() {
    let end = run("--protocol both --mqtt-fault die-at=40");
    end.is_updated();
    end.nothing_twice();
    let (over_mqtt, over_http) = shares(&end);
    // 40 % of 257 blocks; some were asked for twice before they came.
    assert!((100..=103).contains(&over_mqtt), "{over_mqtt}");
    assert_eq!((over_mqtt + over_http, end.number("ranges")), (257, 1));
}

#[test]
fn http_dies_and_mqtt_goes_on() {
    let end = run("--protocol both --http-fault die-at=40");
    end.is_updated();
    end.nothing_twice();
    let (over_mqtt, over_http) = shares(&end);
    // The block that was cut off is the one that counts for nothing.
    assert_eq!((over_mqtt, over_http), (257 - 102, 102));
    assert!(end.number("http_bytes_sent") <= end.number("file_size") * 40 / 100 + 1);
}

#[test]
fn no_plane_is_left() {
    let end =
        run("--size 300000 --protocol both --mqtt-fault die-at=30 --http-fault die-at=30 --expect failed");
    end.ends("failed", "FAILED", "no_data_plane_left", "0.9.0");
    let detail = end.text("reason_detail");
    assert_eq!(detail, "no_data_plane_left: mqtt no_blocks_received, http http_failed");
}

/// Whoever answers in the file server's place is left at once, with nothing taken from it.
#[test]
fn a_server_that_is_not_trusted_costs_one_attempt() {
    let end = run("--size 300000 --protocol both --prefer http --http-fault untrusted");
    end.is_updated();
    end.nothing_twice();
    assert_eq!((shares(&end), end.number("ranges")), ((end.number("blocks"), 0), 1));
    assert_eq!(end.number("http_bytes_sent"), 0);
}

#[test]
fn urls_expire_and_connections_close_again_and_again() {
    let end = run("--protocol http --url-expires 1 --range-limit 65536 --rate 400000 --size 2000000");
    end.is_updated();
    end.nothing_twice();
    assert!(end.number("url_refreshes") >= 1);
    assert!(end.number("ranges") >= 2_000_000 / 65_536);
    assert_eq!(end.number("http_bytes_sent"), end.number("file_size"));
}

#[test]
fn faults_of_the_file_server_one_after_the_other() {
    let faults = "busy=1,status=500,expired,chunked,close=9000,ignore-range,connection-close";
    let end = run(&format!("--size 300000 --protocol http --http-fault {faults}"));
    end.is_updated();
    end.nothing_twice();
    assert_eq!(end.number("url_refreshes"), 1);
    // Another object, twice: what is held does not count, and it starts over.
    run("--size 60000 --protocol http --http-fault size=9,size=9").is_updated();
    for (fault, reason) in [
        ("untrusted", "server_not_trusted"),
        ("status=404", "object_not_found"),
        ("encoded", "http_failed"),
        ("redirect=https://localhost/", "http_failed"),
        ("size=9,size=9,size=9", "object_changed"),
        ("expired,expired,expired,expired", "url_expired"),
    ] {
        let end = run(&format!("--size 60000 --protocol http --http-fault {fault} --expect failed"));
        end.ends("failed", "FAILED", reason, "0.9.0");
        assert!(end.ok);
    }
}

/// Memory for one TLS connection: real sockets, and the same record buffers for both in turn.
#[test]
fn one_session_at_a_time() {
    let end = run("--protocol http --one-session 200 --rate 2000000");
    end.is_updated();
    end.nothing_twice();
    assert!(end.number("ranges") >= 2, "MQTT was never looked at");
    let canceled = run("--protocol http --one-session 200 --rate 400000 --cancel-at 30 --expect canceled");
    canceled.ends("canceled", "CANCELED", "", "0.9.0");
    // Heard within 200 ms and a handshake or two, far before the end.
    assert!((77..200).contains(&canceled.number("blocks_received")), "{}", canceled.report);
}

/// Silence on every connection, the control plane's too, and no word of it.
#[test]
fn the_wifi_is_lost_for_a_while() {
    for protocol in ["mqtt", "http"] {
        let end = run(&format!("--protocol {protocol} --wifi-loss 50 --rate 2000000"));
        end.is_updated();
        end.nothing_twice();
        assert!(end.number("time_ms") >= 1_000, "the Wi-Fi was there all the time");
        assert!(end.stderr.contains("the Wi-Fi is lost"));
    }
}

#[test]
fn the_power_fails_while_a_range_comes() {
    for (operation, resumed) in [(7, 0), (40, 0), (75, RECORD_BLOCKS)] {
        let end = run(&format!("--size 120000 --protocol http --cut {operation}"));
        end.is_updated();
        // What was recorded is not fetched again, neither by the device nor by the range it asks for.
        assert_eq!(end.number("resumed_blocks"), resumed, "cut at {operation}");
        assert!(end.number("blocks_received") <= end.number("blocks") + RECORD_BLOCKS);
        let again = end.number("file_size") - resumed * end.number("block_size");
        assert!(end.number("http_bytes_sent") <= end.number("file_size") + again, "cut at {operation}");
    }
}
