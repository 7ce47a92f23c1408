//! The writer of log lines in JSON.

use std::{
    io::{self, Write},
    str,
};

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use everynode_render::text::printable_json;

/// Writes JSON with only printable characters, or makes writers that do. Each line has to be written in one call, as
/// tracing-subscriber does.
#[derive(Debug)]
pub(super) struct PrintableJson<W>(pub(super) W);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for PrintableJson<M> {
    type Writer = PrintableJson<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        PrintableJson(self.0.make_writer())
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        PrintableJson(self.0.make_writer_for(metadata))
    }
}

impl<W: Write> Write for PrintableJson<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match str::from_utf8(bytes) {
            Ok(json) => self.0.write_all(printable_json(json).as_bytes())?,
            Err(_) => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
