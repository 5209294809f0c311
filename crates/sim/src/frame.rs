//! A frame as bytes in a vector.
//!
//! It refuses what the kernel refuses, and nothing else unless a test asks for it. Room that
//! `open` and `close` leave undefined is filled with [`UNDEFINED`], so that a byte that nobody
//! writes shows up in the result.

use coax_pipeline::{Frame, Refused, Room};
use coax_tables::{PUNT_BYTES, PuntHeader};
use coax_wire::{EtherType, Ethernet, VlanTag};
use std::collections::BTreeSet;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What undefined bytes are filled with.
pub const UNDEFINED: u8 = 0xaa;

const ETHERNET: usize = Ethernet::LENGTH as usize;
const TAG: usize = VlanTag::LENGTH as usize;

/// Something that a frame can be asked to do and may refuse.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Operation {
    /// Overwriting bytes.
    Write,
    /// Taking a tag off.
    PopTag,
    /// Putting a tag on.
    PushTag,
    /// Opening room for tunnel headers.
    Open,
    /// Removing tunnel headers.
    Close,
    /// Changing the length.
    Resize,
    /// Sending a copy.
    Copy,
    /// Handing a copy to the agent.
    Punt,
}

/// A frame that the agent got.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Punt {
    /// Where it came from, and why the agent got it.
    pub header: PuntHeader,
    /// Its bytes.
    pub frame: Vec<u8>,
}

/// A frame, and the copies that were sent of it.
#[derive(Clone, Debug)]
pub struct SimFrame<'a> {
    bytes: Vec<u8>,
    segment_payload: u32,
    devices: &'a BTreeSet<u32>,
    refused: Option<Operation>,
    copies: Vec<(u32, Vec<u8>)>,
    punt: Option<Punt>,
}

impl<'a> SimFrame<'a> {
    /// A frame on a host where the devices in `devices` can send.
    pub const fn new(bytes: Vec<u8>, segment_payload: u32, devices: &'a BTreeSet<u32>) -> Self {
        Self {
            bytes,
            segment_payload,
            devices,
            refused: None,
            copies: Vec::new(),
            punt: None,
        }
    }

    /// The frame refuses `operation`, as a kernel without memory would.
    #[must_use]
    pub const fn refusing(mut self, operation: Option<Operation>) -> Self {
        self.refused = operation;
        self
    }

    /// The bytes as they are now, and the copies that were sent with their devices.
    pub fn into_parts(self) -> (Vec<u8>, Vec<(u32, Vec<u8>)>) {
        (self.bytes, self.copies)
    }

    /// What the agent got.
    pub fn take_punt(&mut self) -> Option<Punt> {
        self.punt.take()
    }

    fn may(&self, operation: Operation) -> Result<(), Refused> {
        if self.refused == Some(operation) {
            Err(Refused)
        } else {
            Ok(())
        }
    }

    fn slice(&self, offset: u32, length: usize) -> Option<&[u8]> {
        let start = offset as usize;
        self.bytes.get(start..start.checked_add(length)?)
    }

    fn has_tag_at(&self, at: u32) -> bool {
        self.read::<EtherType>(at).is_some_and(EtherType::is_tag)
    }
}

