//! bpffs, where pins live.

use super::failed;
use crate::DataPlaneError;
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use std::path::Path;

const MOUNT_POINT: &str = "/sys/fs/bpf";

/// Makes sure that `folder` exists and is in bpffs, and mounts bpffs where it is customary.
pub(super) fn prepare(folder: &Path) -> Result<(), DataPlaneError> {
    if folder.starts_with(MOUNT_POINT) && !is_bpffs(Path::new(MOUNT_POINT)) {
        mount(
            Some("bpf"),
            MOUNT_POINT,
            Some("bpf"),
            MsFlags::empty(),
            Some("mode=0700"),
        )
        .map_err(failed(format!(
            "mount bpffs at {MOUNT_POINT} (are you root?)"
        )))?;
    }
    std::fs::create_dir_all(folder).map_err(failed(format!("make {}", folder.display())))?;
    if is_bpffs(folder) {
        Ok(())
    } else {
        Err(failed(format!("use {} for pins", folder.display()))(
            "it is not in a bpffs: choose a folder below /sys/fs/bpf, or mount one with `mount -t bpf bpf FOLDER`",
        ))
    }
}

fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|status| status.filesystem_type() == BPF_FS_MAGIC)
}
