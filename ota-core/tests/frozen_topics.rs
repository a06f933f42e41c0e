//! The topics of AWS IoT Jobs and of MQTT-based file delivery, as the AWS IoT developer guide spells them.

use ota_core::wire::topic::{MAX_ID_SIZE, MAX_SLASHES, MAX_TOPIC_SIZE, is_id};
use ota_core::wire::{Format, Incoming, ThingName, Topic, TopicError};

const STREAM: &str = "AFR_OTA-00000000-1111-2222-3333-444444444444";

fn encode(topic: Topic<'_>, thing: &str) -> Result<String, TopicError> {
    topic.encode(thing, &mut [0; 300]).map(str::to_owned)
}

#[test]
fn outgoing() {
    use Format::{Cbor, Json};
    let s = STREAM;
    for (topic, text) in [
        (Topic::DescribeNext, "$aws/things/dev-7/jobs/$next/get"),
        (Topic::Describe("AFR_OTA-rel-12"), "$aws/things/dev-7/jobs/AFR_OTA-rel-12/get"),
        (Topic::Update("AFR_OTA-rel-12"), "$aws/things/dev-7/jobs/AFR_OTA-rel-12/update"),
        (Topic::NotifyNext, "$aws/things/dev-7/jobs/notify-next"),
        (Topic::AnyDescribeAnswers, "$aws/things/dev-7/jobs/+/get/+"),
        (Topic::AnyUpdateAnswers, "$aws/things/dev-7/jobs/+/update/+"),
    ] {
        assert_eq!(encode(topic, "dev-7").as_deref(), Ok(text));
    }
    for (topic, tail) in [
        (Topic::GetStream(s, Cbor), "get/cbor"),
        (Topic::GetStream(s, Json), "get/json"),
        (Topic::DescribeStream(s, Cbor), "describe/cbor"),
        (Topic::DescribeStream(s, Json), "describe/json"),
        (Topic::StreamData(s, Cbor), "data/cbor"),
        (Topic::StreamData(s, Json), "data/json"),
        (Topic::StreamRejected(s, Cbor), "rejected/cbor"),
        (Topic::StreamRejected(s, Json), "rejected/json"),
        (Topic::StreamDescription(s, Cbor), "description/cbor"),
        (Topic::StreamDescription(s, Json), "description/json"),
    ] {
        let encoded = encode(topic, "a:b_C").unwrap();
        assert_eq!(encoded, format!("$aws/things/a:b_C/streams/{s}/{tail}"));
        assert!(encoded.matches('/').count() <= MAX_SLASHES);
    }
}

#[test]
fn incoming() {
    use Format::{Cbor, Json};
    for (tail, expected) in [
        ("jobs/$next/get/accepted", Incoming::Described { job: None, accepted: true }),
        ("jobs/$next/get/rejected", Incoming::Described { job: None, accepted: false }),
        ("jobs/J-1/get/accepted", Incoming::Described { job: Some("J-1"), accepted: true }),
        ("jobs/J-1/get/rejected", Incoming::Described { job: Some("J-1"), accepted: false }),
        ("jobs/J-1/update/accepted", Incoming::Updated { job: "J-1", accepted: true }),
        ("jobs/J-1/update/rejected", Incoming::Updated { job: "J-1", accepted: false }),
        ("jobs/notify-next", Incoming::NotifyNext),
        ("jobs/notify", Incoming::Notify),
        // Words of the protocol are legal job ids too.
        ("jobs/notify/update/accepted", Incoming::Updated { job: "notify", accepted: true }),
        ("jobs/get/get/accepted", Incoming::Described { job: Some("get"), accepted: true }),
        ("streams/S/data/cbor", Incoming::Data("S", Cbor)),
        ("streams/S/data/json", Incoming::Data("S", Json)),
        ("streams/S/rejected/cbor", Incoming::StreamRejected("S", Cbor)),
        ("streams/S/rejected/json", Incoming::StreamRejected("S", Json)),
        ("streams/S/description/cbor", Incoming::StreamDescription("S", Cbor)),
        ("streams/S/description/json", Incoming::StreamDescription("S", Json)),
    ] {
        let topic = format!("$aws/things/dev-7/{tail}");
        assert_eq!(Incoming::parse(&topic, "dev-7"), Some(expected), "{topic}");
        for other in ["dev-8", "dev", "dev-77", "", "DEV-7", "dev-7/jobs"] {
            assert_eq!(Incoming::parse(&topic, other), None, "{topic} is not for {other:?}");
        }
        for end in 0..topic.len() {
            let cut = Incoming::parse(&topic[..end], "dev-7");
            // `notify` is the only topic that is the beginning of another.
            let may_be = topic[..end].ends_with("/jobs/notify");
            assert_eq!(cut.is_some(), may_be, "{}", &topic[..end]);
        }
        assert_eq!(Incoming::parse(&format!("{topic}/"), "dev-7"), None);
        assert_eq!(Incoming::parse(&format!("x{topic}"), "dev-7"), None);
    }
}

