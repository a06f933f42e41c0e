//! The link in virtual time: determinism, faults in the asked-for measure, the broker's bounds.

use ota_sim::aws::{
    Counters, FaultRates, Faults, FlipTarget, Link, LinkConfig, LinkDown, Message, OtaSpec, Service,
    ServiceConfig,
};

const THING: &str = "dev-7";
const NEXT: &str = "$aws/things/dev-7/jobs/$next/get";

fn link(config: LinkConfig, size: usize) -> (Link, String) {
    let mut service = Service::new(ServiceConfig::default());
    let spec = OtaSpec::mqtt((0..size).map(|k| (k / 256) as u8).collect(), "");
    let stream = service.create_ota_job(0, THING, "job", &spec);
    service.tick(0);
    let mut link = Link::new(service, THING, config);
    link.connect(0);
    (link, format!("$aws/things/dev-7/streams/{stream}"))
}

/// Asks for `n` blocks of 256 bytes and takes what comes within ten seconds.
fn download(link: &mut Link, stream: &str, n: u32) -> Vec<Message> {
    link.subscribe(0, &format!("{stream}/data/json"), 0).expect("up");
    let body = format!(r#"{{"f":0,"l":256,"o":0,"n":{n}}}"#);
    link.publish(0, &format!("{stream}/get/json"), body.as_bytes(), 0).expect("up");
    let mut messages = Vec::new();
    let mut now_ms = 0;
    while let (at_ms, Some(message)) = link.receive(now_ms, 10_000) {
        now_ms = at_ms;
        messages.push(message);
    }
    messages
}

fn id(message: &Message) -> Option<u32> {
    let text = core::str::from_utf8(&message.payload).ok()?;
    text.split(r#""i":"#).nth(1)?.split(',').next()?.parse().ok()
}

fn ids(messages: &[Message]) -> Vec<u32> {
    messages.iter().filter_map(id).collect()
}

#[test]
fn a_perfect_link_keeps_everything_and_its_order() {
    let (mut link, stream) = link(LinkConfig::default(), 64 * 256);
    assert_eq!(ids(&download(&mut link, &stream, 64)), (0..64).collect::<Vec<_>>());
    let expected = Counters {
        published: 1,
        stream_requests: 1,
        blocks_sent: 64,
        blocks_delivered: 64,
        delivered: 64,
        ..Counters::default()
    };
    assert_eq!(link.counters(), expected);
}

#[test]
fn a_seed_is_a_simulation() {
    let run = |seed| {
        let config = LinkConfig { faults: Faults::on_blocks(seed, 20, 10, 20), ..LinkConfig::default() };
        let (mut link, stream) = link(config, 64 * 256);
        (ids(&download(&mut link, &stream, 64)), link.counters())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
}

/// Rates are met within what 100 seeds of 64 blocks can tell (four standard deviations).
#[test]
fn faults_strike_as_often_as_asked() {
    let mut sum = Counters::default();
    for seed in 0..100 {
        let config = LinkConfig { faults: Faults::on_blocks(seed, 20, 10, 20), ..LinkConfig::default() };
        let (mut link, stream) = link(config, 64 * 256);
        download(&mut link, &stream, 64);
        let c = link.counters();
        sum.blocks_sent += c.blocks_sent;
        sum.lost += c.lost;
        sum.doubled += c.doubled;
        sum.reordered += c.reordered;
    }
    assert_eq!(sum.blocks_sent, 6400);
    assert!((1152..=1408).contains(&sum.lost), "20 % of 6400: {}", sum.lost);
    assert!((428..=596).contains(&sum.doubled), "10 % of the 80 % left: {}", sum.doubled);
    assert!((910..=1138).contains(&sum.reordered), "20 % of the 80 % left: {}", sum.reordered);
}

#[test]
fn reordered_blocks_are_overtaken() {
    let config = LinkConfig { faults: Faults::on_blocks(3, 0, 0, 30), ..LinkConfig::default() };
    let (mut link, stream) = link(config, 64 * 256);
    let mut got = ids(&download(&mut link, &stream, 64));
    assert_ne!(got, (0..64).collect::<Vec<_>>());
    got.sort_unstable();
    assert_eq!(got, (0..64).collect::<Vec<_>>());
}

#[test]
fn flips_stay_where_they_may() {
    let clean: Vec<Message> = {
        let (mut link, stream) = link(LinkConfig::default(), 64 * 256);
        download(&mut link, &stream, 64)
    };
    for target in [FlipTarget::Anywhere, FlipTarget::Envelope, FlipTarget::Detectable] {
        let blocks = FaultRates { flip_pct: 100, ..FaultRates::default() };
        let config = LinkConfig {
            faults: Faults { seed: 9, blocks, flip_target: target, ..Faults::default() },
            ..LinkConfig::default()
        };
        let (mut link, stream) = link(config, 64 * 256);
        let dirty = download(&mut link, &stream, 64);
        assert_eq!(dirty.len(), 64);
        let mut payload_hits = 0;
        let mut id_hits = 0;
        for (clean, dirty) in clean.iter().zip(&dirty) {
            let bits: u32 = clean.payload.iter().zip(&dirty.payload).map(|(a, b)| (a ^ b).count_ones()).sum();
            assert_eq!(bits, 1);
            let place = clean.payload.iter().zip(&dirty.payload).position(|(a, b)| a != b).expect("one");
            let text = String::from_utf8(clean.payload.clone()).expect("JSON");
            let payload = text.find(r#""p":""#).expect("p") + 5;
            payload_hits += u32::from((payload..text.len() - 2).contains(&place));
            id_hits += u32::from((5..text.find(r#","l""#).expect("l")).contains(&place));
        }
        match target {
            FlipTarget::Anywhere => assert!(payload_hits > 40),
            FlipTarget::Envelope => assert!(payload_hits == 0 && id_hits > 0),
            FlipTarget::Detectable => assert_eq!((payload_hits, id_hits), (0, 0)),
        }
    }
}

#[test]
fn truncated_blocks_are_shorter() {
    let blocks = FaultRates { truncate_pct: 100, ..FaultRates::default() };
    let config = LinkConfig { faults: Faults { blocks, ..Faults::default() }, ..LinkConfig::default() };
    let (mut link, stream) = link(config, 8 * 256);
    let whole = r#"{"f":0,"i":0,"l":256,"p":""}"#.len() + 256usize.div_ceil(3) * 4;
    assert!(download(&mut link, &stream, 8).iter().all(|m| m.payload.len() < whole));
}

#[test]
fn jobs_answers_need_no_subscription_but_pushes_and_blocks_do() {
    let (mut link, stream) = link(LinkConfig::default(), 256);
    link.publish(0, NEXT, b"{}", 1).expect("up");
    link.publish(0, &format!("{stream}/get/json"), br#"{"f":0,"l":256,"n":1}"#, 0).expect("up");
    link.service_mut().cancel(0, "job", false);
    let (_, answer) = link.receive(0, 100);
    assert_eq!(answer.expect("answer").topic, format!("{NEXT}/accepted"));
    assert_eq!(link.receive(0, 100).1, None);
    assert_eq!(link.counters().unsubscribed, 3, "a block, notify and notify-next");

    link.config_mut().implicit_answers = false;
    link.publish(100, NEXT, b"{}", 1).expect("up");
    assert_eq!(link.receive(100, 200).1, None, "as behind a broker that is not AWS");
    link.subscribe(200, "$aws/things/dev-7/jobs/$next/get/+", 1).expect("up");
    link.publish(200, NEXT, b"{}", 1).expect("up");
    assert!(link.receive(200, 300).1.is_some());
}

/// The job answer is 1 + 2 + 2 + topic + 2 + 1 + body bytes as an MQTT 5 packet.
#[test]
fn what_is_larger_than_the_receive_buffer_never_arrives() {
    let (mut link, _) = link(LinkConfig::default(), 256);
    link.publish(0, NEXT, b"{}", 1).expect("up");
    let body = link.receive(0, 100).1.expect("answer").payload.len();
    let packet = 1 + 2 + 2 + NEXT.len() + "/accepted".len() + 2 + 1 + body;
    for (max, arrives) in [(packet, true), (packet - 1, false)] {
        link.config_mut().max_packet_size = Some(max);
        link.publish(100, NEXT, b"{}", 1).expect("up");
        assert_eq!(link.receive(100, 200).1.is_some(), arrives, "{max} bytes");
    }
    assert_eq!(link.counters().withheld, 1);
    link.publish(200, NEXT, br#"{"includeJobDocument":false}"#, 1).expect("up");
    assert!(link.receive(200, 300).1.is_some(), "without the document it fits");
}

#[test]
fn the_broker_discards_blocks_above_a_hundred_a_second() {
    let (mut link, stream) = link(LinkConfig { bytes_per_s: None, ..LinkConfig::default() }, 512 * 256);
    assert_eq!(download(&mut link, &stream, 256).len(), 100);
    assert_eq!(link.counters().discarded, 156);
}

#[test]
fn throughput_takes_time() {
    let config = LinkConfig { bytes_per_s: Some(10_000), messages_per_s: None, ..LinkConfig::default() };
    let (mut link, stream) = link(config, 16 * 256);
    link.subscribe(0, &format!("{stream}/data/cbor"), 0).expect("up");
    // {"f":0,"l":256,"n":16}
    link.publish(0, &format!("{stream}/get/cbor"), b"\xa3\x61f\x00\x61l\x19\x01\x00\x61n\x10", 0)
        .expect("up");
    let mut last_ms = 0;
    while let (at_ms, Some(_)) = link.receive(last_ms, 10_000) {
        last_ms = at_ms;
    }
    // 16 packets of some 350 bytes at 10 bytes a millisecond.
    assert!((500..700).contains(&last_ms), "{last_ms}");
}

#[test]
fn disconnects_forget_what_is_on_its_way() {
    let faults = Faults { disconnect_every_ms: Some(500..=500), ..Faults::default() };
    let (mut link, stream) = link(LinkConfig { faults, ..LinkConfig::default() }, 256);
    link.subscribe(0, &format!("{stream}/data/json"), 0).expect("up");
    assert_eq!(link.receive(0, 1_000), (500, None));
    assert!(!link.is_connected());
    assert_eq!(link.publish(500, NEXT, b"{}", 1), Err(LinkDown));
    assert_eq!(link.subscribe(500, "x", 1), Err(LinkDown));
    link.connect(600);
    assert!(link.is_connected());
    link.publish(600, &format!("{stream}/get/json"), br#"{"f":0,"l":256,"n":1}"#, 0).expect("up");
    assert_eq!(link.receive(600, 1_050).1, None, "a clean session has no subscriptions");
    assert_eq!(link.counters().unsubscribed, 1);
    // A message on its way is gone.
    link.publish(1_050, NEXT, b"{}", 1).expect("up");
    assert_eq!(link.next_event_ms(), Some(1_051));
    assert_eq!(link.poll(1_051), None);
    link.disconnect(1_051);
    link.connect(1_052);
    assert_eq!(link.receive(1_052, 1_500).1, None);
    assert_eq!(link.counters().lost, 1);
    assert_eq!(link.counters().disconnects, 2);
}

#[test]
fn a_persistent_session_gets_stale_pushes_later() {
    let (mut link, _) = link(LinkConfig { persistent_session: true, ..LinkConfig::default() }, 256);
    link.subscribe(0, "$aws/things/dev-7/jobs/notify-next", 1).expect("up");
    link.disconnect(10);
    link.service_mut().cancel(20, "job", false);
    assert_eq!(link.receive(20, 100).1, None);
    link.connect(200);
    assert_eq!(link.receive(200, 300).1.expect("push").topic, "$aws/things/dev-7/jobs/notify-next");
}

/// The answer to the second status update is lost, the third request doubled.
#[test]
fn a_script_decides_about_single_messages() {
    let (mut link, _) = link(LinkConfig::default(), 256);
    let (mut answers, mut requests) = (0, 0);
    link.set_script(move |message| {
        let count = if message.upward { &mut requests } else { &mut answers };
        *count += u32::from(message.topic.contains("/job/update"));
        match (message.upward, *count) {
            (false, 2) => Some(0),
            (true, 3) => Some(2),
            _ => None,
        }
    });
    let mut got = Vec::new();
    for at_ms in [0, 100, 200] {
        let body = br#"{"status":"IN_PROGRESS"}"#;
        link.publish(at_ms, "$aws/things/dev-7/jobs/job/update", body, 1).expect("up");
        let mut count = 0;
        while let (_, Some(_)) = link.receive(at_ms, at_ms + 50) {
            count += 1;
        }
        got.push(count);
    }
    assert_eq!(got, [1, 0, 2]);
    assert_eq!(link.service().job_execution("job", THING).expect("execution").version, 5);
}
