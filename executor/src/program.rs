//! The program: flags ([`args`]), tasks ([`run`]) and the admin port ([`admin`]).

pub mod admin;
pub mod args;
pub mod run;
