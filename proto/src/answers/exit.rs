//! The exit codes of the commands for people: 0 and 1 are answers, what is from 64 on is sysexits' and means that there is none.

/// All is as one wishes: every pair runs, nothing is to be done, everything fits.
pub const AS_WISHED: u8 = 0;
/// There is an answer, and it isn't what one wishes.
pub const NOT_AS_WISHED: u8 = 1;
/// The flags can't be used (`EX_USAGE`).
pub const USAGE: u8 = 64;
/// The input can't be read, or can't be used (`EX_DATAERR`).
pub const DATA: u8 = 65;
/// A file or an object isn't there (`EX_NOINPUT`).
pub const NO_INPUT: u8 = 66;
/// The service can't be reached (`EX_UNAVAILABLE`).
pub const UNAVAILABLE: u8 = 69;
/// The program itself is at fault (`EX_SOFTWARE`).
pub const SOFTWARE: u8 = 70;

/// The code for an answer.
pub fn answered(as_wished: bool) -> u8 {
    if as_wished { AS_WISHED } else { NOT_AS_WISHED }
}
