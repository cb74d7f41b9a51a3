//! TensorBoard's event files: protobuf messages in TFRecords.
//!
//! Only numbers are written, so a message has at most two levels and seven kinds of field. They are written here by hand, as
//! is the checksum: a crate for each would be larger than this file.

use crate::error::Result;
use crate::io::failed;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// An event file that is being written.
///
/// Source: [tensorflow/tsl, record_writer.h](https://github.com/tensorflow/tensorflow/blob/master/third_party/xla/xla/tsl/lib/io/record_writer.h),
/// [event.proto](https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto) and
/// [summary.proto](https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/summary.proto).
pub(super) struct EventFile {
    path: PathBuf,
    file: File,
    records: Vec<u8>,
}

impl EventFile {
    /// A new file in a folder, which is made if there is none.
    pub fn create(folder: impl AsRef<Path>) -> Result<EventFile> {
        static FILES: AtomicU64 = AtomicU64::new(0);
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        // TensorBoard knows its files by the word in the middle, and reads them in the order of their names.
        let (process, n) = (std::process::id(), FILES.fetch_add(1, Ordering::Relaxed));
        let path = folder.join(format!("events.out.tfevents.{}.wgrad.{process}.{n}", now as u64));
        let file = File::create_new(&path).map_err(|e| failed(&path, e))?;
        let mut events = EventFile { path, file, records: Vec::new() };
        let mut event = double(1, now);
        event.extend(bytes(3, b"brain.Event:2"));
        events.record(&event);
        events.flush()?;
        Ok(events)
    }

    /// Adds a number.
    pub fn scalar(&mut self, name: &str, step: u64, x: f64, time: f64) -> Result<()> {
        // `Summary.Value { tag: 1, simple_value: 2 }` in `Summary { value: 1 }` in
        // `Event { wall_time: 1, step: 2, summary: 5 }`.
        let mut value = bytes(1, name.as_bytes());
        value.extend(float(2, x as f32));
        let mut event = double(1, time);
        event.extend(integer(2, step));
        event.extend(bytes(5, &bytes(1, &value)));
        self.record(&event);
        Ok(())
    }

    /// Writes what was added.
    pub fn flush(&mut self) -> Result<()> {
        self.file.write_all(&std::mem::take(&mut self.records)).map_err(|e| failed(&self.path, e))
    }

    /// A TFRecord: the length and its checksum, the data and theirs.
    fn record(&mut self, data: &[u8]) {
        let length = (data.len() as u64).to_le_bytes();
        self.records.extend(length);
        self.records.extend(masked_crc(&length).to_le_bytes());
        self.records.extend(data);
        self.records.extend(masked_crc(data).to_le_bytes());
    }
}

fn varint(mut x: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while x >= 0x80 {
        bytes.push(x as u8 | 0x80);
        x >>= 7;
    }
    bytes.push(x as u8);
    bytes
}

/// A field: its number and wire type, and then its contents.
fn field(number: u8, wire: u8, contents: &[u8]) -> Vec<u8> {
    [&[number << 3 | wire], contents].concat()
}

fn integer(number: u8, x: u64) -> Vec<u8> {
    field(number, 0, &varint(x))
}

fn double(number: u8, x: f64) -> Vec<u8> {
    field(number, 1, &x.to_le_bytes())
}

fn float(number: u8, x: f32) -> Vec<u8> {
    field(number, 5, &x.to_le_bytes())
}

fn bytes(number: u8, contents: &[u8]) -> Vec<u8> {
    field(number, 2, &[&varint(contents.len() as u64), contents].concat())
}

/// CRC-32C, bit by bit: records have a few dozen bytes.
fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ byte as u32, |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
    })
}

/// The checksum as TFRecords have it, so that a checksum of data that holds checksums is a good one.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc32c() {
        // RFC 3720, appendix B.4, and the usual check value.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(varint(300), [0xac, 0x02]);
    }
}
