//! Files of sealed chunks. A file is a row of `length: u32` (big-endian) and bytes, once for each chunk.
//!
//! All chunks of a blob but the last are of one length, so that any one is found without an index. A blob
//! under way is a file of its device's own; sealing makes it durable and gives it its name.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::model::{BlobId, DeviceId, Millis, limits};
use crate::store::{BlobState, StoreError};

/// Bytes in front of a chunk.
const LENGTH: u64 = 4;

/// A file under way that nothing was added to for so long is abandoned.
const ABANDONED: Duration = Duration::from_secs(7 * 24 * 3600);

/// A sealed file that has had no row for so long will not get one.
const ORPHANED: Duration = Duration::from_secs(24 * 3600);

/// The folder of blobs.
#[derive(Clone, Debug)]
pub struct Blobs {
    sealed: PathBuf,
    partial: PathBuf,
    /// Held while a file gets its name, or loses it.
    naming: Arc<Mutex<()>>,
}

/// What a file under way holds.
struct Written {
    file: File,
    /// Bytes of its first chunk; 0 while there is none.
    first: u64,
    /// Complete chunks.
    chunks: u64,
    /// Where the next one goes: what stands there was cut off by a crash.
    end: u64,
    /// Bytes of its newest chunk.
    last: u64,
}