impl Frame for SimFrame<'_> {
    fn length(&self) -> u32 {
        self.bytes.len() as u32
    }

    fn segment_payload(&self) -> u32 {
        self.segment_payload
    }

    fn read<T: FromBytes>(&self, offset: u32) -> Option<T> {
        T::read_from_bytes(self.slice(offset, size_of::<T>())?).ok()
    }

    fn read_at<T: FromBytes>(&self, offset: u32) -> Option<T> {
        self.read(offset)
    }

    fn copy_to<T: FromBytes + IntoBytes>(&self, offset: u32, value: &mut T) -> bool {
        match self.slice(offset, size_of::<T>()) {
            Some(bytes) => {
                value.as_mut_bytes().copy_from_slice(bytes);
                true
            }
            None => false,
        }
    }

    fn copy_some<T: FromBytes + IntoBytes>(&self, offset: u32, value: &mut T, length: u32) -> bool {
        let length = length as usize;
        match (self.slice(offset, length), length) {
            (Some(bytes), 1..) if length <= size_of::<T>() => {
                value.as_mut_bytes()[..length].copy_from_slice(bytes);
                true
            }
            _ => false,
        }
    }

    fn header<T: FromBytes + IntoBytes + KnownLayout + Unaligned>(
        &mut self,
        offset: u32,
    ) -> Option<&mut T> {
        self.may(Operation::Write).ok()?;
        let start = offset as usize;
        let bytes = self.bytes.get_mut(start..start + size_of::<T>())?;
        T::mut_from_bytes(bytes).ok()
    }

    fn write<T: IntoBytes + Immutable>(&mut self, offset: u32, value: &T) -> Result<(), Refused> {
        self.may(Operation::Write)?;
        let start = offset as usize;
        self.bytes
            .get_mut(start..start + size_of::<T>())
            .ok_or(Refused)?
            .copy_from_slice(value.as_bytes());
        Ok(())
    }

    fn write_some<T: IntoBytes + Immutable>(
        &mut self,
        offset: u32,
        value: &T,
        length: u32,
    ) -> Result<(), Refused> {
        self.may(Operation::Write)?;
        let (start, length) = (offset as usize, length as usize);
        let bytes = value.as_bytes().get(..length).ok_or(Refused)?;
        if bytes.is_empty() {
            return Err(Refused);
        }
        self.bytes
            .get_mut(start..start + length)
            .ok_or(Refused)?
            .copy_from_slice(bytes);
        Ok(())
    }

    fn is_tagged(&self) -> bool {
        self.has_tag_at(12)
    }

    fn pop_tag(&mut self) -> Result<VlanTag, Refused> {
        self.may(Operation::PopTag)?;
        // The kernel wants a whole header behind the tag, and takes the next tag to its side at
        // once, so that one has to be whole too.
        if self.bytes.len() < ETHERNET + TAG
            || self.has_tag_at(16) && self.bytes.len() < ETHERNET + 2 * TAG
        {
            return Err(Refused);
        }
        let tag = self.read(12).ok_or(Refused)?;
        self.bytes.drain(12..12 + TAG);
        Ok(tag)
    }

    fn push_tag(&mut self, tag: VlanTag) -> Result<(), Refused> {
        self.may(Operation::PushTag)?;
        if self.bytes.len() < ETHERNET {
            return Err(Refused);
        }
        self.bytes.splice(12..12, tag.as_bytes().iter().copied());
        Ok(())
    }

    fn open(&mut self, room: Room) -> Result<(), Refused> {
        self.may(Operation::Open)?;
        if self.bytes.len() < ETHERNET {
            return Err(Refused);
        }
        let headers = headers(room);
        self.bytes
            .splice(..ETHERNET, std::iter::repeat_n(UNDEFINED, headers));
        Ok(())
    }

    fn prepend(&mut self, bytes: u32) -> Result<(), Refused> {
        self.may(Operation::Open)?;
        let front = std::iter::repeat_n(UNDEFINED, bytes as usize);
        self.bytes.splice(..0, front);
        Ok(())
    }

    fn close(&mut self, room: Room, _inner: EtherType) -> Result<(), Refused> {
        self.may(Operation::Close)?;
        let headers = headers(room);
        if self.bytes.len() < headers {
            return Err(Refused);
        }
        self.bytes
            .splice(..headers, std::iter::repeat_n(UNDEFINED, ETHERNET));
        Ok(())
    }

    fn resize(&mut self, length: u32) -> Result<(), Refused> {
        self.may(Operation::Resize)?;
        if (length as usize) < ETHERNET {
            return Err(Refused);
        }
        self.bytes.resize(length as usize, 0);
        self.segment_payload = 0;
        Ok(())
    }

    fn begin_anew(&mut self, length: u32) -> Result<(), Refused> {
        self.resize(length)?;
        self.bytes.fill(UNDEFINED);
        Ok(())
    }

    fn send_copy(&mut self, ifindex: u32) -> Result<(), Refused> {
        self.may(Operation::Copy)?;
        if !self.devices.contains(&ifindex) {
            return Err(Refused);
        }
        self.copies.push((ifindex, self.bytes.clone()));
        Ok(())
    }

    fn punt(&mut self, header: &PuntHeader) -> Result<(), Refused> {
        self.may(Operation::Punt)?;
        let length = self.bytes.len().min(PUNT_BYTES);
        let header = PuntHeader {
            length: length as u32,
            ..*header
        };
        let frame = self.bytes[..length].to_vec();
        self.punt = Some(Punt { header, frame });
        Ok(())
    }
}

