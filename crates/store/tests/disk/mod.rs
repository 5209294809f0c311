//! A disk for the embedded store that loses power when it is told to.

#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

/// A disk that loses power: after `left` writes and syncs everything fails, and of what was written
/// since the last sync only some survives.
#[derive(Debug, Clone)]
pub struct Disk(Arc<Mutex<Platter>>);

#[derive(Debug)]
struct Platter {
    /// What reads see.
    now: Vec<u8>,
    /// What surely survives.
    synced: Vec<u8>,
    /// Written since, in order.
    unsynced: Vec<Write>,
    left: Option<u32>,
}

#[derive(Debug, Clone)]
enum Write {
    Length(usize),
    Bytes(usize, Vec<u8>),
}

impl Write {
    fn to(&self, image: &mut Vec<u8>) {
        match self {
            Self::Length(length) => image.resize(*length, 0),
            Self::Bytes(at, bytes) => {
                if image.len() < at + bytes.len() {
                    image.resize(at + bytes.len(), 0);
                }
                image[*at..at + bytes.len()].copy_from_slice(bytes);
            }
        }
    }
}

impl Disk {
    pub fn with(image: Vec<u8>, left: Option<u32>) -> Self {
        Self(Arc::new(Mutex::new(Platter {
            now: image.clone(),
            synced: image,
            unsynced: Vec::new(),
            left,
        })))
    }

    /// What the disk holds when power is back. Which unsynced writes made it is up to `seed`.
    pub fn after_power_loss(&self, seed: u64) -> Vec<u8> {
        let platter = self.0.lock().unwrap();
        let mut image = platter.synced.clone();
        let mut dice = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        for write in &platter.unsynced {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            // The file's length is metadata and ordered; data blocks are not.
            if matches!(write, Write::Length(_)) || dice & 1 == 0 {
                write.to(&mut image);
            }
        }
        image
    }

    fn step(&self) -> io::Result<std::sync::MutexGuard<'_, Platter>> {
        let mut platter = self.0.lock().unwrap();
        match &mut platter.left {
            Some(0) => return Err(io::Error::other("no power")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(platter)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        let platter = self.0.lock().unwrap();
        let source = platter.now.get(at..at + out.len());
        out.copy_from_slice(source.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut platter = self.step()?;
        let write = Write::Length(usize::try_from(len).unwrap());
        write.to(&mut platter.now);
        platter.unsynced.push(write);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.step()?;
        platter.synced = platter.now.clone();
        platter.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut platter = self.step()?;
        let write = Write::Bytes(usize::try_from(offset).unwrap(), data.to_vec());
        write.to(&mut platter.now);
        platter.unsynced.push(write);
        Ok(())
    }
}
