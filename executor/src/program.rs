//! The program: its flags ([`args`]), its tasks ([`run`]) and its admin port ([`admin`]).

pub mod admin;
pub mod args;
pub mod run;
