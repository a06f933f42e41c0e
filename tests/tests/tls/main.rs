//! TLS against servers that are what they should be and servers that are not: rustls with certificates made for the
//! run, and, where rustls refuses to misbehave, a scripted server that speaks just enough TLS 1.3 to do so.

mod certificates;
mod chains;
mod client;
mod mosquitto;
mod mqtt;
mod records;
mod roots;
mod scripted;
mod servers;
mod stream;
mod support;
