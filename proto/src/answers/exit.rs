//! The exit codes of the commands for people. Codes 0 and 1 report an answer. Codes from 64 on are those of sysexits,
//! and mean that there is no answer.

/// The answer is the desired one: every pair runs, nothing is to be done, or everything fits.
pub const AS_WISHED: u8 = 0;
/// There is an answer, but not the desired one.
pub const NOT_AS_WISHED: u8 = 1;
/// The flags can't be used (`EX_USAGE`).
pub const USAGE: u8 = 64;
/// The input can't be read, or can't be used (`EX_DATAERR`).
pub const DATA: u8 = 65;
/// A file or an object doesn't exist (`EX_NOINPUT`).
pub const NO_INPUT: u8 = 66;
/// The service can't be reached (`EX_UNAVAILABLE`).
pub const UNAVAILABLE: u8 = 69;
/// The program itself is at fault (`EX_SOFTWARE`).
pub const SOFTWARE: u8 = 70;

/// Returns the exit code for an answer.
pub fn answered(as_wished: bool) -> u8 {
    if as_wished { AS_WISHED } else { NOT_AS_WISHED }
}
