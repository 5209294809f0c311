//! A frame in an skb.
//!
//! Header reads and writes go straight to the packet where it lies in one piece. What is outside that
//! piece is read through a helper and stays where it is: bringing payload into the first piece would
//! make the receiver's TCP copy what it can otherwise take over. The kernel keeps the outermost VLAN
//! tag beside the packet, which this file hides.

use crate::anew;
use crate::bytes::{fill, load, within};
use aya_ebpf::bindings::{
    __sk_buff, BPF_F_ADJ_ROOM_DECAP_L3_IPV4, BPF_F_ADJ_ROOM_DECAP_L3_IPV6,
    BPF_F_ADJ_ROOM_ENCAP_L2_ETH, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4, BPF_F_ADJ_ROOM_ENCAP_L3_IPV6,
    BPF_F_ADJ_ROOM_ENCAP_L4_UDP, BPF_F_ADJ_ROOM_FIXED_GSO,
};
use aya_ebpf::helpers::generated::{
    bpf_clone_redirect, bpf_skb_adjust_room, bpf_skb_change_head, bpf_skb_change_proto,
    bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_pull_data, bpf_skb_store_bytes,
    bpf_skb_vlan_pop, bpf_skb_vlan_push,
};
use coax_pipeline::{Family, Frame, Refused, Room};
use coax_tables::{PUNT_BYTES, PuntHeader, PuntRecord};
use coax_wire::{EtherType, Ethernet, VlanTag};
use core::ffi::c_void;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub(crate) const ADJ_ROOM_MAC: u32 = 1;

/// `adjust_room` wants a whole IP header of the outer family behind the inner Ethernet header,
/// whatever is there: shorter payloads are filled up for the moment of the change.
pub(crate) const LEAST_PAYLOAD_IPV4: u32 = 20;
pub(crate) const LEAST_PAYLOAD_IPV6: u32 = 40;

/// More bytes than stand in front of a transport header, nearly always.
const FORGOTTEN: u32 = 128;

/// A frame in an skb.
pub struct SkbFrame {
    skb: *mut __sk_buff,
}

impl SkbFrame {
    /// The frame of the program that was called with `skb`.
    #[inline(always)]
    pub const fn new(skb: *mut __sk_buff) -> Self {
        Self { skb }
    }

    /// Kernel index of the device by which the frame entered.
    #[inline(always)]
    pub fn ifindex(&self) -> u32 {
        // SAFETY: the kernel hands programs a valid context; its fields are plain numbers.
        unsafe { (*self.skb).ifindex }
    }

    #[inline(always)]
    fn has_tag_beside(&self) -> bool {
        // SAFETY: as in `ifindex`.
        unsafe { (*self.skb).vlan_present != 0 }
    }

    #[inline(always)]
    fn bytes(&self) -> u32 {
        // SAFETY: as in `ifindex`.
        unsafe { (*self.skb).len }
    }

    /// Where the first piece of the packet starts and ends.
    #[inline(always)]
    fn piece(&self) -> (usize, usize) {
        // SAFETY: as in `ifindex`.
        unsafe { ((*self.skb).data as usize, (*self.skb).data_end as usize) }
    }

    #[inline(always)]
    fn check(result: i64) -> Result<(), Refused> {
        if result == 0 { Ok(()) } else { Err(Refused) }
    }
}

impl Frame for SkbFrame {
    #[inline(always)]
    fn length(&self) -> u32 {
        self.bytes()
            + if self.has_tag_beside() {
                VlanTag::LENGTH
            } else {
                0
            }
    }

    #[inline(always)]
    fn segment_payload(&self) -> u32 {
        // SAFETY: as in `ifindex`.
        unsafe { (*self.skb).gso_size }
    }

    #[inline(always)]
    fn read<T: FromBytes>(&self, offset: u32) -> Option<T> {
        let (start, end) = self.piece();
        let from = start + offset as usize;
        if from + size_of::<T>() <= end {
            // SAFETY: the bytes lie inside the packet, which the verifier checks too; any bytes are
            // a value of `T`.
            return Some(unsafe { (from as *const T).read_unaligned() });
        }
        load(self.skb, offset)
    }

    #[inline(always)]
    fn read_at<T: FromBytes>(&self, offset: u32) -> Option<T> {
        load(self.skb, offset)
    }

    #[inline(always)]
    fn copy_to<T: FromBytes + IntoBytes>(&self, offset: u32, value: &mut T) -> bool {
        // SAFETY: the length is the value's own.
        unsafe { fill(self.skb, offset, value, size_of::<T>() as u32) }
    }

