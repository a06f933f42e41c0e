//! The SD host controller and the Wi-Fi chip's driver against models of the controller, an SDIO card and the chip behind it.
//!
//! `controller` is the register model, `card` the card with its enumeration and CMD52/CMD53, `chip` what of the CYW4343W
//! the upload of the firmware and the exchange of frames touch, `fault` what goes wrong when. A driver that does what the
//! specifications forbid fails the test by a panic of the model.

mod blobs;
mod card;
mod chip;
mod controller;
mod fault;
mod frames;

mod enumeration;
mod hostile;
mod network;
mod transfer;
mod upload;
