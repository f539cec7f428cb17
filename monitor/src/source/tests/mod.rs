mod build;
mod damage;
mod formats;
mod merging;
mod random;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{OpenedInputs, Source};
use crate::model::{Bytes, PacketBatch, Time, hull};

/// Everything that a run over some inputs gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Time, link type, bytes, length on the wire.
    pub(super) packets: Vec<(u64, u16, Vec<u8>, u32)>,
    pub(super) batches: Vec<usize>,
    pub(super) secrets: Vec<Vec<u8>>,
    pub(super) lost: u64,
    pub(super) lost_within: Option<(Time, Time)>,
    pub(super) notes: Vec<String>,
    pub(super) unreadable: bool,
    /// All packets were borrowed from a mapping.
    pub(super) mapped: bool,
}

pub(super) fn read(paths: &[PathBuf]) -> Seen {
    drain(&OpenedInputs::open(paths).unwrap())
}

pub(super) fn drain(inputs: &OpenedInputs) -> Seen {
    let mut seen = Seen { mapped: true, ..Seen::default() };
    let mut source = inputs.source();
    let mut batch = PacketBatch::default();
    loop {
        let more = source.fill(&mut batch).unwrap();
        for packet in &batch.packets {
            seen.mapped &= matches!(packet.data, Bytes::Lasting(_));
            let bytes = packet.data.chunk(&batch.arena).bytes().to_vec();
            seen.packets.push((packet.time.0, packet.link, bytes, packet.wire_len));
        }
        seen.secrets.append(&mut batch.secrets);
        seen.lost += batch.lost;
        seen.lost_within = hull(seen.lost_within, batch.lost_within);
        if !more {
            assert!(batch.packets.is_empty());
            break;
        }
        seen.batches.push(batch.packets.len());
    }
    seen.notes = inputs.notes();
    seen.unreadable = inputs.unreadable();
    seen
}

/// A file as it would lie on a disk for long: it is mapped.
pub(super) fn settled(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = fresh(folder, name, bytes);
    let long_ago = SystemTime::now() - Duration::from_secs(3_600);
    File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    path
}

/// A file that was just written: it is read.
pub(super) fn fresh(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Runs over one file, mapped and read, which must not differ.
pub(super) fn both(bytes: &[u8]) -> Seen {
    let folder = tempfile::tempdir().unwrap();
    let old = read(&[settled(folder.path(), "capture", bytes)]);
    let new = read(&[fresh(folder.path(), "capture", bytes)]);
    assert_eq!((&old.packets, &old.batches, &old.secrets), (&new.packets, &new.batches, &new.secrets));
    assert_eq!((old.lost, old.unreadable, &old.notes), (new.lost, new.unreadable, &new.notes));
    assert!(new.packets.is_empty() || !new.mapped);
    Seen { notes: without_folder(old.notes), ..old }
}

/// Runs over bytes that come through a pipe.
pub(super) fn piped(bytes: &[u8]) -> Seen {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capture");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let seen = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut pipe = File::options().write(true).open(&path).unwrap();
            // The reader may leave first.
            for piece in bytes.chunks(977) {
                if pipe.write_all(piece).is_err() {
                    break;
                }
            }
        });
        read(std::slice::from_ref(&path))
    });
    Seen { notes: without_folder(seen.notes), ..seen }
}

fn without_folder(notes: Vec<String>) -> Vec<String> {
    notes.into_iter().map(|note| note.rsplit('/').next().unwrap_or_default().to_owned()).collect()
}
