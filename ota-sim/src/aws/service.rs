//! The cloud's side of an update as a value: things, jobs, streams; requests in, answers out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::config::ServiceConfig;
use super::document::OtaSpec;
use super::jobs::{Clock, Execution, Origin, Queue, Status};
use super::jobs_api::JobsError;
use super::json::{Object, array};
use super::message::{Kind, Outgoing, To};
use super::rng::Rng;
use super::streams::{Block, Format, Request, Stream, StreamError};
use super::topic::thing_of;

/// AWS IoT Jobs and streams for any number of things.
///
/// *Requests*: [`Service::publish`]. *Time*: [`Service::tick`] and [`Service::next_event_ms`]. *The operator's
/// words*: `create_…`, [`Service::cancel`], [`Service::delete`], [`Service::retry`]; what they push to devices comes
/// out of the next `publish` or `tick`. *Looking*: [`Service::job_execution`] and friends.
#[derive(Clone, Debug)]
pub struct Service {
    pub(crate) config: ServiceConfig,
    pub(crate) rng: Rng,
    pub(crate) things: BTreeMap<String, Thing>,
    pub(crate) documents: BTreeMap<String, String>,
    streams: BTreeMap<String, Stream>,
    pub(crate) pushes: Vec<Outgoing>,
    pub(crate) reject_next: VecDeque<JobsError>,
    foreign_topics: u64,
    /// Bytes sent as blocks, by stream.
    sent: BTreeMap<String, u64>,
}

/// What the service keeps of one thing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Thing {
    pub(crate) queue: Queue,
    /// Times of the requests of the last second, for throttling.
    pub(crate) recent_ms: VecDeque<u64>,
}

impl Service {
    /// An account without things.
    pub fn new(config: ServiceConfig) -> Self {
        let rng = Rng::new(config.seed);
        Self {
            config,
            rng,
            things: BTreeMap::new(),
            documents: BTreeMap::new(),
            streams: BTreeMap::new(),
            pushes: Vec::new(),
            reject_next: VecDeque::new(),
            foreign_topics: 0,
            sent: BTreeMap::new(),
        }
    }

    /// The behaviour, to be changed at any time.
    pub fn config_mut(&mut self) -> &mut ServiceConfig {
        &mut self.config
    }

    /// Registers a thing; creating a job for it does so too.
    pub fn add_thing(&mut self, thing: &str) {
        self.things.entry(thing.into()).or_default();
    }

    /// Queues a job with any document. `document` must be a JSON object.
    ///
    /// The same id for another thing makes that thing one more target of the job, with the first document.
    /// Returns false, and changes nothing, if the thing has this job already or the document is not JSON.
    pub fn create_job(
        &mut self,
        now_ms: u64,
        thing: &str,
        job_id: &str,
        document: &str,
        in_progress_timeout_minutes: Option<u32>,
    ) -> bool {
        let has_it = self.job_execution(job_id, thing).is_some();
        if has_it || serde_json::from_str::<serde_json::Map<_, _>>(document).is_err() {
            return false;
        }
        let timeout_ms = in_progress_timeout_minutes.map(|minutes| u64::from(minutes) * 60_000);
        self.documents.entry(job_id.into()).or_insert_with(|| document.into());
        let queue = &mut self.things.entry(thing.into()).or_default().queue;
        queue.executions.push(Execution::new(job_id, 1, now_ms, timeout_ms));
        self.push_changes(now_ms, thing);
        true
    }

    /// Queues an OTA job: makes the stream `AFR_OTA-<uuid>` with the files, and the `afr_ota` document.
    ///
    /// Returns the stream's id. A job without `MQTT` among its protocols gets no stream name.
    pub fn create_ota_job(&mut self, now_ms: u64, thing: &str, job_id: &str, spec: &OtaSpec) -> String {
        let stream_id = format!("AFR_OTA-{}", self.rng.uuid());
        self.add_stream(Stream {
            id: stream_id.clone(),
            version: 1,
            description: job_id.into(),
            files: spec.files.iter().map(|file| (file.id, Arc::from(file.content.as_slice()))).collect(),
            broken: None,
        });
        let named = spec.protocols.iter().any(|p| p == "MQTT").then_some(stream_id.as_str());
        self.create_job(now_ms, thing, job_id, &spec.document(named), None);
        stream_id
    }

