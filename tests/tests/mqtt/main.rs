//! The MQTT adapter against a scripted peer (exact bytes, hostile moments) and against real brokers.

mod brokers;
mod scripted;