    #[inline(always)]
    fn copy_some<T: FromBytes + IntoBytes>(&self, offset: u32, value: &mut T, length: u32) -> bool {
        let Some(length) = within::<T>(length) else {
            return false;
        };
        // SAFETY: `within` compares.
        unsafe { fill(self.skb, offset, value, length) }
    }

    #[inline(always)]
    fn header<T: FromBytes + IntoBytes + KnownLayout + Unaligned>(
        &mut self,
        offset: u32,
    ) -> Option<&mut T> {
        let (start, end) = self.piece();
        let at = start + offset as usize;
        if at + size_of::<T>() <= end {
            // SAFETY: the bytes lie inside the packet, which the verifier checks too; any bytes are
            // a value of `T`, which has alignment one. Whatever moves the packet takes `&mut self`.
            return Some(unsafe { &mut *(at as *mut T) });
        }
        // SAFETY: the context is valid.
        unsafe { bpf_skb_pull_data(self.skb, offset + size_of::<T>() as u32) };
        let (start, end) = self.piece();
        let at = start + offset as usize;
        if at + size_of::<T>() <= end {
            // SAFETY: as above.
            return Some(unsafe { &mut *(at as *mut T) });
        }
        None
    }

    #[inline(always)]
    fn write<T: IntoBytes + Immutable>(&mut self, offset: u32, value: &T) -> Result<(), Refused> {
        // SAFETY: the helper reads the value's own bytes and checks the offset.
        Self::check(unsafe {
            bpf_skb_store_bytes(
                self.skb,
                offset,
                (value as *const T).cast::<c_void>(),
                size_of::<T>() as u32,
                0,
            )
        })
    }

    #[inline(always)]
    fn write_some<T: IntoBytes + Immutable>(
        &mut self,
        offset: u32,
        value: &T,
        length: u32,
    ) -> Result<(), Refused> {
        let length = within::<T>(length).ok_or(Refused)?;
        // SAFETY: the helper reads no more than the value's own bytes and checks the offset.
        Self::check(unsafe {
            bpf_skb_store_bytes(
                self.skb,
                offset,
                (value as *const T).cast::<c_void>(),
                length,
                0,
            )
        })
    }

    #[inline(always)]
    fn is_tagged(&self) -> bool {
        self.has_tag_beside() || matches!(self.read::<EtherType>(12), Some(kind) if kind.is_tag())
    }

    #[inline(always)]
    fn pop_tag(&mut self) -> Result<VlanTag, Refused> {
        let tag = if self.has_tag_beside() {
            // SAFETY: as in `ifindex`.
            let (protocol, control) = unsafe { ((*self.skb).vlan_proto, (*self.skb).vlan_tci) };
            VlanTag {
                protocol: EtherType((protocol as u16).to_ne_bytes()),
                control: (control as u16).to_be_bytes(),
            }
        } else {
            self.read::<VlanTag>(12).ok_or(Refused)?
        };
        // SAFETY: the context is valid.
        Self::check(unsafe { bpf_skb_vlan_pop(self.skb) })?;
        Ok(tag)
    }

    #[inline(always)]
    fn push_tag(&mut self, tag: VlanTag) -> Result<(), Refused> {
        let protocol = u16::from_ne_bytes(tag.protocol.0);
        // SAFETY: the context is valid.
        Self::check(unsafe {
            bpf_skb_vlan_push(self.skb, protocol, u16::from_be_bytes(tag.control))
        })
    }

    #[inline(always)]
    fn open(&mut self, room: Room) -> Result<(), Refused> {
        let bytes = room.outer_bytes() + room.tags * VlanTag::LENGTH;
        if !room.ip {
            // SAFETY: the context is valid.
            return Self::check(unsafe { bpf_skb_change_head(self.skb, bytes, 0) });
        }
        let family = match room.outer {
            Family::Ipv4 => BPF_F_ADJ_ROOM_ENCAP_L3_IPV4,
            Family::Ipv6 => BPF_F_ADJ_ROOM_ENCAP_L3_IPV6,
        };
        let inner = u64::from(Ethernet::LENGTH + room.tags * VlanTag::LENGTH);
        let flags = u64::from(
            BPF_F_ADJ_ROOM_FIXED_GSO
                | family
                | BPF_F_ADJ_ROOM_ENCAP_L4_UDP
                | BPF_F_ADJ_ROOM_ENCAP_L2_ETH,
        ) | inner << 56;
        // SAFETY: the context is valid.
        let opened = Self::check(unsafe {
            bpf_skb_adjust_room(self.skb, bytes as i32, ADJ_ROOM_MAC, flags)
        });
        if opened.is_err() && self.segment_payload() == 0 {
            // A packet that a container already encapsulated: without segments, room in front of it
            // is all that it needs.
            // SAFETY: the context is valid.
            return Self::check(unsafe { bpf_skb_change_head(self.skb, bytes, 0) });
        }
        opened
    }

