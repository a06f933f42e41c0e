//! The main job as its users start it: a process, its arguments, its exit status and the last line of its output.

mod broker;
mod flags;
mod imgtool;
mod killed;
mod kits;
mod planes;
mod process;
