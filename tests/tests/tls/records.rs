//! Messages and records of the wrong kind, size, order or number, before and after the server has proven itself.

use std::future::Future;

use ota_core::tls::embedded_io_async::Read;
use ota_core::tls::{CertificateError, RECORD_MAX, TlsError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::certificates::{Authority, Identity, p256};
use crate::scripted::{
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, ENCRYPTED_EXTENSIONS, HANDSHAKE, Server, certificate,
    message, pair, record, server_hello,
};
use crate::support::{Memory, Numbers, bounded, config, open, outcome};

struct Setting {
    root: Authority,
    server: Identity,
}

impl Setting {
    fn new() -> Self {
        let root = Authority::root("root");
        let server = root.server();
        Self { root, server }
    }

    /// How a device fares with a server that greets it and then does `script`.
    async fn after_greeting<F: Future<Output = Server>>(
        &self,
        script: impl FnOnce(Server) -> F,
    ) -> Result<(), TlsError> {
        let roots = [self.root.anchor()];
        let (device, server) = pair();
        let config = config(&roots);
        bounded(async {
            let serve = async { script(server.greet().await).await.silence().await };
            tokio::join!(outcome(device, &config), serve).0
        })
        .await
    }

    /// What a device reads of a server that does `script` after a good handshake.
    async fn after_handshake<F: Future<Output = ()>>(
        &self,
        script: impl FnOnce(Server) -> F,
    ) -> (Vec<u8>, Result<(), TlsError>) {
        let roots = [self.root.anchor()];
        let (device, server) = pair();
        let config = config(&roots);
        bounded(async {
            let serve = async {
                let mut server = server.greet().await;
                server.authenticate(&self.server).await;
                server.connected().await;
                script(server).await;
            };
            let read = async {
                let mut memory = Memory::new();
                let mut buffers = memory.buffers();
                let mut stream = open(device, &config, &mut buffers).await.unwrap();
                let (mut all, mut buffer) = (Vec::new(), [0; 100]);
                loop {
                    match stream.read(&mut buffer).await {
                        Ok(0) => {
                            assert_eq!(stream.read(&mut buffer).await, Ok(0), "and again");
                            return (all, Ok(()));
                        }
                        Ok(count) => all.extend_from_slice(&buffer[..count]),
                        Err(error) => {
                            assert_eq!(stream.read(&mut buffer).await, Err(error), "and again");
                            return (all, Err(error));
                        }
                    }
                }
            };
            tokio::join!(read, serve).0
        })
        .await
    }
}

/// Without this, the refusals below would prove nothing.
#[tokio::test]
async fn the_scripted_server_can_behave() {
    let setting = Setting::new();
    let server = &setting.server;
    let alone = setting.after_greeting(|mut wire| async move {
        wire.authenticate(server).await;
        wire
    });
    assert_eq!(alone.await, Ok(()));
    let together = setting.after_greeting(|mut wire| async move {
        wire.clear(CHANGE_CIPHER_SPEC, &[1]).await;
        wire.say(&[ENCRYPTED_EXTENSIONS, &certificate(&server.chain)]).await;
        let verify = wire.certificate_verify(server);
        wire.say(&[&verify]).await;
        let finished = wire.finished();
        wire.say(&[&finished]).await;
        wire
    });
    assert_eq!(together.await, Ok(()));
    let (read, end) = setting
        .after_handshake(|mut wire| async move {
            wire.encrypted(b"hello\x17").await;
            wire.encrypted(b" world\x17\0\0\0").await;
            wire.encrypted(&[1, 0, ALERT]).await;
        })
        .await;
    assert_eq!((read, end), (b"hello world".to_vec(), Ok(())));
}

/// embedded-tls 0.19 by itself takes all of these for complete handshakes.
#[tokio::test]
async fn a_server_that_does_not_say_who_it_is() {
    let setting = Setting::new();
    let server = &setting.server;
    let nothing = setting.after_greeting(|mut wire| async move {
        wire.say(&[ENCRYPTED_EXTENSIONS]).await;
        let finished = wire.finished();
        wire.say(&[&finished]).await;
        wire
    });
    assert_eq!(nothing.await, Err(TlsError::NotAuthenticated));
    let unsigned = setting.after_greeting(|mut wire| async move {
        wire.say(&[ENCRYPTED_EXTENSIONS, &certificate(&server.chain)]).await;
        let finished = wire.finished();
        wire.say(&[&finished]).await;
        wire
    });
    assert_eq!(unsigned.await, Err(TlsError::NotAuthenticated));
    let asking = setting.after_greeting(|mut wire| async move {
        wire.say(&[ENCRYPTED_EXTENSIONS, &message(13, &[0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 3])]).await;
        let finished = wire.finished();
        wire.say(&[&finished]).await;
        wire
    });
    assert_eq!(asking.await, Err(TlsError::NotAuthenticated));
    let empty = setting.after_greeting(|mut wire| async move {
        wire.say(&[ENCRYPTED_EXTENSIONS, &certificate(&[])]).await;
        wire
    });
    assert_eq!(empty.await, Err(TlsError::Certificate(CertificateError::Count)));
}

#[tokio::test]
async fn proofs_that_prove_nothing() {
    let setting = Setting::new();
    let server = &setting.server;
    let root = &setting.root;
    let other_key = setting.after_greeting(|mut wire| async move {
        wire.say(&[ENCRYPTED_EXTENSIONS, &certificate(&server.chain)]).await;
        let verify = wire.certificate_verify(&root.server());
        wire.say(&[&verify]).await;
        wire
    });
    assert_eq!(other_key.await, Err(TlsError::ServerSignature));
    // Signed for another handshake: the transcript differs.
    let replayed = setting.after_greeting(|mut wire| async move {
        let verify = wire.certificate_verify(server);
        wire.say(&[ENCRYPTED_EXTENSIONS, &certificate(&server.chain), &verify]).await;
        wire
    });
    assert_eq!(replayed.await, Err(TlsError::ServerSignature));
    for scheme in [[8, 4], [4, 1], [5, 3], [8, 7], [2, 3]] {
        let scheme = setting.after_greeting(|mut wire| async move {
            wire.say(&[ENCRYPTED_EXTENSIONS, &certificate(&server.chain)]).await;
            let mut verify = wire.certificate_verify(server);
            verify[4..6].copy_from_slice(&scheme);
            wire.say(&[&verify]).await;
            wire
        });
        assert_eq!(scheme.await, Err(TlsError::ServerSignature));
    }
    let first = setting.after_greeting(|mut wire| async move {
        let verify = wire.certificate_verify(server);
        wire.say(&[ENCRYPTED_EXTENSIONS, &verify, &certificate(&server.chain)]).await;
        wire
    });
    assert_eq!(first.await, Err(TlsError::Protocol));
    // The right server, then somebody else's certificate.
    let twice = setting.after_greeting(|mut wire| async move {
        wire.say(&[ENCRYPTED_EXTENSIONS, &certificate(&server.chain)]).await;
        let verify = wire.certificate_verify(server);
        let other = root.issue(p256(), |_| {});
        wire.say(&[&verify, &certificate(&other.chain)]).await;
        wire
    });
    assert_eq!(twice.await, Err(TlsError::Protocol));
    let finished = setting.after_greeting(|mut wire| async move {
        wire.say(&[ENCRYPTED_EXTENSIONS, &certificate(&server.chain)]).await;
        let verify = wire.certificate_verify(server);
        let finished = wire.finished();
        wire.say(&[&verify, &finished]).await;
        wire
    });
    assert_eq!(finished.await, Err(TlsError::Protocol));
}

#[tokio::test]
async fn records_in_the_handshake() {
    let setting = Setting::new();
    let certificate = certificate(&setting.server.chain);
    let sends = |kind: u8, body: Vec<u8>| {
        setting.after_greeting(move |mut wire| async move {
            wire.clear(kind, &body).await;
            wire
        })
    };
    // In clear text, after the greeting, nothing but one change of cipher.
    for body in [ENCRYPTED_EXTENSIONS, &certificate[..]] {
        assert_eq!(sends(HANDSHAKE, body.to_vec()).await, Err(TlsError::UnexpectedRecord));
    }
    assert_eq!(sends(ALERT, vec![2, 40]).await, Err(TlsError::UnexpectedRecord));
    assert_eq!(sends(0, vec![0; 20]).await, Err(TlsError::UnexpectedRecord));
    assert_eq!(sends(24, vec![0; 20]).await, Err(TlsError::UnexpectedRecord));
    assert_eq!(sends(CHANGE_CIPHER_SPEC, vec![1, 1]).await, Err(TlsError::UnexpectedRecord));
    assert_eq!(sends(CHANGE_CIPHER_SPEC, vec![]).await, Err(TlsError::UnexpectedRecord));
    let twice = setting.after_greeting(|mut wire| async move {
        wire.clear(CHANGE_CIPHER_SPEC, &[1]).await;
        wire.clear(CHANGE_CIPHER_SPEC, &[1]).await;
        wire
    });
    assert_eq!(twice.await, Err(TlsError::UnexpectedRecord));
    // Encrypted ones: too short to be any, empty, forged.
    for len in [0, 1, 15, 16] {
        assert_eq!(sends(APPLICATION_DATA, vec![0; len]).await, Err(TlsError::RecordTooShort), "{len}");
    }
    assert_eq!(sends(APPLICATION_DATA, vec![0; 17]).await, Err(TlsError::BadRecord));
    assert_eq!(sends(APPLICATION_DATA, vec![0; RECORD_MAX]).await, Err(TlsError::BadRecord));
    assert_eq!(sends(APPLICATION_DATA, vec![0; RECORD_MAX + 1]).await, Err(TlsError::RecordTooLarge));
    assert_eq!(sends(APPLICATION_DATA, vec![0; 65_535]).await, Err(TlsError::RecordTooLarge));
    // Properly encrypted nothing, which embedded-tls 0.19 panics on; padding alone; an unknown type.
    for (inner, expected) in [
        (&[][..], TlsError::RecordTooShort),
        (&[0], TlsError::Protocol),
        (&[0; 100], TlsError::Protocol),
        (&[99], TlsError::Alert(None)),
        (&[HANDSHAKE], TlsError::Closed),
        (&[1, 2, 3, APPLICATION_DATA], TlsError::Alert(None)),
        (&[2, 40, ALERT], TlsError::Alert(None)),
    ] {
        let sent = setting.after_greeting(|mut wire| async move {
            wire.encrypted(inner).await;
            // Nothing in it, so the device goes on waiting.
            if expected == TlsError::Closed {
                wire.encrypted(&[]).await;
            }
            wire
        });
        let expected = if expected == TlsError::Closed { TlsError::RecordTooShort } else { expected };
        assert_eq!(sent.await, Err(expected), "{inner:?}");
    }
    let endless = setting.after_greeting(|mut wire| async move {
        for _ in 0..1_000 {
            wire.say(&[ENCRYPTED_EXTENSIONS]).await;
        }
        wire
    });
    assert_eq!(endless.await, Err(TlsError::Protocol));
}

#[tokio::test]
async fn records_after_the_handshake() {
    let setting = Setting::new();
    let sends = |bytes: Vec<u8>| async {
        setting.after_handshake(|mut wire| async move { wire.raw(&bytes).await }).await.1.unwrap_err()
    };
    // Clear text from anybody on the way. The first makes embedded-tls 0.19 panic.
    assert_eq!(sends(record(HANDSHAKE, ENCRYPTED_EXTENSIONS)).await, TlsError::UnexpectedRecord);
    assert_eq!(sends(record(ALERT, &[1, 0])).await, TlsError::UnexpectedRecord);
    assert_eq!(sends(record(CHANGE_CIPHER_SPEC, &[1])).await, TlsError::UnexpectedRecord);
    assert_eq!(sends(record(APPLICATION_DATA, &[0; 16])).await, TlsError::RecordTooShort);
    assert_eq!(sends(record(APPLICATION_DATA, &[0; 64])).await, TlsError::BadRecord);
    assert_eq!(sends(vec![]).await, TlsError::Truncated);
    assert_eq!(sends(vec![APPLICATION_DATA, 3, 3, 0]).await, TlsError::Truncated);
    assert_eq!(sends(vec![APPLICATION_DATA, 3, 3, 0, 40, 1]).await, TlsError::Truncated);

    // From the server itself.
    let key_update = message(24, &[0]);
    for (inner, expected) in [
        (&[][..], TlsError::RecordTooShort),
        (&[0], TlsError::Protocol),
        (&[&key_update[..], &[HANDSHAKE]].concat(), TlsError::Protocol),
        (&[2, 40, ALERT], TlsError::Alert(None)),
        (&[2, 200, ALERT], TlsError::Protocol),
    ] {
        let end = setting.after_handshake(|mut wire| async move { wire.encrypted(inner).await }).await.1;
        assert_eq!(end, Err(expected), "{inner:?}");
    }
    let repeated = setting.after_handshake(|mut wire| async move {
        let sealed = wire.seal(b"once\x17");
        wire.raw(&sealed).await;
        wire.raw(&sealed).await;
    });
    assert_eq!(repeated.await, (b"once".to_vec(), Err(TlsError::BadRecord)));
}

#[tokio::test]
async fn records_without_data() {
    let setting = Setting::new();
    let mut ticket = message(4, &[0, 0, 0, 9, 0, 0, 0, 0, 1, 7, 0, 2, 8, 8, 0, 0]);
    ticket.push(HANDSHAKE);
    for (count, expected) in [
        (4, (b"data".to_vec(), Ok(()))),
        (15, (b"data".to_vec(), Ok(()))),
        (16, (b"data".to_vec(), Ok(()))),
        (17, (vec![], Err(TlsError::EmptyRecords))),
        (1_000, (vec![], Err(TlsError::EmptyRecords))),
    ] {
        for nothing in [&ticket[..], &[APPLICATION_DATA]] {
            let end = setting.after_handshake(|mut wire| async move {
                for _ in 0..count {
                    wire.encrypted(nothing).await;
                }
                wire.encrypted(b"data\x17").await;
                wire.encrypted(&[1, 0, ALERT]).await;
            });
            assert_eq!(end.await, expected, "{count}");
        }
    }
}

/// Greetings of servers that want something else, and of things that are no TLS servers.
#[tokio::test]
async fn greetings() {
    let setting = Setting::new();
    let roots = [setting.root.anchor()];
    let config = config(&roots);
    let greeted = |bytes: Vec<u8>| {
        let config = &config;
        async move {
            let (device, server) = pair();
            let mut wire = server.0;
            bounded(async {
                let answer = async {
                    let _ = wire.read(&mut [0; 1_024]).await;
                    let _ = wire.write_all(&bytes).await;
                    drop(wire);
                };
                tokio::join!(outcome(device, config), answer).0
            })
            .await
            .unwrap_err()
        }
    };
    let hello = |random: &[u8; 32], extensions: &[u8]| {
        record(HANDSHAKE, &message(2, &server_hello(random, extensions)))
    };
    assert_eq!(greeted(vec![]).await, TlsError::Truncated);
    assert_eq!(greeted(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()).await, TlsError::UnexpectedRecord);
    assert_eq!(greeted(record(ALERT, &[2, 40])).await, TlsError::Alert(Some(40)));
    assert_eq!(greeted(record(ALERT, &[2, 70])).await, TlsError::Alert(Some(70)));
    assert_eq!(greeted(record(ALERT, &[2])).await, TlsError::Protocol);
    assert_eq!(greeted(record(ALERT, &[9, 9])).await, TlsError::Protocol);
    assert_eq!(greeted(record(APPLICATION_DATA, &[0; 64])).await, TlsError::UnexpectedRecord);
    assert_eq!(greeted(record(CHANGE_CIPHER_SPEC, &[1])).await, TlsError::UnexpectedRecord);
    assert_eq!(greeted(record(HANDSHAKE, &[])).await, TlsError::RecordTooShort);
    assert_eq!(greeted(record(HANDSHAKE, &[2])).await, TlsError::Protocol);
    // TLS 1.2, a wish for another group (RFC 8446 section 4.1.3), a point off the curve, no point.
    assert_eq!(greeted(hello(&[7; 32], &[])).await, TlsError::Protocol);
    assert_eq!(greeted(hello(&[7; 32], &[0, 43, 0, 2, 3, 4])).await, TlsError::Protocol);
    let retry = [
        0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91, 0xC2,
        0xA2, 0x11, 0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C,
    ];
    assert_eq!(greeted(hello(&retry, &[0, 43, 0, 2, 3, 4, 0, 51, 0, 2, 0, 29])).await, TlsError::Protocol);
    let mut off_the_curve = vec![0, 43, 0, 2, 3, 4, 0, 51, 0, 69, 0, 23, 0, 65, 4];
    off_the_curve.extend_from_slice(&[5; 64]);
    assert_eq!(greeted(hello(&[7; 32], &off_the_curve)).await, TlsError::Protocol);
    let infinity = [0, 43, 0, 2, 3, 4, 0, 51, 0, 5, 0, 23, 0, 1, 0];
    assert_eq!(greeted(hello(&[7; 32], &infinity)).await, TlsError::Protocol);

    // Random bytes, some of which look like records.
    let mut numbers = Numbers(0x0DDB_1A5E_5BAD_5EED);
    for round in 0..500 {
        let seed = numbers.0;
        let mut garbage = vec![0; 300];
        ota_core::tls::rand_core::RngCore::fill_bytes(&mut numbers, &mut garbage);
        if round % 2 == 0 {
            garbage[..5].copy_from_slice(&[HANDSHAKE, 3, 3, 1, 0]);
            garbage[5] = [1, 2, 4, 5, 8, 11, 13, 15, 20, 24, 254][round % 11];
            garbage[6..9].copy_from_slice(&[0, 0, 252]);
        }
        let error = greeted(garbage).await;
        assert!(!matches!(error, TlsError::Config(_) | TlsError::Io(_)), "seed {seed}: {error:?}");
    }
}

/// The server's whole part of the handshake, with every byte of it damaged, and cut off after every byte.
#[tokio::test]
async fn damage_everywhere() {
    let setting = Setting::new();
    let roots = [setting.root.anchor()];
    let config = config(&roots);
    // Device and server have fixed random numbers, so the same bytes fit each time.
    let flight = {
        let (device, server) = pair();
        let serve = async {
            let mut wire = server.greet().await;
            wire.authenticate(&setting.server).await;
            let flight = wire.sent.clone();
            wire.silence().await;
            flight
        };
        let (accepted, flight) = bounded(async { tokio::join!(outcome(device, &config), serve) }).await;
        assert_eq!(accepted, Ok(()));
        flight
    };
    let replayed = |flight: Vec<u8>| {
        let config = &config;
        async move {
            let (device, server) = pair();
            let mut wire = server.0;
            let serve = async {
                let _ = wire.read(&mut [0; 1_024]).await;
                let _ = wire.write_all(&flight).await;
                let _ = wire.shutdown().await;
                let _ = tokio::io::copy(&mut wire, &mut tokio::io::sink()).await;
            };
            bounded(async { tokio::join!(outcome(device, config), serve) }).await.0
        }
    };
    assert_eq!(replayed(flight.clone()).await, Ok(()));
    for at in 0..flight.len() {
        assert_eq!(replayed(flight[..at].to_vec()).await, Err(TlsError::Truncated), "cut at {at}");
        let mut damaged = flight.clone();
        damaged[at] ^= 1 << (at % 8);
        let outcome = replayed(damaged).await;
        // Nobody looks at the version of a record in clear text (RFC 8446 section 5.1).
        assert_eq!(outcome.is_ok(), at == 1 || at == 2, "damaged at {at}");
    }
}
