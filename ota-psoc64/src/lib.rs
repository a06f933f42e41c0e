//! PSoC 64 flash layouts.
#![no_std]
