//! PSoC 62 flash layouts.
#![no_std]
