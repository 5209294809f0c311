//! Stamps: a file that holds the hash of what a result was made from, so that it is made again only
//! when one of its inputs changed.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Collects the inputs of one result.
#[derive(Default)]
pub struct Inputs {
    hasher: DefaultHasher,
}

impl Inputs {
    /// Adds a text, such as the version of a tool.
    pub fn text(&mut self, text: &str) {
        self.hasher.write_usize(text.len());
        self.hasher.write(text.as_bytes());
    }

    /// Adds a file, or every file below a folder; one that does not exist counts as that.
    pub fn path(&mut self, path: &Path) -> Result<()> {
        let mut files = BTreeSet::new();
        collect(path, &mut files)?;
        for file in files {
            self.text(&file.to_string_lossy());
            let bytes =
                fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            self.hasher.write_usize(bytes.len());
            self.hasher.write(&bytes);
        }
        Ok(())
    }

    /// The hash of all of them.
    pub fn finish(&self) -> String {
        format!("{:016x}", self.hasher.finish())
    }
}

fn collect(path: &Path, files: &mut BTreeSet<PathBuf>) -> Result<()> {
    if path.is_file() {
        files.insert(path.to_path_buf());
    } else if path.is_dir() {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_name() != "target" {
                collect(&entry.path(), files)?;
            }
        }
    }
    Ok(())
}

/// Whether the stamp says that the result was made from inputs of this hash.
pub fn is_fresh(stamp: &Path, hash: &str) -> bool {
    fs::read_to_string(stamp).is_ok_and(|text| text.trim() == hash)
}

/// Notes that the result was made from inputs of this hash.
pub fn write(stamp: &Path, hash: &str) -> Result<()> {
    if let Some(folder) = stamp.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(stamp, format!("{hash}\n"))
        .with_context(|| format!("cannot write {}", stamp.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn hash_of(folder: &Path) -> String {
        let mut inputs = Inputs::default();
        inputs.path(folder).unwrap();
        inputs.finish()
    }

    #[test]
    fn a_stamp_goes_stale_with_every_kind_of_change() {
        let folder = std::env::temp_dir().join(format!("coax-stamp-{}", std::process::id()));
        fs::create_dir_all(folder.join("src/target")).unwrap();
        fs::write(folder.join("src/a.rs"), "a").unwrap();
        let first = hash_of(&folder);

        fs::write(folder.join("src/target/out"), "ignored").unwrap();
        assert_eq!(hash_of(&folder), first);
        fs::write(folder.join("src/b.rs"), "").unwrap();
        let with_file = hash_of(&folder);
        assert_ne!(with_file, first);
        fs::write(folder.join("src/a.rs"), "b").unwrap();
        assert_ne!(hash_of(&folder), with_file);

        let stamp = folder.join("stamps/x");
        assert!(!is_fresh(&stamp, &first));
        write(&stamp, &first).unwrap();
        assert!(is_fresh(&stamp, &first) && !is_fresh(&stamp, &with_file));
        fs::remove_dir_all(&folder).unwrap();
    }
}