impl Blobs {
    pub fn open(folder: PathBuf) -> Result<Self, StoreError> {
        let partial = folder.join("partial");
        // Whoever else may look into the folder around it: this is nobody's business but the server's.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&partial)?;
        for folder in [&folder, &partial] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        }
        Ok(Self { sealed: folder, partial, naming: Arc::default() })
    }

    fn sealed_path(&self, blob: &BlobId) -> PathBuf {
        self.sealed.join(blob.to_string())
    }

    /// Ids of 32 bytes as hexadecimal digits: nothing from the wire becomes part of a path as it came.
    fn partial_path(&self, owner: &DeviceId, blob: &BlobId) -> PathBuf {
        self.partial.join(format!("{owner}-{blob}"))
    }

    pub fn written(&self, owner: &DeviceId, blob: &BlobId) -> Result<BlobState, StoreError> {
        match File::open(self.partial_path(owner, blob)) {
            Ok(file) => Ok(BlobState { chunks: Written::read(file)?.count()?, sealed: false }),
            // A file that got its name, but not its row before a crash, is all there.
            Err(error) if error.kind() == ErrorKind::NotFound => match File::open(self.sealed_path(blob)) {
                Ok(file) => Ok(BlobState { chunks: Written::read(file)?.count()?, sealed: false }),
                Err(_) => Ok(BlobState { chunks: 0, sealed: false }),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Appends a chunk; by how much the file has become longer.
    pub fn put(&self, owner: &DeviceId, blob: &BlobId, index: u32, chunk: &[u8]) -> Result<u64, StoreError> {
        if self.sealed_path(blob).exists() {
            return Err(StoreError::Conflict);
        }
        let (index, length) = (u64::from(index), chunk.len() as u64);
        // Only what can be the first chunk begins a file.
        let begins = index == 0 && length > 0;
        let mut how = OpenOptions::new();
        how.read(true).write(true).create(begins).truncate(false).mode(0o600);
        let file = how.open(self.partial_path(owner, blob)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => StoreError::Conflict,
            _ => error.into(),
        })?;
        let mut written = Written::read(file)?;
        if index + 1 == written.chunks && length == written.last {
            return Ok(0);
        }
        let fits = length > 0
            && index == written.chunks
            && (index == 0 || (written.last == written.first && length <= written.first));
        if !fits {
            return Err(StoreError::Conflict);
        }
        if written.end + LENGTH + length > limits::BLOB {
            return Err(StoreError::TooLarge);
        }
        let prefix = u32::try_from(length).map_err(|_| StoreError::TooLarge)?.to_be_bytes();
        written.file.set_len(written.end)?;
        written.file.seek(SeekFrom::Start(written.end))?;
        written.file.write_all(&[&prefix, chunk].concat())?;
        Ok(LENGTH + length)
    }

    /// Makes a blob's file durable under its name; its row in the database makes it readable. The file's bytes.
    pub fn seal(&self, owner: &DeviceId, blob: &BlobId, chunks: u32) -> Result<u64, StoreError> {
        let path = self.partial_path(owner, blob);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            // Sealed before, and then the answer or the row was lost.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let _naming = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
                let file = File::open(self.sealed_path(blob)).map_err(|_| StoreError::BlobMissing)?;
                file.set_modified(SystemTime::now())?;
                let written = Written::read(file)?;
                let same = written.count()? == chunks;
                return if same { Ok(written.end) } else { Err(StoreError::Conflict) };
            }
            Err(error) => return Err(error.into()),
        };
        let written = Written::read(file)?;
        if chunks == 0 || written.count()? != chunks {
            return Err(StoreError::Conflict);
        }
        written.file.set_len(written.end)?;
        // From now on it waits for its row, whenever its last chunk came.
        written.file.set_modified(SystemTime::now())?;
        written.file.sync_all()?;
        let naming = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
        if self.sealed_path(blob).exists() {
            // Another device was first: what it sealed stays as it is.
            return Err(StoreError::Conflict);
        }
        fs::rename(&path, self.sealed_path(blob))?;
        drop(naming);
        sync_folder(&self.sealed)?;
        Ok(written.end)
    }

    /// Files under way: whose they are, and their bytes.
    pub fn under_way(&self) -> Result<Vec<(DeviceId, BlobId, u64)>, StoreError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.partial)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some((owner, blob)) = name.to_str().and_then(|name| name.split_once('-')) else { continue };
            // One that has just been sealed is gone from here.
            if let (Ok(owner), Ok(blob), Ok(metadata)) = (owner.parse(), blob.parse(), entry.metadata()) {
                found.push((owner, blob, metadata.len()));
            }
        }
        Ok(found)
    }

    pub fn fetch(&self, blob: &BlobId, index: u32) -> Result<Bytes, StoreError> {
        chunk(File::open(self.sealed_path(blob)), index)
    }

    /// One of the chunks that are there of a blob under way.
    pub fn fetch_unsealed(&self, owner: &DeviceId, blob: &BlobId, index: u32) -> Result<Bytes, StoreError> {
        // It may have got its name since its chunks were counted.
        chunk(File::open(self.partial_path(owner, blob)), index).or_else(|_| self.fetch(blob, index))
    }

    /// Removes a blob under way.
    pub fn drop_unsealed(&self, owner: &DeviceId, blob: &BlobId) -> Result<(), StoreError> {
        match fs::remove_file(self.partial_path(owner, blob)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Sealed files that are older than a day. Most have a row.
    pub fn old(&self, now: Millis) -> Result<Vec<BlobId>, StoreError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.sealed)? {
            let entry = entry?;
            let Some(Ok(blob)) = entry.file_name().to_str().map(str::parse) else { continue };
            if entry.metadata().is_ok_and(|file| age(&file, now) > ORPHANED) {
                found.push(blob);
            }
        }
        Ok(found)
    }

    /// Removes the file of a blob that has no row, unless it was sealed in the last day and may get one yet.
    pub fn remove_orphan(
        &self,
        blob: &BlobId,
        now: Millis,
        has_row: impl FnOnce() -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let path = self.sealed_path(blob);
        let _naming = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(file) = fs::metadata(&path) else { return Ok(()) };
        if age(&file, now) <= ORPHANED || has_row()? {
            return Ok(());
        }
        if let Err(error) = fs::remove_file(path) {
            tracing::warn!(%error, %blob, "could not remove a blob's file");
        }
        Ok(())
    }

    /// Removes files under way that nothing was added to for a week.
    pub fn remove_abandoned(&self, now: Millis) -> Result<(), StoreError> {
        for entry in fs::read_dir(&self.partial)? {
            let entry = entry?;
            // One that has just been sealed is gone from here.
            if entry.metadata().is_ok_and(|file| age(&file, now) > ABANDONED) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

impl Written {
    fn read(mut file: File) -> Result<Self, StoreError> {
        let size = file.metadata()?.len();
        if size < LENGTH {
            return Ok(Self { file, first: 0, chunks: 0, end: 0, last: 0 });
        }
        let first = read_length(&mut file)?;
        if first == 0 || first > limits::BLOB {
            // No chunk is empty: a power cut left a file without its content. It begins anew.
            return Ok(Self { file, first: 0, chunks: 0, end: 0, last: 0 });
        }
        let row = LENGTH + first;
        let whole = size / row;
        let rest = size - whole * row;
        let mut written = Self { file, first, chunks: whole, end: whole * row, last: first };
        if rest > LENGTH {
            written.file.seek(SeekFrom::Start(written.end))?;
            let last = read_length(&mut written.file)?;
            if last > 0 && rest >= LENGTH + last {
                written.chunks += 1;
                written.end += LENGTH + last;
                written.last = last;
            }
        }
        Ok(written)
    }

    fn count(&self) -> Result<u32, StoreError> {
        u32::try_from(self.chunks).map_err(|_| StoreError::TooLarge)
    }
}

/// How long nothing was written to a file.
fn age(file: &fs::Metadata, now: Millis) -> Duration {
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(now.0);
    file.modified().ok().and_then(|then| now.duration_since(then).ok()).unwrap_or_default()
}

/// One chunk of a file.
fn chunk(file: std::io::Result<File>, index: u32) -> Result<Bytes, StoreError> {
    let mut file = file.map_err(|_| StoreError::BlobMissing)?;
    // Where the file has lost its end, the chunk will not come: whoever asks is not to ask again and again.
    let lost = |error: std::io::Error| match error.kind() {
        ErrorKind::UnexpectedEof => StoreError::BlobMissing,
        _ => error.into(),
    };
    let first = read_length(&mut file).map_err(lost)?;
    file.seek(SeekFrom::Start(u64::from(index) * (LENGTH + first)))?;
    let length = read_length(&mut file).map_err(lost)?.min(first);
    let mut chunk = Vec::new();
    file.take(length).read_to_end(&mut chunk)?;
    if chunk.len() as u64 == length { Ok(chunk.into()) } else { Err(StoreError::BlobMissing) }
}

fn read_length(file: &mut File) -> std::io::Result<u64> {
    let mut length = [0; 4];
    file.read_exact(&mut length)?;
    Ok(u64::from(u32::from_be_bytes(length)))
}

/// Makes names in a folder durable.
fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    Ok(File::open(folder)?.sync_all()?)
}
