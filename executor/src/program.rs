//! The program: flags ([`args`]), tasks ([`run`]) and the admin port (`admin`).

pub(crate) mod admin;
pub mod args;
pub mod run;