    #[inline(always)]
    fn prepend(&mut self, bytes: u32) -> Result<(), Refused> {
        // SAFETY: the context is valid.
        Self::check(unsafe { bpf_skb_change_head(self.skb, bytes, 0) })
    }

    #[inline(always)]
    fn close(&mut self, room: Room, inner: EtherType) -> Result<(), Refused> {
        let bytes = room.outer_bytes() + room.tags * VlanTag::LENGTH;
        // The family that the rest will have, how the kernel is told, and what an older kernel adds
        // or removes when it is told before.
        let (least, change, protocol, grown) = match (room.outer, inner) {
            (Family::Ipv4, EtherType::IPV6) => (
                LEAST_PAYLOAD_IPV6,
                BPF_F_ADJ_ROOM_DECAP_L3_IPV6,
                inner.get(),
                20,
            ),
            (Family::Ipv6, EtherType::IPV4) => (
                LEAST_PAYLOAD_IPV4,
                BPF_F_ADJ_ROOM_DECAP_L3_IPV4,
                inner.get(),
                -20,
            ),
            (Family::Ipv4, _) => (LEAST_PAYLOAD_IPV4, 0, 0, 0),
            (Family::Ipv6, _) => (LEAST_PAYLOAD_IPV6, 0, 0, 0),
        };
        let before = self.bytes();
        let short = before < bytes + Ethernet::LENGTH + least;
        if short {
            self.resize(bytes + Ethernet::LENGTH + least)?;
        }
        let mut remove = bytes as i32;
        let mut flags = u64::from(BPF_F_ADJ_ROOM_FIXED_GSO);
        // SAFETY: the static is only ever written by the loader, before the program runs.
        if unsafe { core::ptr::read_volatile(&raw const crate::CAN_CHANGE_FAMILY) } != 0 {
            flags |= u64::from(change);
        } else if protocol != 0 {
            // SAFETY: the context is valid.
            Self::check(unsafe { bpf_skb_change_proto(self.skb, protocol.to_be(), 0) })?;
            remove += grown;
        }
        // SAFETY: the context is valid.
        Self::check(unsafe { bpf_skb_adjust_room(self.skb, -remove, ADJ_ROOM_MAC, flags) })?;
        if short {
            // Where the kernel refuses, zeros stay behind the payload, as on an Ethernet wire.
            let _ = self.resize(before - bytes);
        }
        Ok(())
    }

    #[inline(always)]
    fn resize(&mut self, length: u32) -> Result<(), Refused> {
        // SAFETY: the context is valid.
        Self::check(unsafe { bpf_skb_change_tail(self.skb, length, 0) })
    }

    #[inline(always)]
    fn begin_anew(&mut self, length: u32) -> Result<(), Refused> {
        if self.resize(length + 2 * FORGOTTEN).is_err() {
            return anew::begin(self.skb, length);
        }
        // The kernel drops the order to complete a checksum when bytes are removed and the place
        // where the sum starts has been removed before.
        for _ in 0..2 {
            // SAFETY: the context is valid.
            Self::check(unsafe {
                bpf_skb_adjust_room(self.skb, -(FORGOTTEN as i32), ADJ_ROOM_MAC, 0)
            })?;
        }
        Ok(())
    }

    #[inline(always)]
    fn send_copy(&mut self, ifindex: u32) -> Result<(), Refused> {
        // SAFETY: the context is valid.
        Self::check(unsafe { bpf_clone_redirect(self.skb, ifindex, 0) })
    }

    #[inline(always)]
    fn punt(&mut self, header: &PuntHeader) -> Result<(), Refused> {
        let mut length = self.bytes();
        if length > PUNT_BYTES as u32 {
            length = PUNT_BYTES as u32;
        }
        let length = within::<[u8; PUNT_BYTES]>(length).ok_or(Refused)?;
        let Some(mut entry) = crate::maps::PUNTS.reserve::<PuntRecord>(0) else {
            return Err(Refused);
        };
        let record = entry.as_mut_ptr();
        let filled = PuntHeader { length, ..*header };
        // SAFETY: `record` is a reserved place of the ring buffer, as large as the type, and the
        // helper writes no more than `PUNT_BYTES` bytes to the frame's part of it.
        let loaded = unsafe {
            (&raw mut (*record).header).write(filled);
            bpf_skb_load_bytes(
                self.skb.cast::<c_void>(),
                0,
                (&raw mut (*record).frame).cast::<c_void>(),
                length,
            )
        };
        if loaded == 0 {
            entry.submit(0);
            Ok(())
        } else {
            entry.discard(0);
            Err(Refused)
        }
    }
}