    /// Adds or replaces a stream.
    pub fn add_stream(&mut self, stream: Stream) {
        self.streams.insert(stream.id.clone(), stream);
    }

    /// A stream, to be changed under a download.
    pub fn stream_mut(&mut self, id: &str) -> Option<&mut Stream> {
        self.streams.get_mut(id)
    }

    /// Cancels a job for all its things: what is queued, and with `force` also what is in progress.
    pub fn cancel(&mut self, now_ms: u64, job_id: &str, force: bool) {
        self.change_all(now_ms, |_, queue| {
            for execution in &mut queue.executions {
                let reached = match execution.status {
                    Status::Queued => true,
                    Status::InProgress => force,
                    Status::Failed
                    | Status::Succeeded
                    | Status::Canceled
                    | Status::TimedOut
                    | Status::Rejected
                    | Status::Removed => false,
                };
                if reached && execution.job_id == job_id {
                    execution.enter(now_ms, Status::Canceled, Origin::Cloud);
                }
            }
        });
    }

    /// Deletes a job with all executions; requests about it are `ResourceNotFound` from now on.
    pub fn delete(&mut self, now_ms: u64, job_id: &str) {
        self.documents.remove(job_id);
        self.change_all(now_ms, |_, queue| queue.executions.retain(|e| e.job_id != job_id));
    }

    /// Gives a thing another attempt at a job whose last execution is over: same id, next execution number.
    pub fn retry(&mut self, now_ms: u64, job_id: &str, thing: &str) -> bool {
        let Some(last) = self.job_execution(job_id, thing).filter(|e| e.status.is_terminal()) else {
            return false;
        };
        let next = Execution::new(job_id, last.number + 1, now_ms, last.progress_timeout_ms);
        if let Some(thing) = self.things.get_mut(thing) {
            thing.queue.executions.push(next);
        }
        self.push_changes(now_ms, thing);
        true
    }

    /// Pushes `notify-next` again though nothing changed, as a QoS 1 redelivery or an eager service would.
    pub fn redeliver(&mut self, now_ms: u64, thing: &str) {
        if let Some(known) = self.things.get_mut(thing) {
            known.queue.told_next = None;
            // With nothing next, `None` would look told already.
            if known.queue.next().is_none() {
                known.queue.told_next = Some((String::new(), 0, Status::Removed));
            }
        }
        self.push_changes(now_ms, thing);
    }

    /// Rejects the next `count` requests to Jobs with `error` (throttling, service failure).
    pub fn reject_next(&mut self, count: usize, error: JobsError) {
        self.reject_next.extend(core::iter::repeat_n(error, count));
    }

    /// The latest execution of a job by a thing.
    pub fn job_execution(&self, job_id: &str, thing: &str) -> Option<&Execution> {
        self.things.get(thing)?.queue.find(job_id, None)
    }

    /// All executions of a thing, oldest first.
    pub fn executions(&self, thing: &str) -> &[Execution] {
        self.things.get(thing).map_or(&[], |thing| &thing.queue.executions)
    }

    /// Names of all things.
    pub fn things(&self) -> impl Iterator<Item = &str> {
        self.things.keys().map(String::as_str)
    }

    /// Publishes seen on topics that are no request of the client's own thing; AWS would close the connection.
    pub fn foreign_topics(&self) -> u64 {
        self.foreign_topics
    }

