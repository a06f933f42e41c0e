//! The MQTT operations of AWS IoT Jobs over the executions of `jobs.rs`.
//!
//! Source: AWS IoT developer guide, "Jobs device MQTT API operations" and "ErrorCode".

use serde_json::{Map, Value};

use super::jobs::{Origin, Status};
use super::json::{Object, array};
use super::message::{Kind, Outgoing, To};
use super::service::Service;

const TOKEN_MAX: usize = 64;
const DETAIL_PAIRS_MAX: usize = 10;
const DETAIL_KEY_MAX: usize = 128;
const STEP_TIMEOUT_MINUTES_MAX: i64 = 10_080;

/// Why a request is rejected, spelled as AWS spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobsError {
    /// The topic maps to no operation.
    InvalidTopic,
    /// The body is not a JSON object.
    InvalidJson,
    /// A member is missing or has a bad value.
    InvalidRequest,
    /// The execution may not change so; it is over, for example.
    InvalidStateTransition,
    /// No such execution or thing.
    ResourceNotFound,
    /// `expectedVersion` is not the stored one.
    VersionMismatch,
    /// The service failed.
    InternalError,
    /// Too many requests.
    RequestThrottled,
    /// Describe of an execution that is over.
    TerminalStateReached,
}

impl JobsError {
    /// The spelling on the wire.
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidTopic => "InvalidTopic",
            Self::InvalidJson => "InvalidJson",
            Self::InvalidRequest => "InvalidRequest",
            Self::InvalidStateTransition => "InvalidStateTransition",
            Self::ResourceNotFound => "ResourceNotFound",
            Self::VersionMismatch => "VersionMismatch",
            Self::InternalError => "InternalError",
            Self::RequestThrottled => "RequestThrottled",
            Self::TerminalStateReached => "TerminalStateReached",
        }
    }
}

/// A rejection: the code, words, and the execution's state where the code calls for it.
struct Rejection {
    error: JobsError,
    message: String,
    state: Option<String>,
}

fn reject(error: JobsError, message: impl Into<String>) -> Rejection {
    Rejection { error, message: message.into(), state: None }
}

type Answer = Result<Object, Rejection>;

impl Service {
    pub(crate) fn jobs_request(
        &mut self,
        now_ms: u64,
        thing: &str,
        topic: &str,
        path: &str,
        payload: &[u8],
    ) -> Vec<Outgoing> {
        // An answer or a push sent by a client is not a request; answering it would make a loop.
        if matches!(path.rsplit('/').next(), Some("accepted" | "rejected" | "notify" | "notify-next")) {
            return Vec::new();
        }
        let parsed = serde_json::from_slice::<Map<String, Value>>(payload);
        let token = parsed.as_ref().ok().and_then(|body| body.get("clientToken")?.as_str());
        let answer = self.jobs_answer(now_ms, thing, path, parsed.as_ref().ok());
        let (suffix, body) = match answer {
            Ok(body) => ("accepted", body),
            Err(rejection) => {
                let mut body = Object::new()
                    .maybe_string("clientToken", token)
                    .string("code", rejection.error.code())
                    .string("message", &rejection.message)
                    .number("timestamp", self.clock().seconds(now_ms));
                if let Some(state) = rejection.state {
                    body = body.raw("executionState", &state);
                }
                ("rejected", body)
            }
        };
        vec![Outgoing {
            thing: thing.into(),
            topic: format!("{topic}/{suffix}"),
            payload: body.finish().into_bytes(),
            qos: 1,
            to: To::Requester,
            kind: Kind::Answer,
            not_before_ms: now_ms + self.config.answer_delay_ms,
        }]
    }

    fn jobs_answer(
        &mut self,
        now_ms: u64,
        thing: &str,
        path: &str,
        body: Option<&Map<String, Value>>,
    ) -> Answer {
        if !self.things.contains_key(thing) {
            if !self.config.any_thing {
                return Err(reject(JobsError::ResourceNotFound, "no such thing"));
            }
            self.add_thing(thing);
        }
        self.throttle(now_ms, thing)?;
        let body =
            Fields(body.ok_or_else(|| reject(JobsError::InvalidJson, "the request is not a JSON object"))?);
        let token = body.text("clientToken")?;
        if token.is_some_and(|token| token.len() > TOKEN_MAX) {
            return Err(reject(JobsError::InvalidRequest, "clientToken is longer than 64 bytes"));
        }
        let levels: Vec<&str> = path.split('/').collect();
        match levels[..] {
            ["get"] => Ok(self.get_pending(now_ms, thing, token)),
            ["start-next"] => self.start_next(now_ms, thing, token, &body),
            ["$next", "get"] => self.describe(now_ms, thing, None, token, &body),
            [job, "get"] => self.describe(now_ms, thing, Some(job), token, &body),
            [job, "update"] => self.update(now_ms, thing, job, token, &body),
            _ => Err(reject(JobsError::InvalidTopic, "the topic maps to no operation")),
        }
    }