#[test]
fn foreign_topics_are_not_ours() {
    for tail in [
        "",
        "jobs",
        "jobs/",
        "jobs//get/accepted",
        "jobs/$next/update/accepted",
        "jobs/$nexx/get/accepted",
        "jobs/J 1/get/accepted",
        "jobs/J/get",
        "jobs/J/get/accepted/x",
        "jobs/J/delete/accepted",
        "jobs/start-next/accepted",
        "streams//data/cbor",
        "streams/S/data",
        "streams/S/data/xml",
        "streams/S/get/cbor",
        "streams/S+/rejected/cbor",
        "shadow/update/accepted",
    ] {
        assert_eq!(Incoming::parse(&format!("$aws/things/T/{tail}"), "T"), None, "{tail}");
    }
    assert_eq!(Incoming::parse("sensors/T/jobs/notify", "T"), None);
}

#[test]
fn names_have_a_length_and_an_alphabet() {
    let longest = "x".repeat(MAX_ID_SIZE);
    let longer = "x".repeat(MAX_ID_SIZE + 1);
    for good in ["a", "Z", "0", "_", "-", ":", "a:b_c-D9", &longest] {
        assert_eq!(ThingName::new(good).map(|name| name.as_str()), Ok(good));
    }
    for bad in ["", " ", "a b", "a/b", "a+b", "a#", "ä", "a\0", "$a", "a.b", &longer] {
        assert_eq!(ThingName::new(bad), Err(TopicError::ThingName), "{bad:?}");
        assert_eq!(encode(Topic::DescribeNext, bad), Err(TopicError::ThingName), "{bad:?}");
        assert!(!is_id(bad));
        assert_eq!(encode(Topic::Update(bad), "T"), Err(TopicError::JobId), "{bad:?}");
        assert_eq!(encode(Topic::StreamData(bad, Format::Cbor), "T"), Err(TopicError::StreamId), "{bad:?}");
    }
    // Only thing names may hold a colon.
    assert!(!is_id("a:b"));
    assert_eq!(encode(Topic::Describe("a:b"), "T"), Err(TopicError::JobId));
    assert!(is_id(&longest));
}

#[test]
fn a_topic_has_at_most_256_bytes() {
    let thing = "t".repeat(128);
    // Worst case of OTA jobs: a job id of 64 and a stream of the OTA update manager.
    assert_eq!(encode(Topic::Update(&"j".repeat(64)), &thing).unwrap().len(), 226 - "/rejected".len());
    assert_eq!(encode(Topic::StreamDescription(STREAM, Format::Cbor), &thing).unwrap().len(), 210);
    // `$aws/things/` + 128 + `/streams/` + id + `/data/cbor`: an id of 97 fills the topic.
    assert_eq!(
        encode(Topic::StreamData(&"s".repeat(97), Format::Cbor), &thing).unwrap().len(),
        MAX_TOPIC_SIZE
    );
    assert_eq!(encode(Topic::StreamData(&"s".repeat(98), Format::Cbor), &thing), Err(TopicError::TooLong));
    assert_eq!(encode(Topic::StreamData(&"s".repeat(128), Format::Cbor), &thing), Err(TopicError::TooLong));
    let topic = Topic::DescribeNext;
    let size = encode(topic, "T").unwrap().len();
    assert!(topic.encode("T", &mut vec![0; size]).is_ok());
    assert_eq!(topic.encode("T", &mut vec![0; size - 1]), Err(TopicError::BufferTooSmall));
    assert_eq!(topic.encode("T", &mut []), Err(TopicError::BufferTooSmall));
}
