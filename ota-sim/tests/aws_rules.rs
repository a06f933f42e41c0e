//! The rules of job executions: who may change what, versions, details, timers, order, rejections.

use ota_sim::aws::{JobsError, Origin, Service, ServiceConfig, Status};

const THING: &str = "dev-7";
const JOB: &str = "job-1";

fn with_job() -> Service {
    let mut service = Service::new(ServiceConfig::default());
    assert!(service.create_job(0, THING, JOB, "{}", None));
    service.tick(0);
    service
}

/// `Ok(body)` of an accepted request, `Err(code)` of a rejected one.
fn ask_at(service: &mut Service, now_ms: u64, path: &str, body: &str) -> Result<String, String> {
    let topic = format!("$aws/things/{THING}/jobs/{path}");
    let answer = service.publish(now_ms, THING, &topic, body.as_bytes()).remove(0);
    let body = String::from_utf8(answer.payload).expect("UTF-8");
    if answer.topic == format!("{topic}/accepted") {
        return Ok(body);
    }
    assert_eq!(answer.topic, format!("{topic}/rejected"));
    let code = body.split(r#""code":""#).nth(1).expect("code").split('"').next().expect("end").to_owned();
    let with_state = matches!(code.as_str(), "InvalidStateTransition" | "VersionMismatch");
    // Throttling tests force codes without an execution at hand; all others follow the rule.
    assert!(body.contains("executionState") == with_state || body.contains("as asked for"), "{body}");
    Err(code)
}

fn ask(service: &mut Service, path: &str, body: &str) -> Result<String, String> {
    ask_at(service, 1_000, path, body)
}

fn set(service: &mut Service, status: &str) -> Result<String, String> {
    ask(service, "job-1/update", &format!(r#"{{"status":"{status}"}}"#))
}

fn refused(code: &str) -> Result<String, String> {
    Err(code.to_string())
}

fn status(service: &Service) -> Status {
    service.job_execution(JOB, THING).expect("execution").status
}

/// Every state against every status a device may send.
#[test]
fn state_rules() {
    let queued: &[&str] = &[];
    let reached: [(&[&str], &str, [bool; 4]); 5] = [
        // Then IN_PROGRESS, SUCCEEDED, FAILED, REJECTED.
        (queued, "QUEUED", [true, true, true, true]),
        (&["IN_PROGRESS"], "IN_PROGRESS", [true, true, true, false]),
        (&["SUCCEEDED"], "SUCCEEDED", [false; 4]),
        (&["IN_PROGRESS", "FAILED"], "FAILED", [false; 4]),
        (&["REJECTED"], "REJECTED", [false; 4]),
    ];
    for (before, name, allowed) in reached {
        for (to, allowed) in ["IN_PROGRESS", "SUCCEEDED", "FAILED", "REJECTED"].into_iter().zip(allowed) {
            let mut service = with_job();
            for step in before {
                set(&mut service, step).expect("a legal step");
            }
            assert_eq!(status(&service).name(), name);
            let version = service.job_execution(JOB, THING).expect("execution").version;
            let answer = set(&mut service, to);
            let execution = service.job_execution(JOB, THING).expect("execution");
            if allowed {
                assert!(answer.is_ok(), "{name} to {to}");
                assert_eq!((execution.status.name(), execution.version), (to, version + 1));
            } else {
                assert_eq!(answer, refused("InvalidStateTransition"), "{name} to {to}");
                assert_eq!((execution.status.name(), execution.version), (name, version));
            }
        }
    }
    let mut service = with_job();
    service.config_mut().rejected_after_start = true;
    set(&mut service, "IN_PROGRESS").expect("start");
    set(&mut service, "REJECTED").expect("allowed by option");
    for never in ["QUEUED", "CANCELED", "TIMED_OUT", "REMOVED", "in_progress", ""] {
        assert_eq!(set(&mut with_job(), never), refused("InvalidRequest"), "{never}");
    }
}

#[test]
fn expected_version_as_number_and_as_text() {
    for (version, expected) in [("1", true), (r#""1""#, true), ("2", false), (r#""2""#, false), ("0", false)]
    {
        let body = format!(r#"{{"status":"IN_PROGRESS","expectedVersion":{version}}}"#);
        let answer = ask(&mut with_job(), "job-1/update", &body);
        if expected {
            assert!(answer.is_ok(), "{version}");
        } else {
            assert_eq!(answer, refused("VersionMismatch"), "{version}");
        }
    }
    for bad in [r#""x""#, "-1", "1.5", "[]"] {
        let body = format!(r#"{{"status":"IN_PROGRESS","expectedVersion":{bad}}}"#);
        assert_eq!(ask(&mut with_job(), "job-1/update", &body), refused("InvalidRequest"), "{bad}");
    }
}

#[test]
fn status_details_replace_the_stored_ones_and_have_limits() {
    let mut service = with_job();
    let send = |service: &mut Service, details: &str| {
        ask(service, "job-1/update", &format!(r#"{{"status":"IN_PROGRESS","statusDetails":{details}}}"#))
    };
    send(&mut service, r#"{"a":"1","b":"2"}"#).expect("two");
    set(&mut service, "IN_PROGRESS").expect("without details");
    assert_eq!(service.job_execution(JOB, THING).expect("execution").detail("b"), Some("2"), "unchanged");
    send(&mut service, r#"{"c":"3"}"#).expect("one");
    let details = service.job_execution(JOB, THING).expect("execution").details.clone();
    assert_eq!(details, [("c".to_string(), "3".to_string())], "replaced");

    let pairs = |n: usize| {
        let pairs: Vec<String> = (0..n).map(|k| format!(r#""k{k}":"v""#)).collect();
        format!("{{{}}}", pairs.join(","))
    };
    assert!(send(&mut service, &pairs(10)).is_ok());
    assert_eq!(send(&mut service, &pairs(11)), refused("InvalidRequest"));
    let value = |n: usize| format!(r#"{{"k":"{}"}}"#, "v".repeat(n));
    assert!(send(&mut service, &value(128)).is_ok());
    for bad in [
        value(129),
        value(0),
        r#"{"k":1}"#.into(),
        r#"{"k":{}}"#.into(),
        r#"{"k":"a\nb"}"#.into(),
        r#"{"":"v"}"#.into(),
        r#"{"a b":"v"}"#.into(),
        format!(r#"{{"{}":"v"}}"#, "k".repeat(129)),
        "[]".into(),
        r#""text""#.into(),
    ] {
        assert_eq!(send(&mut service, &bad), refused("InvalidRequest"), "{bad}");
    }
}

#[test]
fn timers_end_executions() {
    const MINUTE: u64 = 60_000;
    let mut service = with_job();
    let step = |minutes: i64| format!(r#"{{"status":"IN_PROGRESS","stepTimeoutInMinutes":{minutes}}}"#);
    for bad in [0, 10_081, -2] {
        assert_eq!(ask(&mut service, "job-1/update", &step(bad)), refused("InvalidRequest"));
    }
    ask_at(&mut service, 0, "job-1/update", &step(10)).expect("start");
    // An update without a new value does not wind the timer again; one with a value does; -1 stops it.
    ask_at(&mut service, 9 * MINUTE, "job-1/update", r#"{"status":"IN_PROGRESS"}"#).expect("update");
    assert_eq!(service.next_event_ms(), Some(10 * MINUTE));
    ask_at(&mut service, 9 * MINUTE, "job-1/update", &step(-1)).expect("stop");
    assert_eq!(service.next_event_ms(), None);
    ask_at(&mut service, 9 * MINUTE, "job-1/update", &step(1)).expect("again");
    service.tick(10 * MINUTE - 1);
    assert_eq!(status(&service), Status::InProgress);
    let pushed = service.tick(10 * MINUTE);
    assert_eq!(status(&service), Status::TimedOut);
    assert!(pushed.iter().any(|m| m.topic.ends_with("/notify-next")));
    let last = service.job_execution(JOB, THING).expect("execution").history.last().expect("change").clone();
    assert_eq!((last.origin, last.at_ms), (Origin::Timer, 10 * MINUTE));
    assert_eq!(set(&mut service, "SUCCEEDED"), refused("InvalidStateTransition"));

    // The in-progress timer starts with IN_PROGRESS, not with the job; a request at its time comes too late.
    let mut service = Service::new(ServiceConfig::default());
    service.create_job(0, THING, JOB, "{}", Some(2));
    service.tick(0);
    assert_eq!(service.next_event_ms(), None);
    ask_at(&mut service, 5 * MINUTE, "job-1/update", r#"{"status":"IN_PROGRESS"}"#).expect("start");
    let late = ask_at(&mut service, 7 * MINUTE, "job-1/update", r#"{"status":"SUCCEEDED"}"#);
    assert_eq!(late, refused("InvalidStateTransition"));
    assert_eq!(status(&service), Status::TimedOut);
}

#[test]
fn cancel_delete_and_retry() {
    let mut service = with_job();
    set(&mut service, "IN_PROGRESS").expect("start");
    service.cancel(0, JOB, false);
    assert_eq!(status(&service), Status::InProgress, "a normal cancel ends queued executions only");
    service.cancel(0, JOB, true);
    assert_eq!(status(&service), Status::Canceled);
    assert!(service.tick(0).iter().any(|m| m.topic.ends_with("/notify-next")));
    assert_eq!(set(&mut service, "SUCCEEDED"), refused("InvalidStateTransition"));
    assert_eq!(ask(&mut service, "job-1/get", "{}"), refused("TerminalStateReached"));

    assert!(service.retry(0, JOB, THING));
    assert!(!service.retry(0, JOB, THING), "one attempt at a time");
    let execution = service.job_execution(JOB, THING).expect("execution");
    assert_eq!((execution.number, execution.version, execution.status), (2, 1, Status::Queued));
    let old = r#"{"status":"SUCCEEDED","executionNumber":1}"#;
    assert_eq!(ask(&mut service, "job-1/update", old), refused("InvalidStateTransition"));
    let unknown = r#"{"status":"SUCCEEDED","executionNumber":3}"#;
    assert_eq!(ask(&mut service, "job-1/update", unknown), refused("ResourceNotFound"));
    ask(&mut service, "job-1/update", r#"{"status":"SUCCEEDED","executionNumber":2}"#).expect("this one");
    assert_eq!(service.executions(THING).len(), 2);

    service.delete(0, JOB);
    assert_eq!(set(&mut service, "SUCCEEDED"), refused("ResourceNotFound"));
    assert_eq!(ask(&mut service, "job-1/get", "{}"), refused("ResourceNotFound"));
    assert!(!ask(&mut service, "$next/get", "{}").expect("nothing").contains("execution"));
}

/// `notify-next` follows the identity of the next execution, not its details.
#[test]
fn notify_next_is_about_identity() {
    let mut service = with_job();
    let mut update = |body: &str| -> usize {
        let out = service.publish(0, THING, "$aws/things/dev-7/jobs/job-1/update", body.as_bytes());
        out.iter().filter(|m| m.topic.ends_with("/notify-next")).count()
    };
    assert_eq!(update(r#"{"status":"IN_PROGRESS"}"#), 0);
    assert_eq!(update(r#"{"status":"IN_PROGRESS","statusDetails":{"receive":"1/2"}}"#), 0);
    assert_eq!(update(r#"{"status":"SUCCEEDED"}"#), 1);
    service.create_job(0, THING, "job-2", "{}", None);
    service.create_job(0, THING, "job-3", "{}", None);
    let pushed = service.tick(0);
    assert_eq!(pushed.iter().filter(|m| m.topic.ends_with("/notify-next")).count(), 1, "job-3 is not next");
    // An execution in progress goes before older queued ones.
    let topic = "$aws/things/dev-7/jobs/job-3/update";
    let out = service.publish(0, THING, topic, br#"{"status":"IN_PROGRESS"}"#);
    assert!(String::from_utf8_lossy(&out.last().expect("push").payload).contains(r#""jobId":"job-3""#));

    let mut service = with_job();
    service.config_mut().notify_status_changes = true;
    let out =
        service.publish(0, THING, "$aws/things/dev-7/jobs/job-1/update", br#"{"status":"IN_PROGRESS"}"#);
    assert!(out.iter().any(|m| m.topic.ends_with("/notify-next")), "by option");
}

#[test]
fn redelivery_says_the_same_again() {
    let mut service = with_job();
    service.redeliver(0, THING);
    let pushed = service.tick(0);
    assert_eq!(pushed.len(), 1);
    assert!(String::from_utf8_lossy(&pushed[0].payload).contains(r#""jobId":"job-1""#));
    service.cancel(0, JOB, false);
    service.tick(0);
    service.redeliver(0, THING);
    assert_eq!(service.tick(0)[0].payload, br#"{"timestamp":1718000000}"#);
    service.redeliver(0, "unknown");
    assert!(service.tick(0).is_empty());
}

#[test]
fn start_next_starts_once() {
    let mut service = with_job();
    let body = r#"{"statusDetails":{"a":"1"},"stepTimeoutInMinutes":5,"clientToken":"t"}"#;
    let answer = ask(&mut service, "start-next", body).expect("started");
    assert!(answer.starts_with(r#"{"clientToken":"t","timestamp":"#), "{answer}");
    assert!(answer.contains(r#""status":"IN_PROGRESS","statusDetails":{"a":"1"}"#), "{answer}");
    let answer = ask(&mut service, "start-next", r#"{"statusDetails":{"a":"2"}}"#).expect("as it is");
    assert!(answer.contains(r#"{"a":"1"}"#) && answer.contains(r#""versionNumber":2"#), "{answer}");
    assert_eq!(service.next_event_ms(), Some(1_000 + 5 * 60_000));
}

#[test]
fn rejections() {
    let mut service = with_job();
    assert_eq!(ask(&mut service, "$next/get", "{"), refused("InvalidJson"));
    assert_eq!(ask(&mut service, "$next/get", "[]"), refused("InvalidJson"));
    assert_eq!(ask(&mut service, "$next/get", r#"{"clientToken":7}"#), refused("InvalidRequest"));
    assert_eq!(ask(&mut service, "$next/get", r#"{"includeJobDocument":"no"}"#), refused("InvalidRequest"));
    assert_eq!(ask(&mut service, "job-1/update", "{}"), refused("InvalidRequest"));
    assert_eq!(ask(&mut service, "job-1/put", "{}"), refused("InvalidTopic"));
    assert_eq!(ask(&mut service, "none/update", r#"{"status":"FAILED"}"#), refused("ResourceNotFound"));
    let token = |n: usize| format!(r#"{{"clientToken":"{}"}}"#, "t".repeat(n));
    assert!(ask(&mut service, "$next/get", &token(64)).is_ok());
    assert_eq!(ask(&mut service, "$next/get", &token(65)), refused("InvalidRequest"));

    service.reject_next(1, JobsError::InternalError);
    assert_eq!(ask(&mut service, "$next/get", "{}"), refused("InternalError"));
    assert!(ask(&mut service, "$next/get", "{}").is_ok());
    service.config_mut().requests_per_s = Some(2);
    assert!(ask_at(&mut service, 5_000, "get", "{}").is_ok());
    assert!(ask_at(&mut service, 5_999, "get", "{}").is_ok());
    assert_eq!(ask_at(&mut service, 5_999, "get", "{}"), refused("RequestThrottled"));
    assert!(ask_at(&mut service, 6_000, "get", "{}").is_ok());
}

#[test]
fn what_is_no_request_is_not_answered() {
    let mut service = with_job();
    for topic in [
        "$aws/things/dev-7/jobs/$next/get/accepted",
        "$aws/things/dev-7/jobs/notify-next",
        "$aws/things/dev-7/streams/s/data/cbor",
        "$aws/things/dev-7/streams/s/rejected/json",
        "$aws/things/dev-70/jobs/$next/get",
        "$aws/things/other/jobs/$next/get",
        "plain/topic",
    ] {
        assert!(service.publish(0, THING, topic, b"{}").is_empty(), "{topic}");
    }
    assert_eq!(service.foreign_topics(), 3);
    let mut empty = Service::new(ServiceConfig::default());
    assert_eq!(ask(&mut empty, "$next/get", "{}"), refused("ResourceNotFound"), "no such thing");
}

#[test]
fn jobs_are_created_once() {
    let mut service = with_job();
    assert!(!service.create_job(0, THING, JOB, "{}", None));
    assert!(!service.create_job(0, THING, "job-2", "[]", None));
    assert!(!service.create_job(0, THING, "job-2", "{", None));
    assert!(service.create_job(0, "other", JOB, "{}", None), "one more target");
    assert_eq!(service.things().collect::<Vec<_>>(), [THING, "other"]);
}

#[test]
fn history_tells_every_accepted_update() {
    let mut service = with_job();
    ask_at(&mut service, 5, "job-1/update", r#"{"status":"IN_PROGRESS","statusDetails":{"a":"1"}}"#)
        .expect("one");
    let _ = ask_at(&mut service, 6, "job-1/update", r#"{"status":"IN_PROGRESS","expectedVersion":9}"#);
    ask_at(&mut service, 7, "job-1/update", r#"{"status":"FAILED"}"#).expect("two");
    let history = &service.job_execution(JOB, THING).expect("execution").history;
    let short: Vec<_> = history.iter().map(|c| (c.at_ms, c.origin, c.status, c.version)).collect();
    assert_eq!(
        short,
        [
            (0, Origin::Cloud, Status::Queued, 1),
            (5, Origin::Device, Status::InProgress, 2),
            (7, Origin::Device, Status::Failed, 3),
        ]
    );
    assert_eq!(history[1].details, [("a".to_string(), "1".to_string())]);
}