/// Bytes of all headers up to the payload behind the inner Ethernet header and its tags.
const fn headers(room: Room) -> usize {
    room.outer_bytes() as usize + ETHERNET + room.tags as usize * TAG
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use coax_pipeline::Family;

    fn frame(bytes: &[u8]) -> SimFrame<'static> {
        static NONE: BTreeSet<u32> = BTreeSet::new();
        SimFrame::new(bytes.to_vec(), 0, &NONE)
    }

    #[test]
    fn nothing_is_read_or_written_outside() {
        let mut frame = frame(&[1, 2, 3, 4]);
        assert_eq!(frame.read::<[u8; 2]>(2), Some([3, 4]));
        assert_eq!(frame.read::<[u8; 2]>(3), None);
        assert_eq!(frame.read_at::<u8>(u32::MAX), None);
        assert!(!frame.copy_to(3, &mut [0; 2]));
        assert_eq!(frame.write(3, &[0; 2]), Err(Refused));
        assert_eq!(frame.into_parts().0, [1, 2, 3, 4]);
    }

    #[test]
    fn what_is_opened_is_undefined_and_closes_again() {
        let room = Room {
            outer: Family::Ipv4,
            tags: 1,
            ip: true,
        };
        let mut bytes = vec![7; 14];
        bytes.extend([1, 2, 3]);
        let mut frame = frame(&bytes);
        frame.open(room).unwrap();
        assert_eq!(frame.length(), 50 + 14 + 4 + 3);
        frame.close(room, EtherType::IPV4).unwrap();
        let (after, _) = frame.into_parts();
        assert_eq!(after[..14], [UNDEFINED; 14]);
        assert_eq!(after[14..], [1, 2, 3]);
    }

    #[test]
    fn tags_come_off_in_the_order_in_which_they_stand() {
        let mut bytes = vec![0; 12];
        bytes.extend([0x88, 0xa8, 0, 1, 0x81, 0, 0, 2, 8, 0, 9]);
        let mut tagged = frame(&bytes);
        assert_eq!(tagged.pop_tag().unwrap().vlan(), 1);
        let inner = tagged.pop_tag().unwrap();
        assert_eq!(inner.vlan(), 2);
        assert!(!tagged.is_tagged());
        tagged.push_tag(inner).unwrap();
        assert_eq!(tagged.into_parts().0[12..], [0x81, 0, 0, 2, 8, 0, 9]);
        assert_eq!(frame(&bytes[..20]).pop_tag(), Err(Refused));
        assert_eq!(frame(&bytes[..17]).pop_tag(), Err(Refused));
    }

    #[test]
    fn copies_leave_only_by_devices_that_can_send() {
        let devices = BTreeSet::from([3]);
        let mut frame = SimFrame::new(vec![5; 20], 0, &devices);
        frame.send_copy(3).unwrap();
        assert_eq!(frame.send_copy(4), Err(Refused));
        frame.resize(14).unwrap();
        assert_eq!(frame.into_parts().1, [(3, vec![5; 20])]);
    }
}
