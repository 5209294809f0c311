//! Opening the pinned vSwitch, or making it.

use super::attach::Attachments;
use super::maps::{Maps, map_names};
use super::{KernelDataPlane, KernelOptions, bpffs, failed, features, programs};
use crate::DataPlaneError;
use aya::maps::{Array, Map, MapData};
use aya::{EbpfLoader, include_bytes_aligned};
use coax_tables::LAYOUT;
use std::path::Path;

static OBJECT: &[u8] = include_bytes_aligned!(env!("COAX_EBPF_OBJECT"));

/// The program's name for `features::can_change_family`.
const CAN_CHANGE_FAMILY: &str = "CAN_CHANGE_FAMILY";

/// The program's names for the number of buckets of its tables, less one.
const CONNECTION_MASK: &str = "CONNECTION_MASK";
const FRAGMENT_MASK: &str = "FRAGMENT_MASK";

pub(super) fn open(options: &KernelOptions) -> Result<KernelDataPlane, DataPlaneError> {
    let folder = options.pins.join("maps");
    bpffs::prepare(&folder)?;
    match check(&folder, options) {
        Ok(()) => {}
        Err(DataPlaneError::Layout { .. } | DataPlaneError::Capacity { .. })
            if options.take_over_layout =>
        {
            std::fs::remove_dir_all(&folder).map_err(failed("remove the old maps' pins"))?;
            bpffs::prepare(&folder)?;
        }
        Err(error) => return Err(error),
    }
    let names = map_names(&options.capacity);
    let can_change_family = u32::from(features::can_change_family());
    let mut loader = EbpfLoader::new();
    let connection_mask = options.capacity.connection_buckets() - 1;
    let fragment_mask = options.capacity.fragment_buckets() - 1;
    loader
        .override_global(CAN_CHANGE_FAMILY, &can_change_family, true)
        .override_global(CONNECTION_MASK, &connection_mask, true)
        .override_global(FRAGMENT_MASK, &fragment_mask, true);
    for (name, entries) in &names {
        loader.map_max_entries(name, *entries);
        loader.map_pin_path(name, folder.join(name));
    }
    let mut ebpf = loader
        .load(OBJECT)
        .map_err(failed("load the kernel program"))?;
    write_layout(&mut ebpf)?;
    let array = programs::load(&mut ebpf)?;
    Ok(KernelDataPlane {
        maps: Maps::take(&mut ebpf)?,
        attachments: Attachments::new(&options.pins),
        array,
        capacity: options.capacity,
        injector: None,
        ebpf,
    })
}

/// Compares layout and sizes of maps that are pinned already with what is wanted.
fn check(folder: &Path, options: &KernelOptions) -> Result<(), DataPlaneError> {
    let path = folder.join("LAYOUT");
    if !path.exists() {
        return Ok(());
    }
    let refused = |found| DataPlaneError::Layout {
        path: folder.display().to_string(),
        found,
        wanted: LAYOUT,
    };
    let data = MapData::from_pin(&path).map_err(failed("open the pinned layout"))?;
    let layout = Array::<_, u32>::try_from(Map::Array(data))
        .and_then(|layout| layout.get(&0, 0))
        .map_err(failed("read the pinned layout"))?;
    // Zero: an agent died between making the maps and writing the number; nobody uses them yet.
    if layout != 0 && layout != LAYOUT {
        return Err(refused(layout));
    }
    for (name, entries) in map_names(&options.capacity) {
        let path = folder.join(name);
        if !path.exists() {
            continue;
        }
        let info = MapData::from_pin(&path)
            .and_then(|data| data.info())
            .map_err(failed(format!("open the pinned map {name}")))?;
        if info.max_entries() != entries {
            return Err(DataPlaneError::Capacity {
                map: name.to_owned(),
                found: info.max_entries(),
                wanted: entries,
            });
        }
    }
    Ok(())
}

fn write_layout(ebpf: &mut aya::Ebpf) -> Result<(), DataPlaneError> {
    let map = ebpf
        .map_mut("LAYOUT")
        .ok_or_else(|| failed("find the map LAYOUT")("the program object lacks it"))?;
    Array::<_, u32>::try_from(map)
        .and_then(|mut layout| layout.set(0, LAYOUT, 0))
        .map_err(failed("write the layout's number"))
}