    fn throttle(&mut self, now_ms: u64, name: &str) -> Result<(), Rejection> {
        if let Some(error) = self.reject_next.pop_front() {
            return Err(reject(error, "as asked for by the test"));
        }
        let (Some(limit), Some(thing)) = (self.config.requests_per_s, self.things.get_mut(name)) else {
            return Ok(());
        };
        let recent = &mut thing.recent_ms;
        while recent.front().is_some_and(|at_ms| at_ms + 1000 <= now_ms) {
            recent.pop_front();
        }
        if recent.len() >= limit as usize {
            return Err(reject(JobsError::RequestThrottled, "too many requests"));
        }
        recent.push_back(now_ms);
        Ok(())
    }

    fn get_pending(&self, now_ms: u64, thing: &str, token: Option<&str>) -> Object {
        let clock = self.clock();
        let list = |status| {
            let queue = self.things.get(thing).map(|thing| &thing.queue);
            array(queue.into_iter().flat_map(|q| q.pending(status)).map(|e| e.summary_json(clock)))
        };
        Object::new()
            .raw("inProgressJobs", &list(Status::InProgress))
            .raw("queuedJobs", &list(Status::Queued))
            .number("timestamp", clock.seconds(now_ms))
            .maybe_string("clientToken", token)
    }

    fn describe(
        &self,
        now_ms: u64,
        thing: &str,
        job: Option<&str>,
        token: Option<&str>,
        body: &Fields<'_>,
    ) -> Answer {
        let number = body.integer("executionNumber")?.map(|n| u64::try_from(n).unwrap_or(0));
        let with_document = body.boolean("includeJobDocument")?.unwrap_or(true);
        let queue = self.things.get(thing).map(|thing| &thing.queue);
        let found = match job {
            None => queue.and_then(|q| q.next()),
            Some(id) => {
                let missing = || reject(JobsError::ResourceNotFound, "no such job execution");
                let execution = queue.and_then(|q| q.find(id, number)).ok_or_else(missing)?;
                if execution.status.is_terminal() {
                    return Err(reject(JobsError::TerminalStateReached, "the job execution is over"));
                }
                Some(execution)
            }
        };
        let clock = self.clock();
        let answer =
            Object::new().maybe_string("clientToken", token).number("timestamp", clock.seconds(now_ms));
        Ok(match found {
            Some(execution) => {
                let document = self.documents.get(&execution.job_id).filter(|_| with_document);
                answer.raw("execution", &execution.to_json(clock, document.map(String::as_str)))
            }
            None => self.config.empty_next.add_to(answer),
        })
    }

    fn start_next(&mut self, now_ms: u64, name: &str, token: Option<&str>, body: &Fields<'_>) -> Answer {
        let details = body.details(self.config.detail_value_max)?;
        let step = body.step_timeout(false)?;
        let next = self.things.get(name).and_then(|thing| thing.queue.next());
        // What is in progress already is handed out as it is.
        let start = next.filter(|e| e.status == Status::Queued).map(|e| (e.job_id.clone(), e.number));
        if let Some((id, number)) = start {
            let thing = self.things.get_mut(name);
            if let Some(execution) = thing.and_then(|thing| thing.queue.find_mut(&id, Some(number))) {
                execution.details = details.unwrap_or_default();
                execution.step_deadline_ms = step.and_then(|step| step.deadline_ms(now_ms));
                execution.enter(now_ms, Status::InProgress, Origin::Device);
            }
            self.push_changes(now_ms, name);
        }
        self.describe(now_ms, name, None, token, &Fields(&Map::new()))
    }