    /// Takes one PUBLISH of a client that is `thing`, and gives what is published because of it.
    pub fn publish(&mut self, now_ms: u64, thing: &str, topic: &str, payload: &[u8]) -> Vec<Outgoing> {
        self.expire(now_ms);
        let request = topic.strip_prefix("$aws/things/").and_then(|rest| rest.strip_prefix(thing));
        let mut out = match request.and_then(|rest| rest.strip_prefix('/')).and_then(|r| r.split_once('/')) {
            Some(("jobs", path)) => self.jobs_request(now_ms, thing, topic, path, payload),
            Some(("streams", path)) => self.stream_request(now_ms, thing, path, payload),
            Some(_) | None => {
                self.foreign_topics += 1;
                Vec::new()
            }
        };
        debug_assert!(out.iter().all(|m| thing_of(&m.topic) == Some(thing)));
        out.append(&mut self.pushes);
        self.presigned(now_ms, out)
    }

    /// Fills in what a job document leaves to be signed at delivery (AWS IoT developer guide, "Create and manage jobs",
    /// presigned URLs).
    fn presigned(&self, now_ms: u64, mut out: Vec<Outgoing>) -> Vec<Outgoing> {
        const OPEN: &str = "${aws:iot:s3-presigned-url:";
        for message in out.iter_mut().filter(|message| !matches!(message.kind, Kind::Block { .. })) {
            let Ok(mut text) = String::from_utf8(message.payload.clone()) else { continue };
            while let Some((before, rest)) = text.split_once(OPEN) {
                let Some((url, after)) = rest.split_once('}') else { break };
                text = format!("{before}{}{after}", self.config.presign.url(url, now_ms));
            }
            message.payload = text.into_bytes();
        }
        out
    }

    /// Runs the timers up to `now_ms` and gives what is to be pushed.
    pub fn tick(&mut self, now_ms: u64) -> Vec<Outgoing> {
        self.expire(now_ms);
        let out = core::mem::take(&mut self.pushes);
        self.presigned(now_ms, out)
    }

    /// When [`Service::tick`] has something to do: 0 if at once, `None` if only a request can change anything.
    pub fn next_event_ms(&self) -> Option<u64> {
        if !self.pushes.is_empty() {
            return Some(0);
        }
        let executions = self.things.values().flat_map(|thing| &thing.queue.executions);
        executions.filter_map(Execution::deadline_ms).min()
    }

    pub(crate) fn clock(&self) -> Clock {
        Clock { epoch_s: self.config.epoch_s }
    }

    fn expire(&mut self, now_ms: u64) {
        let due = |e: &Execution| e.deadline_ms().filter(|at_ms| *at_ms <= now_ms);
        if !self.things.values().any(|thing| thing.queue.executions.iter().any(|e| due(e).is_some())) {
            return;
        }
        self.change_all(now_ms, |_, queue| {
            for execution in &mut queue.executions {
                if let Some(at_ms) = due(execution) {
                    execution.enter(at_ms, Status::TimedOut, Origin::Timer);
                }
            }
        });
    }

    fn change_all(&mut self, now_ms: u64, change: impl Fn(&str, &mut Queue)) {
        for (name, thing) in &mut self.things {
            change(name, &mut thing.queue);
        }
        let names: Vec<String> = self.things.keys().cloned().collect();
        for name in names {
            self.push_changes(now_ms, &name);
        }
    }

