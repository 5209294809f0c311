//! The programs of the object, and the array by which they hand frames to each other.
//!
//! The array belongs to the programs that were loaded with it, as their state does: another version of them has an
//! array of its own. The kernel empties an array when nobody outside of it holds it any more, while programs
//! that are attached still need it. So each device to which a program is attached keeps a pin of the array,
//! under the array's number: made before the program is attached, and those of other arrays removed when it is. An
//! agent may die at any moment in between; then the next one finds one pin too many, and removes it.

use super::attach::program_name;
use super::{failed, inject};
use crate::{Attachment, DataPlaneError};
use aya::maps::{Map, MapData, ProgramArray};
use aya::programs::SchedClassifier;
use coax_pipeline::Continuation;
use std::path::{Path, PathBuf};

/// Name of the array in the object.
const ARRAY: &str = "PROGRAMS";

/// Every program of the object.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let sides = [Attachment::Port, Attachment::Uplink].map(program_name);
    let places = Continuation::ALL.iter().map(|place| place.program());
    sides.into_iter().chain(places).chain([inject::PROGRAM])
}

fn named<'a>(
    ebpf: &'a mut aya::Ebpf,
    name: &str,
) -> Result<&'a mut SchedClassifier, DataPlaneError> {
    ebpf.program_mut(name)
        .ok_or_else(|| failed(format!("find the program {name}"))("the object lacks it"))?
        .try_into()
        .map_err(failed(format!("use the program {name}")))
}

/// Loads all programs and fills the array.
pub(super) fn load(ebpf: &mut aya::Ebpf) -> Result<Pins, DataPlaneError> {
    for name in names() {
        named(ebpf, name)?
            .load()
            .map_err(failed(format!("load {name} (the kernel's verifier)")))?;
    }
    let map = ebpf
        .take_map(ARRAY)
        .ok_or_else(|| failed(format!("find the map {ARRAY}"))("the program object lacks it"))?;
    let Map::ProgramArray(data) = &map else {
        return Err(failed(format!("use the map {ARRAY}"))(
            "it is of another kind",
        ));
    };
    let id = data
        .info()
        .map_err(failed(format!("read about the map {ARRAY}")))?
        .id();
    let mut array = ProgramArray::try_from(map).map_err(failed(format!("use the map {ARRAY}")))?;
    for place in Continuation::ALL {
        let program = named(ebpf, place.program())?
            .fd()
            .map_err(failed(format!("use the program {}", place.program())))?;
        array
            .set(*place as u32, program, 0)
            .map_err(failed(format!("name the program {}", place.program())))?;
    }
    let map = MapData::from_id(id).map_err(failed(format!("open the map {ARRAY}")))?;
    Ok(Pins { map, id })
}

/// The array, held open by this process, to be pinned for devices.
pub(super) struct Pins {
    map: MapData,
    id: u32,
}

impl std::fmt::Debug for Pins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pins")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Where the pins of one attachment are.
fn folder(pins: &Path, attachment: &str) -> PathBuf {
    pins.join("programs").join(attachment)
}

impl Pins {
    /// Makes the array outlive this process, for an attachment that is about to be made.
    pub(super) fn keep(&self, pins: &Path, attachment: &str) -> Result<(), DataPlaneError> {
        let folder = folder(pins, attachment);
        std::fs::create_dir_all(&folder).map_err(failed(format!("make {}", folder.display())))?;
        let path = folder.join(self.id.to_string());
        if path.exists() {
            return Ok(());
        }
        self.map
            .pin(&path)
            .map_err(failed(format!("pin the map {ARRAY} at {}", path.display())))
    }

    /// Lets go of the arrays of the programs that were attached before.
    pub(super) fn release_others(
        &self,
        pins: &Path,
        attachment: &str,
    ) -> Result<(), DataPlaneError> {
        let folder = folder(pins, attachment);
        let list = || failed(format!("list {}", folder.display()));
        for entry in std::fs::read_dir(&folder).map_err(list())? {
            let entry = entry.map_err(list())?;
            if entry.file_name().to_str() != Some(&self.id.to_string()) {
                let path = entry.path();
                std::fs::remove_file(&path)
                    .map_err(failed(format!("remove {}", path.display())))?;
            }
        }
        Ok(())
    }
}

/// Lets go of all arrays of an attachment that is gone.
pub(super) fn release(pins: &Path, attachment: &str) -> Result<(), DataPlaneError> {
    let folder = folder(pins, attachment);
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(failed(format!("remove {}", folder.display()))(error))
        }
        _ => Ok(()),
    }
}