    fn update(
        &mut self,
        now_ms: u64,
        name: &str,
        job: &str,
        token: Option<&str>,
        body: &Fields<'_>,
    ) -> Answer {
        let invalid = |message: &str| reject(JobsError::InvalidRequest, message);
        let status = body.text("status")?.ok_or_else(|| invalid("status is missing"))?;
        let status = Status::from_device(status).ok_or_else(|| invalid("no status a device may set"))?;
        let details = body.details(self.config.detail_value_max)?;
        let step = body.step_timeout(true)?;
        let expected = body.version()?;
        let number = body.integer("executionNumber")?.map(|n| u64::try_from(n).unwrap_or(0));
        let with_state = body.boolean("includeJobExecutionState")?.unwrap_or(false);
        let with_document = body.boolean("includeJobDocument")?.unwrap_or(false);

        let after_start = self.config.rejected_after_start;
        let queue = self.things.get_mut(name).map(|thing| &mut thing.queue);
        let execution = queue
            .and_then(|q| q.find_mut(job, number))
            .ok_or_else(|| reject(JobsError::ResourceNotFound, "no such job execution"))?;
        let stale = |error, message: String, state| Err(Rejection { error, message, state: Some(state) });
        if let Some(expected) = expected.filter(|v| *v != u64::from(execution.version)) {
            let message = format!("expected version {expected}, stored is {}", execution.version);
            return stale(JobsError::VersionMismatch, message, execution.state_json());
        }
        if !execution.status.device_may_set(status, after_start) {
            let message = format!("not from {} to {}", execution.status.name(), status.name());
            return stale(JobsError::InvalidStateTransition, message, execution.state_json());
        }
        if let Some(details) = details {
            execution.details = details;
        }
        if let Some(step) = step {
            execution.step_deadline_ms = step.deadline_ms(now_ms);
        }
        execution.enter(now_ms, status, Origin::Device);
        let state = execution.state_json();

        let mut answer = Object::new()
            .number("timestamp", self.clock().seconds(now_ms))
            .maybe_string("clientToken", token);
        if with_state {
            answer = answer.raw("executionState", &state);
        }
        if let Some(document) = self.documents.get(job).filter(|_| with_document) {
            answer = answer.raw("jobDocument", document);
        }
        self.push_changes(now_ms, name);
        Ok(answer)
    }
}

/// `stepTimeoutInMinutes`: a new timer, or none from now on.
#[derive(Clone, Copy)]
enum StepTimeout {
    Minutes(u64),
    Off,
}

impl StepTimeout {
    fn deadline_ms(self, now_ms: u64) -> Option<u64> {
        match self {
            Self::Minutes(minutes) => Some(now_ms + minutes * 60_000),
            Self::Off => None,
        }
    }
}

/// Members of a request, read by type; a member of another type is `InvalidRequest`, `null` is as absent.
struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn get<T>(&self, key: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>, Rejection> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match read(value) {
                Some(value) => Ok(Some(value)),
                None => Err(reject(JobsError::InvalidRequest, format!("bad value of {key}"))),
            },
        }
    }

    fn text(&self, key: &str) -> Result<Option<&'a str>, Rejection> {
        self.get(key, Value::as_str)
    }

    fn integer(&self, key: &str) -> Result<Option<i64>, Rejection> {
        self.get(key, Value::as_i64)
    }

    fn boolean(&self, key: &str) -> Result<Option<bool>, Rejection> {
        self.get(key, Value::as_bool)
    }

    /// `expectedVersion`: documented quoted for MQTT and bare for HTTPS; clients send both.
    fn version(&self) -> Result<Option<u64>, Rejection> {
        self.get("expectedVersion", |value| match value {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64(),
        })
    }

    fn step_timeout(&self, may_stop: bool) -> Result<Option<StepTimeout>, Rejection> {
        self.get("stepTimeoutInMinutes", |value| match value.as_i64()? {
            -1 if may_stop => Some(StepTimeout::Off),
            minutes @ 1..=STEP_TIMEOUT_MINUTES_MAX => Some(StepTimeout::Minutes(minutes as u64)),
            _ => None,
        })
    }

    /// `statusDetails`: printable strings only, at most ten.
    fn details(&self, value_max: usize) -> Result<Option<Vec<(String, String)>>, Rejection> {
        self.get("statusDetails", |value| {
            let members = value.as_object().filter(|m| m.len() <= DETAIL_PAIRS_MAX)?;
            let pair = |(key, value): (&String, &Value)| {
                let value = value.as_str()?;
                let key_ok = (1..=DETAIL_KEY_MAX).contains(&key.len())
                    && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'_' | b'-'));
                let value_ok =
                    (1..=value_max).contains(&value.chars().count()) && !value.chars().any(char::is_control);
                (key_ok && value_ok).then(|| (key.clone(), value.to_owned()))
            };
            members.iter().map(pair).collect()
        })
    }
}