    /// Pushes `notify-next` when the identity of the next execution changed, `notify` when the list of pending
    /// executions did.
    pub(crate) fn push_changes(&mut self, now_ms: u64, name: &str) {
        let (clock, by_status) = (self.clock(), self.config.notify_status_changes);
        let Some(thing) = self.things.get_mut(name) else { return };
        let queue = &mut thing.queue;
        let timestamp = Object::new().number("timestamp", clock.seconds(now_ms));

        let pending =
            |status| queue.pending(status).map(|e| (e.job_id.clone(), e.number)).collect::<Vec<_>>();
        let mut listed = [pending(Status::InProgress), pending(Status::Queued)].concat();
        listed.sort();
        let mut bodies = Vec::new();
        if listed != queue.told_pending {
            let mut jobs = Object::new();
            for status in [Status::InProgress, Status::Queued] {
                let summaries: Vec<String> = queue.pending(status).map(|e| e.summary_json(clock)).collect();
                if !summaries.is_empty() {
                    jobs = jobs.raw(status.name(), &array(summaries));
                }
            }
            bodies.push((
                "notify",
                Object::new().number("timestamp", clock.seconds(now_ms)).raw("jobs", &jobs.finish()),
            ));
            queue.told_pending = listed;
        }

        let next = queue.next();
        let told = next.map(|e| (e.job_id.clone(), e.number, e.status));
        let same = match (&told, &queue.told_next) {
            (Some(a), Some(b)) => (&a.0, a.1) == (&b.0, b.1) && (!by_status || a.2 == b.2),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !same {
            let body = match next {
                Some(e) => {
                    let document = self.documents.get(&e.job_id).map(String::as_str);
                    timestamp.raw("execution", &e.to_json(clock, document))
                }
                None => self.config.empty_next.add_to(timestamp),
            };
            bodies.push(("notify-next", body));
        }
        queue.told_next = told;
        for (last, body) in bodies {
            self.pushes.push(Outgoing {
                thing: name.into(),
                topic: format!("$aws/things/{name}/jobs/{last}"),
                payload: body.finish().into_bytes(),
                qos: 1,
                to: To::Subscribers,
                kind: Kind::Push,
                not_before_ms: now_ms,
            });
        }
    }

    fn stream_request(&mut self, now_ms: u64, thing: &str, path: &str, payload: &[u8]) -> Vec<Outgoing> {
        let levels: Vec<&str> = path.split('/').collect();
        let [id, operation, format] = levels[..] else {
            self.foreign_topics += 1;
            return Vec::new();
        };
        let Some(format) = Format::from_name(format) else {
            self.foreign_topics += 1;
            return Vec::new();
        };
        // An answer sent by a client is not a request; answering it would make a loop.
        if matches!(operation, "data" | "description" | "rejected") {
            return Vec::new();
        }
        let outgoing = |answer: &str, payload: Vec<u8>, kind: Kind| Outgoing {
            thing: thing.into(),
            topic: format!("$aws/things/{thing}/streams/{id}/{answer}/{}", format.name()),
            payload,
            qos: 0,
            to: To::Subscribers,
            kind,
            not_before_ms: now_ms + self.config.answer_delay_ms,
        };
        let rejected = |error: StreamError, token: Option<&str>| {
            vec![outgoing("rejected", error.encode(format, token), Kind::Answer)]
        };
        let request = match Request::parse(format, payload) {
            Ok(request) => request,
            Err(error) => return rejected(error, None),
        };
        let token = request.token.as_deref();
        let Some(stream) = self.streams.get(id) else {
            return rejected(StreamError::ResourceNotFound, token);
        };
        match operation {
            "describe" => match stream.describe(format, &request) {
                Ok(body) => vec![outgoing("description", body, Kind::Answer)],
                Err(error) => rejected(error, token),
            },
            "get" if self.config.refuse_bitmap_without_count && request.lacks_count() => {
                rejected(StreamError::InvalidRequest, token)
            }
            "get" => match stream.blocks(format, &request, self.config.echo_token_in_blocks) {
                Ok(blocks) => {
                    let end = self
                        .config
                        .streams_die_at_percent
                        .map(|percent| stream.size() * u64::from(percent) / 100);
                    let sent = self.sent.entry(id.into()).or_default();
                    let lives = |block: &Block| {
                        let lives = end.is_none_or(|end| *sent < end);
                        *sent += if lives { block.payload.len() as u64 } else { 0 };
                        lives
                    };
                    let message = |b: Block| {
                        outgoing("data", b.message, Kind::Block { ids: b.ids, payload: b.payload })
                    };
                    blocks.into_iter().take_while(lives).map(message).collect()
                }
                Err(error) => rejected(error, token),
            },
            _ => rejected(StreamError::InvalidTopic, token),
        }
    }
}
