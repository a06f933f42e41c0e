//! Topics. Input: a thing's name, a NUL, a topic.

use ota_core::wire::{Format, Incoming, ThingName, Topic, TopicError, topic};

pub(crate) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (thing, given) = text.split_once('\0').unwrap_or(("d", &text));
    let is_name = |name: &str, more: &str| {
        let fits = |letter: char| letter.is_ascii_alphanumeric() || more.contains(letter);
        (1..=128).contains(&name.len()) && name.chars().all(fits)
    };
    assert_eq!(ThingName::new(thing).is_ok(), is_name(thing, ":_-"));
    assert_eq!(topic::is_id(given), is_name(given, "_-"));
    check_written(thing, given);
    let Some(incoming) = Incoming::parse(given, thing) else { return };
    // What was understood says the topic again, to the letter.
    let answer = |accepted| if accepted { "accepted" } else { "rejected" };
    let end = match incoming {
        Incoming::Described { job, accepted } => {
            assert!(job.is_none_or(topic::is_id));
            format!("jobs/{}/get/{}", job.unwrap_or("$next"), answer(accepted))
        }
        Incoming::Updated { job, accepted } => {
            assert!(topic::is_id(job));
            format!("jobs/{job}/update/{}", answer(accepted))
        }
        Incoming::NotifyNext => "jobs/notify-next".to_owned(),
        Incoming::Notify => "jobs/notify".to_owned(),
        Incoming::Data(stream, format) => stream_topic(stream, "data", format),
        Incoming::StreamRejected(stream, format) => stream_topic(stream, "rejected", format),
        Incoming::StreamDescription(stream, format) => stream_topic(stream, "description", format),
    };
    assert_eq!(given, format!("$aws/things/{thing}/{end}"));
}

fn stream_topic(stream: &str, kind: &str, format: Format) -> String {
    assert!(topic::is_id(stream));
    format!("streams/{stream}/{kind}/{}", format.as_str())
}

/// Every topic with this id: written within the broker's limits or refused, and what the broker sends back under it is read.
fn check_written(thing: &str, id: &str) {
    let mut buf = [0; topic::MAX_TOPIC_SIZE];
    let written =
        |topic: Topic<'_>| topic.encode(thing, &mut [0; 2 * topic::MAX_TOPIC_SIZE]).map(str::to_owned);
    let good = ThingName::new(thing).is_ok() && topic::is_id(id);
    for format in [Format::Cbor, Format::Json] {
        let topics = [
            (Topic::StreamData(id, format), Incoming::Data(id, format)),
            (Topic::StreamRejected(id, format), Incoming::StreamRejected(id, format)),
            (Topic::StreamDescription(id, format), Incoming::StreamDescription(id, format)),
        ];
        for (topic, incoming) in topics {
            match written(topic) {
                Ok(text) => {
                    assert!(good && text.len() <= topic::MAX_TOPIC_SIZE);
                    assert!(text.matches('/').count() <= topic::MAX_SLASHES);
                    assert_eq!(topic.encode(thing, &mut buf), Ok(&*text));
                    assert_eq!(Incoming::parse(&text, thing), Some(incoming));
                    // Never that of another thing.
                    assert_eq!(Incoming::parse(&text, &format!("{thing}x")), None);
                    assert_eq!(
                        topic.encode(thing, &mut buf[..text.len() - 1]),
                        Err(TopicError::BufferTooSmall)
                    );
                }
                Err(error) => assert_eq!(good, error == TopicError::TooLong, "{error:?}"),
            }
        }
    }
    for (topic, end, incoming) in [
        (Topic::Describe(id), "accepted", Incoming::Described { job: Some(id), accepted: true }),
        (Topic::Describe(id), "rejected", Incoming::Described { job: Some(id), accepted: false }),
        (Topic::Update(id), "accepted", Incoming::Updated { job: id, accepted: true }),
        (Topic::DescribeNext, "rejected", Incoming::Described { job: None, accepted: false }),
    ] {
        if let Ok(text) = written(topic) {
            assert_eq!(Incoming::parse(&format!("{text}/{end}"), thing), Some(incoming));
            assert_eq!(Incoming::parse(&text, thing), None, "{text} is a request");
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let ends = [
        "jobs/$next/get/accepted",
        "jobs/AFR_OTA-r/get/rejected",
        "jobs/AFR_OTA-r/update/accepted",
        "jobs/notify-next",
        "jobs/notify",
        "streams/AFR_OTA-0/data/cbor",
        "streams/AFR_OTA-0/rejected/json",
        "streams/AFR_OTA-0/description/cbor",
    ];
    let topics = ends.map(|end| format!("lamp:1\0$aws/things/lamp:1/{end}").into_bytes());
    let long = [format!("{}\0{}", "t".repeat(128), "s".repeat(128)), "lamp\0AFR_OTA-0".to_owned()];
    topics.into_iter().chain(long.map(String::into_bytes)).collect()
}
