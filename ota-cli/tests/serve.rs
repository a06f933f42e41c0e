//! `ota serve` as a process, with an independent MQTT client, and Python over HTTPS, as the device.

#[path = "support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64ct::{Base64, Encoding};
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{DerSignature, VerifyingKey};
use p256::pkcs8::DecodePublicKey;
use rumqttc::{Client, Connection, Event, MqttOptions, Packet, QoS};

/// Bounds every wait, so that a broken tool fails the test and does not hang it.
const PATIENCE: Duration = Duration::from_secs(20);
const THING: &str = "dev-7";

/// The running tool; killed when the test gives up.
struct Tool {
    child: Child,
    lines: Receiver<String>,
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Tool {
    fn serve(image: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ota"))
            .args(["serve", "--thing", THING, "--mqtt-port", "0", "--image"])
            .arg(image)
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the tool starts");
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("one more line in time")
    }

    /// Reads on to the line that starts with `start`; gives what follows.
    fn after(&self, start: &str) -> String {
        loop {
            if let Some(rest) = self.line().strip_prefix(start) {
                return rest.trim().to_owned();
            }
        }
    }

    fn port(&self) -> u16 {
        let address = self.after("MQTT ");
        address.split(' ').next().and_then(|a| a.rsplit(':').next()).expect("port").parse().expect("number")
    }

    fn exit_code(mut self) -> i32 {
        // The last line is out; what is left takes half a second. Reading to the end of the output waits for it.
        while self.lines.recv_timeout(PATIENCE).is_ok() {}
        self.child.wait().expect("exit").code().expect("no signal")
    }
}

fn device(port: u16) -> (Client, Connection) {
    let mut options = MqttOptions::new(THING, "127.0.0.1", port);
    options.set_credentials("?SDK=Test", "");
    Client::new(options, 10)
}

/// Publishes a request and waits for the answer, without any subscription.
fn ask(device: &mut (Client, Connection), path: &str, body: &str) -> (String, String) {
    let topic = format!("$aws/things/{THING}/jobs/{path}");
    device.0.publish(topic, QoS::AtLeastOnce, false, body).expect("queued");
    loop {
        if let Event::Incoming(Packet::Publish(p)) =
            device.1.recv_timeout(PATIENCE).expect("an answer in time").expect("connected")
        {
            return (p.topic, String::from_utf8(p.payload.to_vec()).expect("UTF-8"));
        }
    }
}

fn image_file(dir: &Path) -> (std::path::PathBuf, Vec<u8>) {
    let content: Vec<u8> = (0..5000u32).map(|k| (k * 7) as u8).collect();
    let path = dir.join("app.bin");
    std::fs::File::create(&path).expect("file").write_all(&content).expect("written");
    (path, content)
}

#[test]
fn a_succeeded_job_exits_with_zero_and_is_signed_with_the_printed_key() {
    let dir = tempfile::tempdir().expect("folder");
    let (path, content) = image_file(dir.path());
    let tool = Tool::serve(&path, &[]);
    let mut device = device(tool.port());
    let job = tool.after("Job ");
    let mut pem = String::new();
    while !pem.ends_with("-----END PUBLIC KEY-----\n") {
        let line = tool.line();
        if !pem.is_empty() || line.starts_with("-----BEGIN") {
            pem += &line;
            pem.push('\n');
        }
    }

    let (topic, body) = ask(&mut device, "$next/get", "{}");
    assert!(topic.ends_with("/$next/get/accepted"));
    let answer: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let execution = &answer["execution"];
    assert_eq!(execution["jobId"], job.as_str());
    let file = &execution["jobDocument"]["afr_ota"]["files"][0];
    assert_eq!((&file["filepath"], &file["filesize"]), (&"app.bin".into(), &5000.into()));
    let signature =
        Base64::decode_vec(file["sig-sha256-ecdsa"].as_str().expect("signature")).expect("base64");
    let key = VerifyingKey::from_public_key_pem(&pem).expect("printed key");
    key.verify(&content, &DerSignature::try_from(signature.as_slice()).expect("DER"))
        .expect("good signature");

    let update = r#"{"status":"IN_PROGRESS","statusDetails":{"receive":"1/5"}}"#;
    let (topic, _) = ask(&mut device, &format!("{job}/update"), update);
    assert!(topic.ends_with("/update/accepted"));
    let shown = tool.after("+");
    assert!(shown.contains("QUEUED"), "{shown}");
    let shown = tool.after("+");
    assert!(shown.ends_with("IN_PROGRESS  version 2  receive=1/5"), "{shown}");
    let (topic, _) = ask(&mut device, &format!("{job}/update"), r#"{"status":"SUCCEEDED"}"#);
    assert!(topic.ends_with("/update/accepted"), "the answer to the last update still arrives");
    assert_eq!(tool.exit_code(), 0);
}

#[test]
fn other_ends_have_their_own_exit_codes() {
    for (status, code) in [("FAILED", 10), ("REJECTED", 11)] {
        let dir = tempfile::tempdir().expect("folder");
        let tool = Tool::serve(&image_file(dir.path()).0, &[]);
        let mut device = device(tool.port());
        let job = tool.after("Job ");
        let update = format!(r#"{{"status":"{status}","statusDetails":{{"reason":"because"}}}}"#);
        ask(&mut device, &format!("{job}/update"), &update);
        assert_eq!(tool.exit_code(), code);
    }
}

#[test]
fn tls_files_are_made_and_announced() {
    let dir = tempfile::tempdir().expect("folder");
    let certificates = dir.path().join("tls");
    let tool = Tool::serve(&image_file(dir.path()).0, &["--tls-dir", certificates.to_str().expect("UTF-8")]);
    assert!(tool.after("MQTT/TLS ").contains("client certificate required"));
    for (label, name) in [("CA ", "ca.pem"), ("Device ", "device.pem"), ("Device key ", "device-key.pem")] {
        let path = tool.after(label);
        assert!(path.ends_with(name), "{path}");
        assert!(std::fs::read_to_string(path).expect("file").starts_with("-----BEGIN "));
    }
}

#[test]
fn block_messages_suffer_as_told() {
    let dir = tempfile::tempdir().expect("folder");
    for (fault, expected) in [("dup=100", vec![0, 0, 1, 1]), ("", vec![0, 1])] {
        let tool = Tool::serve(&image_file(dir.path()).0, &["--fault", fault, "--seed", "1"]);
        let mut device = device(tool.port());
        let stream = tool.after("Stream ");
        let blocks = format!("$aws/things/{THING}/streams/{stream}/data/json");
        device.0.subscribe(blocks, QoS::AtMostOnce).expect("queued");
        let get = |device: &mut (Client, Connection), o: u32, n: u32| {
            let topic = format!("$aws/things/{THING}/streams/{stream}/get/json");
            let request = format!(r#"{{"f":0,"l":1024,"o":{o},"n":{n}}}"#);
            device.0.publish(topic, QoS::AtLeastOnce, false, request).expect("queued");
        };
        get(&mut device, 0, 2);
        // The last block is short: where it arrives, all before it have.
        get(&mut device, 4, 1);
        let mut blocks = vec![];
        while !blocks.contains(&4) {
            let event = device.1.recv_timeout(PATIENCE).expect("a message in time").expect("connected");
            if let Event::Incoming(Packet::Publish(message)) = event {
                let block: serde_json::Value = serde_json::from_slice(&message.payload).expect("JSON");
                blocks.push(block["i"].as_u64().expect("block id"));
            }
        }
        blocks.retain(|block| *block != 4);
        assert_eq!(blocks, expected, "--fault {fault:?}");
    }
}

/// Fetches bytes 1000 to 1999 from a server on 127.0.0.1 whose certificate must be valid for the URL's host, and for the
/// other name given.
const FETCH: &str = "import http.client, socket, ssl, sys, urllib.parse
url, ca, other = urllib.parse.urlsplit(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.create_default_context(cafile=ca)
def secure(name):
    return context.wrap_socket(socket.create_connection(('127.0.0.1', url.port), 10), server_hostname=name)
secure(other).close()
connection = http.client.HTTPConnection(url.hostname, url.port)
connection.sock = secure(url.hostname)
connection.request('GET', url.path + '?' + url.query, headers={'Range': 'bytes=1000-1999'})
answer = connection.getresponse()
assert answer.status == 206, answer.status
sys.stdout.buffer.write(answer.read())
";

#[test]
fn files_over_https_behind_a_signed_url() {
    let dir = tempfile::tempdir().expect("folder");
    let (image, content) = image_file(dir.path());
    let tls = dir.path().join("tls");
    let mut more = vec!["--protocols", "http,mqtt", "--http-port", "0", "--http-host", "cloud.example"];
    more.extend(["--tls-name", "10.0.2.2", "--tls-dir", tls.to_str().expect("UTF-8")]);
    let tool = Tool::serve(&image, &more);
    let address = tool.after("MQTT/TLS ");
    let port: u16 = address.split([':', ' ']).nth(1).expect("port").parse().expect("number");
    assert!(tool.after("HTTPS ").contains("URLs of the job name cloud.example:"));
    tool.after("Waiting");

    let read = |name: &str| std::fs::read(tls.join(name)).expect("file");
    let mut options = MqttOptions::new(THING, "localhost", port);
    let identity = Some((read("device.pem"), read("device-key.pem")));
    options.set_transport(rumqttc::Transport::tls(read("ca.pem"), identity, None));
    let mut device = Client::new(options, 10);
    let (_, body) = ask(&mut device, "$next/get", "{}");
    let answer: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let ota = &answer["execution"]["jobDocument"]["afr_ota"];
    assert_eq!(ota["protocols"], serde_json::json!(["HTTP", "MQTT"]));
    let url = ota["files"][0]["update_data_url"].as_str().expect("URL");
    assert!(url.starts_with("https://cloud.example:"), "{url}");

    let fetch = |url: &str| {
        let mut python = Command::new("python3");
        python.args(["-c", FETCH, url]).arg(tls.join("ca.pem")).arg("10.0.2.2").output()
    };
    match fetch(url) {
        Ok(output) => {
            assert_eq!(output.stdout, &content[1000..2000], "{}", String::from_utf8_lossy(&output.stderr));
            // A URL nobody signed.
            assert!(
                fetch(&url.replace("Expires=1800", "Expires=9999"))
                    .is_ok_and(|output| !output.status.success())
            );
        }
        Err(_) => support::missing("python3"),
    }
}

/// Asks for the first bytes of a file over plain HTTP; the answer until the server closes, or has sent all.
fn get(url: &str) -> String {
    let (host, target) =
        url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("a plain URL");
    let port: u16 = host.rsplit(':').next().expect("port").parse().expect("number");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let head =
        format!("GET /{target} HTTP/1.1\r\nhost: {host}\r\nrange: bytes=0-3999\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    // A body that is cut off ends the connection in whatever way.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).to_lowercase()
}

#[test]
fn files_over_http_suffer_as_told() {
    let dir = tempfile::tempdir().expect("folder");
    // Text, so that an answer can be looked at as such.
    let image = dir.path().join("app.bin");
    std::fs::write(&image, [b'x'; 5000]).expect("written");
    let mut more = vec!["--protocols", "http", "--http-port", "0", "--url-expires", "7"];
    more.extend(["--range-limit", "1000", "--http-fault", "busy=3,status=500"]);
    let tool = Tool::serve(&image, &more);
    let mut device = device(tool.port());
    let (_, body) = ask(&mut device, "$next/get", "{}");
    let answer: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let ota = &answer["execution"]["jobDocument"]["afr_ota"];
    assert!(ota.get("streamname").is_none(), "{ota}");
    let url = ota["files"][0]["update_data_url"].as_str().expect("URL");
    assert!(url.contains("X-Amz-Expires=7&"), "{url}");
    // A fault a request, then none.
    let busy = get(url);
    assert!(busy.starts_with("http/1.1 503 ") && busy.contains("retry-after: 3"), "{busy}");
    assert!(get(url).starts_with("http/1.1 500 "));
    let cut = get(url);
    assert!(cut.starts_with("http/1.1 206 ") && cut.contains("content-length: 4000"), "{cut}");
    let body = cut.split_once("\r\n\r\n").expect("a body").1;
    assert_eq!(body, "x".repeat(1000), "the server hangs up");
}

#[test]
fn neither_side_is_believed_without_its_certificate() {
    let dir = tempfile::tempdir().expect("folder");
    let tls = dir.path().join("tls");
    let folder = tls.to_str().expect("UTF-8");
    let more = ["--protocols", "http", "--http-port", "0", "--tls-dir", folder, "--http-fault", "untrusted"];
    let tool = Tool::serve(&image_file(dir.path()).0, &more);
    let address = tool.after("MQTT/TLS ");
    let port: u16 = address.split([':', ' ']).nth(1).expect("port").parse().expect("number");
    tool.after("Waiting");
    let read = |name: &str| std::fs::read(tls.join(name)).expect("file");
    let connect = |identity| {
        let mut options = MqttOptions::new(THING, "localhost", port);
        options.set_transport(rumqttc::Transport::tls(read("ca.pem"), identity, None));
        let mut device = Client::new(options, 10);
        let first = device.1.recv_timeout(PATIENCE).expect("an end in time");
        (first.is_ok(), device)
    };
    assert!(!connect(None).0, "a device without a certificate was let in");
    let (connected, mut device) = connect(Some((read("device.pem"), read("device-key.pem"))));
    assert!(connected);
    let (_, body) = ask(&mut device, "$next/get", "{}");
    let answer: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let url =
        answer["execution"]["jobDocument"]["afr_ota"]["files"][0]["update_data_url"].as_str().expect("URL");
    let fetch = |ca: &Path| {
        let mut python = Command::new("python3");
        python.args(["-c", FETCH, url]).arg(ca).arg("localhost").output()
    };
    match fetch(&tls.join("ca.pem")) {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && said.contains("CERTIFICATE_VERIFY_FAILED"), "{said}");
            let other = fetch(&tls.join("untrusted/ca.pem")).expect("Python");
            assert!(other.status.success(), "{}", String::from_utf8_lossy(&other.stderr));
        }
        Err(_) => support::missing("python3"),
    }
}

#[test]
fn what_cannot_be_served_is_said_at_once() {
    let dir = tempfile::tempdir().expect("folder");
    let (image, _) = image_file(dir.path());
    let empty = dir.path().join("empty.bin");
    std::fs::write(&empty, b"").expect("written");
    let run = |image: &Path, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ota"));
        command.args(["serve", "--thing", THING, "--mqtt-port", "0", "--image"]).arg(image).args(more);
        let output = command.stdin(Stdio::null()).output().expect("runs");
        (output.status.code().expect("no signal"), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (image, more, code, words) in [
        (dir.path().join("none.bin"), &[][..], 1, "cannot read"),
        (empty, &[], 1, "is empty"),
        (image.clone(), &["--http-fault", "rain"], 2, "no such fault"),
        (image.clone(), &["--tls-name", "10.0.2.2"], 2, "--tls-dir"),
        (image.clone(), &["--job-key", "/nonexistent.pem"], 1, "cannot read /nonexistent.pem"),
        (image.clone(), &["--protocols", "ftp"], 2, "invalid value"),
        (image.clone(), &["--http-fault", "expired"], 1, "add http to --protocols"),
        (image.clone(), &["--protocols", "http", "--http-fault", "untrusted"], 1, "add --tls-dir"),
        (image.clone(), &["--range-limit", "9"], 1, "add http to --protocols"),
        (image.clone(), &["--protocols", "http", "--fault", "loss=1"], 1, "add mqtt to --protocols"),
        (image.clone(), &["--protocols", "http", "--mqtt-fault", "die-at=9"], 1, "add mqtt to --protocols"),
        (image.clone(), &["--tls-dir", image.to_str().expect("UTF-8")], 1, "app.bin (--tls-dir"),
    ] {
        let (got, text) = run(&image, more);
        assert_eq!(got, code, "{text}");
        assert!(text.contains(words), "{text}");
    }
}
