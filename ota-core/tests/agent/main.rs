//! Scripts of the agent: conversations with a clock, one rule of DESIGN.md's agent chapter each.

mod aside;
mod blocks;
mod boots;
mod device;
mod jobs;
mod lane;
mod limits;
mod lost;
mod several;
mod table;
mod talk;
mod urls;
mod walks;
mod wear;
mod wire;
mod words;
mod worn;
