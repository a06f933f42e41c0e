//! The network decisions of the kits' firmware, in a world in virtual time.

mod answers;
mod bad_input;
mod clock;
mod paces;
mod secrets;
mod world;
