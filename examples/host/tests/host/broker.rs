//! `--broker`: the same update through mosquitto.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use crate::process::run;

/// A broker of its own, ended when dropped.
struct Mosquitto {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `None`, with a notice, where mosquitto is not installed and need not be.
fn mosquitto() -> Option<Mosquitto> {
    let folder = tempfile::tempdir().unwrap();
    // A port that was free a moment ago may be taken by another test: then mosquitto ends, and another is tried.
    for _ in 0..10 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let file = folder.path().join("mosquitto.conf");
        let settings =
            format!("listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest stderr\nlog_type all\n");
        std::fs::write(&file, settings).unwrap();
        // Debian puts it where only root looks.
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let started =
            Command::new("mosquitto").env("PATH", path).arg("-c").arg(&file).stderr(Stdio::piped()).spawn();
        let mut process = match started {
            Ok(process) => process,
            Err(error) => {
                let required = ["CI", "OTA_REQUIRE_ALL"].iter().any(|name| std::env::var_os(name).is_some());
                assert!(!required, "mosquitto cannot be started ({error}); install it");
                // Written past the test runner's capture, so that it is seen.
                let _ =
                    writeln!(std::io::stderr(), "NOTICE: mosquitto is not installed, its test does nothing");
                return None;
            }
        };
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let ready = lines.any(|line| line.ends_with(" running"));
        // The pipe has to be read on, else mosquitto stands still when it is full.
        std::thread::spawn(move || lines.for_each(drop));
        if ready {
            return Some(Mosquitto { process, port, _folder: folder });
        }
        process.wait().unwrap();
    }
    panic!("mosquitto does not start");
}

#[test]
fn through_mosquitto() {
    let Some(broker) = mosquitto() else { return };
    let end = run(&format!("--size 200000 --broker 127.0.0.1:{}", broker.port));
    end.is_updated();
    end.nothing_twice();
}

#[test]
fn without_a_broker_there_is_a_word_and_no_hang() {
    // Nobody listens on a port that was just given back.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let end = run(&format!("--broker 127.0.0.1:{port}"));
    assert!(!end.ok);
    assert!(end.stderr.contains("error: the broker"), "{}", end.stderr);
}
