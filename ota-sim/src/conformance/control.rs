//! The control plane, against a broker that hands a client's own messages back to it.

use ota_core::transport::{Connector, Control, Failure, FailureKind, Qos};

use super::{Broken, must, pattern, poll_and_drop};

/// Receives without a message before the broker counts as silent.
const PATIENCE: u32 = 64;
/// Times a busy link is asked to send before it counts as stuck.
const BUSY: u32 = 64;

/// What the suite may use.
#[derive(Clone, Copy, Debug)]
pub struct ControlSpec<'a> {
    /// A topic this client may subscribe and publish to, and nobody else does.
    pub topic: &'a str,
    /// A payload that fits the client's buffers, both ways, and the broker.
    pub payload_max: usize,
    /// A payload that does not fit the client's send buffer, whatever it holds.
    pub too_large: usize,
}

/// Everything `ota-core` relies on in [`Connector`] and [`Control`]. `buffer` holds [`ControlSpec::too_large`] bytes.
///
/// # Errors
/// The first rule that is broken.
pub async fn control<C: Connector>(
    connector: &mut C,
    spec: &ControlSpec<'_>,
    buffer: &mut [u8],
) -> Result<(), Broken> {
    let large = spec.too_large.max(spec.payload_max);
    must(buffer.len() >= large, "the buffer holds the largest payload", large as u32)?;
    // A link that is dropped without a farewell, twice: the connector is good for another.
    for round in 0..3 {
        let link = connector.connect().await;
        must(link.is_ok(), "a link can be made, and made again after it was dropped", round)?;
    }
    let Ok(mut link) = connector.connect().await else {
        return Err(Broken { rule: "a link can be made", at: 0 });
    };
    must(link.subscribe(&[(spec.topic, Qos::AtLeastOnce)]).await.is_ok(), "a topic can be subscribed to", 0)?;
    must(
        link.subscribe(&[(spec.topic, Qos::AtLeastOnce)]).await.is_ok(),
        "subscribing twice does no harm",
        0,
    )?;

    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        for len in [0, 1, 127, 128, spec.payload_max] {
            let payload = fill(buffer, len, len as u32);
            publish(&mut link, spec.topic, payload, qos).await?;
            expect(&mut link, spec.topic, payload, "a message arrives whole").await?;
        }
    }

    // In order, and none lost while the receiver is polled and dropped.
    for number in 0..4 {
        let payload = fill(buffer, 16, number);
        publish(&mut link, spec.topic, payload, Qos::AtLeastOnce).await?;
    }
    let first = (1..4).any(|polls| poll_and_drop(link.receive(), polls));
    // A receive that was over before it was dropped has had its message.
    for number in u32::from(first)..4 {
        let payload = fill(buffer, 16, number);
        expect(
            &mut link,
            spec.topic,
            payload,
            "messages arrive in order, and none is lost with a dropped receive",
        )
        .await?;
    }

    // Busy while earlier messages are not acknowledged; a message there and back gives them time.
    let mut kind = Ok(());
    for _ in 0..BUSY {
        kind = link
            .publish(spec.topic, &buffer[..spec.too_large], Qos::AtLeastOnce)
            .await
            .map_err(|error| error.kind());
        if kind != Err(FailureKind::Busy) {
            break;
        }
        publish(&mut link, spec.topic, &[0], Qos::AtMostOnce).await?;
        expect(&mut link, spec.topic, &[0], "a message arrives whole").await?;
    }
    must(kind == Err(FailureKind::TooLarge), "what does not fit is TooLarge", spec.too_large as u32)?;
    let payload = fill(buffer, 1, 9);
    publish(&mut link, spec.topic, payload, Qos::AtMostOnce).await?;
    expect(&mut link, spec.topic, payload, "the link is up after a payload that was too large").await?;
    must(link.disconnect().await.is_ok(), "a farewell can be said", 0)
}

fn fill(buffer: &mut [u8], len: usize, seed: u32) -> &[u8] {
    for (byte, at) in buffer[..len].iter_mut().zip(0..) {
        *byte = pattern(seed, at);
    }
    &buffer[..len]
}

async fn publish<L: Control>(link: &mut L, topic: &str, payload: &[u8], qos: Qos) -> Result<(), Broken> {
    for _ in 0..BUSY {
        match link.publish(topic, payload, qos).await {
            Ok(()) => return Ok(()),
            // Acknowledgements come in while receiving.
            Err(error) if error.kind() == FailureKind::Busy => {
                poll_and_drop(link.receive(), 1);
            }
            Err(_) => break,
        }
    }
    Err(Broken { rule: "a message can be published", at: payload.len() as u32 })
}

async fn expect<L: Control>(
    link: &mut L,
    topic: &str,
    payload: &[u8],
    rule: &'static str,
) -> Result<(), Broken> {
    for _ in 0..PATIENCE {
        match link.receive().await {
            Ok(received) if received.is_taken() => {}
            Ok(received) => {
                let same = received.topic == topic && received.payload == payload;
                return must(same, rule, payload.len() as u32);
            }
            Err(_) => return Err(Broken { rule: "a link that is up can receive", at: 0 }),
        }
    }
    Err(Broken { rule: "a message that was published arrives", at: payload.len() as u32 })
}
