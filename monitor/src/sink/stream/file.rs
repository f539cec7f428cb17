//! Lines at the end of a file, which rotates by size. The file holds whole lines at every time at which the program may be killed, but
//! for the one write that is under way; what such a write has left is ended by the next start.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, Gid, Uid, eaccess, fchown};

use super::Output;
use super::pipe::{Pipe, write_all};

/// A file of events.
pub(super) struct FileOutput {
    path: PathBuf,
    rotate: u64,
    keep: u32,
    open: Option<Kind>,
    /// The file was not there before.
    created: bool,
}

enum Kind {
    Regular {
        file: File,
        size: u64,
    },
    /// A named pipe or a device: never rotates.
    Other(Pipe),
}

impl FileOutput {
    pub(super) fn open(path: &Path, rotate: u64, keep: u32) -> io::Result<Self> {
        let created = !path.exists();
        let mut this = Self { path: path.to_owned(), rotate, keep, open: None, created };
        this.open = Some(this.open_now()?);
        Ok(this)
    }

    fn open_now(&self) -> io::Result<Kind> {
        if fs::metadata(&self.path).is_ok_and(|it| it.file_type().is_fifo()) {
            // Open for reading, too: does not wait for a reader, and does not break when one leaves.
            return Ok(Kind::Other(Pipe::new(File::options().read(true).write(true).open(&self.path)?)));
        }
        let mut options = File::options();
        // Hosts, paths and addresses of visitors are in it.
        options.append(true).create(true).mode(0o640);
        let file = options.clone().read(true).open(&self.path).or_else(|error| match error.kind() {
            ErrorKind::PermissionDenied => options.open(&self.path),
            _ => Err(error),
        })?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(Kind::Other(Pipe::new(file)));
        }
        let mut size = metadata.len();
        if size > 0 {
            let mut last = [0];
            // A line that a crash tore must not run into the next. Where the file may not be read nothing is known of it.
            if file.read_exact_at(&mut last, size - 1).is_ok() && last != *b"\n" {
                write_all(&file, b"\n").1?;
                size += 1;
            }
        }
        Ok(Kind::Regular { file, size })
    }

    /// Sees whether the path still leads to the open file, and how long that is: it may have been removed, replaced or emptied.
    fn check(&mut self) -> io::Result<()> {
        if let Some(Kind::Regular { file, size }) = &mut self.open {
            let same = |it: &Metadata, other: &Metadata| (it.dev(), it.ino()) == (other.dev(), other.ino());
            match (fs::metadata(&self.path), file.metadata()) {
                (Ok(there), Ok(ours)) if same(&there, &ours) => *size = ours.len(),
                (Err(error), _) if error.kind() != ErrorKind::NotFound => {}
                _ => self.open = None,
            }
        }
        if self.open.is_none() {
            self.open = Some(self.open_now()?);
        }
        Ok(())
    }

    /// `path` becomes `path.1`, `path.1` becomes `path.2`, and so on. Killed in between, nothing but the oldest is missing.
    fn rotate(&mut self) -> io::Result<()> {
        if self.keep == 0 {
            fs::remove_file(&self.path)?;
        }
        for number in (0..self.keep).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.open = None;
        self.open = Some(self.open_now()?);
        Ok(())
    }

    fn numbered(&self, number: u32) -> PathBuf {
        if number == 0 {
            return self.path.clone();
        }
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }
}

impl Output for FileOutput {
    fn write(&mut self, bytes: &[u8], ends: &[usize]) -> (usize, io::Result<()>) {
        if let Err(error) = self.check() {
            return (0, Err(error));
        }
        let first = ends.first().copied().unwrap_or(0) as u64;
        let mut trouble = Ok(());
        if let Some(Kind::Regular { size, .. }) = &self.open
            && *size > 0
            && size.saturating_add(first) > self.rotate
        {
            trouble = self.rotate();
        }
        let (file, size) = match &mut self.open {
            Some(Kind::Regular { file, size }) => (file, size),
            Some(Kind::Other(pipe)) => return pipe.write(bytes, ends),
            None => return (0, trouble),
        };
        // Up to where the file is to be rotated; when that failed, the file grows on.
        let fit = ends.partition_point(|&end| size.saturating_add(end as u64) <= self.rotate);
        let lines = if trouble.is_err() { ends.len() } else { fit.max(1) };
        let until = lines.checked_sub(1).and_then(|last| ends.get(last)).copied().unwrap_or(0);
        let (count, result) = write_all(file, bytes.get(..until).unwrap_or_default());
        let whole = ends.partition_point(|&end| end <= count);
        let kept = whole.checked_sub(1).and_then(|last| ends.get(last)).copied().unwrap_or(0);
        *size = size.saturating_add(kept as u64);
        if count > kept && file.set_len(*size).is_err() {
            // The torn line could not be taken back: opening the file again ends it.
            self.open = None;
        }
        (whole, result.and(trouble))
    }

    fn reopen(&mut self) {
        self.open = None;
    }

    fn end(&mut self) {
        if let Some(Kind::Regular { file, .. }) = &self.open {
            // The lines are with the system; a disk that does not take them is nothing that could be helped now.
            let _ = file.sync_data();
        }
    }

    fn give_to(&self, user: Uid, group: Gid) -> io::Result<()> {
        match &self.open {
            Some(Kind::Regular { file, .. }) if self.created => Ok(fchown(file, Some(user), Some(group))?),
            _ => Ok(()),
        }
    }

    fn trouble(&self) -> Option<String> {
        if !matches!(self.open, Some(Kind::Regular { .. })) {
            return None;
        }
        if eaccess(&self.path, AccessFlags::W_OK).is_err() {
            return Some("may not be opened again with the rights that were kept: chown it".to_owned());
        }
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        eaccess(folder, AccessFlags::W_OK | AccessFlags::X_OK).is_err().then(|| {
            format!("will not rotate: {} may not be written to with the rights that were kept", folder.display())
        })
    }
}
