//! Packs weights into place: bytes of a checkpoint to the layouts of the
//! kernels. The work divides into tiles of eight outputs, because neighbours in
//! a tile share words.

use crate::command::Command;
use crate::pack::{decode_bf16, decode_f16, pack_channels, pack_tiles};
use crate::pack_quantized::{
    Q4_BLOCK, Q8_BLOCK, pack_q4, pack_q4_blocks, pack_q4_filters, pack_q8, pack_q8_blocks,
    pack_q8_filters,
};
use crate::panel::Layout;
use crate::quantized::{GROUP, Q4Group, Q8Group};
use crate::tile::TILE;
use core::ops::Range;
use core::slice::from_raw_parts;
use core::sync::atomic::{AtomicU32, Ordering};

/// Runs a chunk; false when the operation is not this one.
///
/// # Safety
///
/// The command's addresses must hold what its operation reads and writes.
pub unsafe fn run(c: &Command, chunk: u32) -> bool {
    if c.op() != 65 {
        return false;
    }
    // SAFETY: the caller's promise.
    unsafe { run_pack_weights(c, chunk) };
    true
}

/// How elements are stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stored {
    F32,
    F16,
    Bf16,
    /// Blocks of as many bits as the weight's.
    Blocks,
}

/// Where elements go: as they come, to tiles or filters of f32, or to groups of
/// so many bits.
#[derive(Clone, Copy)]
enum Target {
    Vector,
    Tiles,
    Filters,
    Q8(Layout),
    Q4(Layout),
}

/// A weight, of which elements `first .. first + count` are at `from`.
#[derive(Clone, Copy)]
struct Packing {
    from: *const u8,
    stored: Stored,
    first: usize,
    count: usize,
    /// Elements of an output, and places of a filter.
    k: usize,
    taps: usize,
    target: Target,
    to: *mut u8,
    /// Elements of the weight, in whole tiles where it has some.
    size: usize,
}

/// Arguments: bytes, weight, word for what goes wrong, room, how they are
/// stored, target, first element, elements, elements of an output, places of a
/// filter, size of the weight, elements of the room. Units: tiles.
#[inline(never)]
unsafe fn run_pack_weights(c: &Command, chunk: u32) {
    let stored = match c.size(4) {
        0 => Stored::F32,
        1 => Stored::F16,
        2 => Stored::Bf16,
        _ => Stored::Blocks,
    };
    let target = match c.size(5) {
        0 => Target::Vector,
        1 => Target::Tiles,
        2 => Target::Filters,
        3 => Target::Q8(Layout::Tiles),
        4 => Target::Q8(Layout::Panels),
        5 => Target::Q8(Layout::Rows),
        6 => Target::Q4(Layout::Tiles),
        7 => Target::Q4(Layout::Panels),
        _ => Target::Q4(Layout::Rows),
    };
    let packing = Packing {
        from: c.size(0) as *const u8,
        stored,
        first: c.size(6),
        count: c.size(7),
        k: c.size(8),
        taps: c.size(9),
        target,
        to: c.size(1) as *mut u8,
        size: c.size(10),
    };
    // SAFETY: the caller's promise.
    let good = unsafe {
        let room = c.slice_mut::<f32>(3, 0, c.size(11));
        packing.run(c.units(chunk), room)
    };
    if !good {
        // SAFETY: the caller's promise; workers write the same value.
        let bad = unsafe { AtomicU32::from_ptr(c.size(2) as *mut u32) };
        bad.store(1, Ordering::Relaxed);
    }
}

impl Packing {
    /// Packs what lies in tiles `units`, counted from the one with the first
    /// element; false when a number is not finite or too large.
    unsafe fn run(&self, units: Range<usize>, room: &mut [f32]) -> bool {
        let tile = self.k * TILE;
        let start = self.first / tile * tile;
        let mut at = self.first.max(start + units.start * tile);
        let end = (self.first + self.count).min(start + units.end * tile);
        // Groups, and 32 channels of a filter, stay together.
        let unit = GROUP * self.taps;
        let step = room.len() / unit * unit;
        let mut good = true;
        while at < end {
            let n = step.min(end - at);
            // SAFETY: the caller's promise.
            good &= unsafe { self.pack(at, n, &mut room[..n]) };
            at += n;
        }
        good
    }

