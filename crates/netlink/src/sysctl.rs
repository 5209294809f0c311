//! Kernel settings under `/proc/sys`. Those under `net` belong to the namespace of the calling thread.

use std::path::PathBuf;

use crate::Error;

/// Writes a setting: `net.ipv4.ip_forward`, or with slashes where a device name contains dots: `net/ipv4/conf/eth0.5/rp_filter`.
pub fn write_sysctl(key: &str, value: &str) -> Result<(), Error> {
    std::fs::write(path_of(key), value).map_err(|source| Error::Sysctl {
        key: key.to_owned(),
        source,
    })
}

/// Reads a setting, without the line end.
pub fn read_sysctl(key: &str) -> Result<String, Error> {
    match std::fs::read_to_string(path_of(key)) {
        Ok(text) => Ok(text.trim_end().to_owned()),
        Err(source) => Err(Error::Sysctl {
            key: key.to_owned(),
            source,
        }),
    }
}

fn path_of(key: &str) -> PathBuf {
    let relative = if key.contains('/') {
        key.to_owned()
    } else {
        key.replace('.', "/")
    };
    PathBuf::from("/proc/sys").join(relative.trim_start_matches('/'))
}