    /// Packs `n` elements from `at` on.
    unsafe fn pack(&self, at: usize, n: usize, room: &mut [f32]) -> bool {
        let skipped = at - self.first;
        // SAFETY: the caller's promise, for each of these.
        unsafe {
            if self.stored == Stored::Blocks {
                return self.pack_blocks(at, skipped / GROUP, n / GROUP);
            }
            let numbers: &[f32] = match self.stored {
                Stored::F32 => from_raw_parts(self.from.cast::<f32>().add(skipped), n),
                stored => {
                    let halves = from_raw_parts(self.from.cast::<u16>().add(skipped), n);
                    match stored {
                        Stored::F16 => decode_f16(halves, room),
                        _ => decode_bf16(halves, room),
                    }
                    room
                }
            };
            self.pack_numbers(at, numbers)
        }
    }

    unsafe fn pack_numbers(&self, at: usize, x: &[f32]) -> bool {
        let (group, groups, taps) = (at / GROUP, self.k / GROUP, self.taps);
        // SAFETY: the caller's promise. Of the weight only elements of these
        // tiles are written, which no other chunk has.
        unsafe {
            match self.target {
                Target::Vector => {
                    let to = self.to.cast::<f32>().add(at);
                    core::slice::from_raw_parts_mut(to, x.len()).copy_from_slice(x);
                }
                Target::Tiles => pack_tiles(x, self.weight(1), at, self.k, taps),
                Target::Filters => pack_channels(x, self.weight(1), at, taps),
                Target::Q8(_) if taps > 1 => {
                    return pack_q8_filters(x, self.q8(), group, groups, taps);
                }
                Target::Q4(_) if taps > 1 => {
                    return pack_q4_filters(x, self.q4(), group, groups, taps);
                }
                Target::Q8(layout) => return pack_q8(x, self.q8(), group, groups, layout),
                Target::Q4(layout) => return pack_q4(x, self.q4(), group, groups, layout),
            }
        }
        true
    }

    /// Packs `n` blocks from the `skipped`th on.
    unsafe fn pack_blocks(&self, at: usize, skipped: usize, n: usize) -> bool {
        let (group, groups) = (at / GROUP, self.k / GROUP);
        // SAFETY: the caller's promise.
        unsafe {
            let blocks = |bytes: usize| from_raw_parts(self.from.add(skipped * bytes), n * bytes);
            match self.target {
                Target::Q8(layout) => {
                    pack_q8_blocks(blocks(Q8_BLOCK), self.q8(), group, groups, layout)
                }
                Target::Q4(layout) => {
                    pack_q4_blocks(blocks(Q4_BLOCK), self.q4(), group, groups, layout)
                }
                _ => false,
            }
        }
    }

    #[expect(clippy::mut_from_ref, reason = "as for `weight`")]
    unsafe fn q8(&self) -> &mut [Q8Group] {
        // SAFETY: the caller's promise.
        unsafe { self.weight(GROUP * TILE) }
    }

    #[expect(clippy::mut_from_ref, reason = "as for `weight`")]
    unsafe fn q4(&self) -> &mut [Q4Group] {
        // SAFETY: the caller's promise.
        unsafe { self.weight(GROUP * TILE) }
    }

    /// The whole weight, `of` elements in a T.
    #[expect(clippy::mut_from_ref, reason = "the elements do not belong to the description")]
    unsafe fn weight<T>(&self, of: usize) -> &mut [T] {
        // SAFETY: the caller's promise.
        unsafe { core::slice::from_raw_parts_mut(self.to.cast(), self.size / of) }
    }
}
