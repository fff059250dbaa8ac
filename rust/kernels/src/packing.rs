//! Bytes of a checkpoint to the layouts of the kernels. The work divides into
//! tiles of eight outputs, because neighbours in a tile share words.

use crate::pack::{decode_bf16, decode_f16, pack_channels, pack_tiles};
use crate::pack_quantized::{
    pack_q4, pack_q4_blocks, pack_q4_filters, pack_q8, pack_q8_blocks, pack_q8_filters,
};
use crate::pack_tile::{To, pack_q4_tile, pack_q8_tile};
use crate::panel::Layout;
use crate::quantize_weights::{
    Q4_BLOCK, Q8_BLOCK, of_q4_block, of_q8_block, quantize_q4, quantize_q8,
};
use crate::quantized::{GROUP, Q4Group, Q8Group};
use crate::tile::TILE;
use core::ops::Range;
use core::slice::from_raw_parts;

/// How elements are stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    F32,
    F16,
    Bf16,
    /// Blocks of as many bits as the weight's.
    Blocks,
}

/// Where elements go: as they come, to tiles or filters of f32, or to groups of
/// so many bits.
#[derive(Clone, Copy)]
pub enum Target {
    Vector,
    Tiles,
    Filters,
    Q8(Layout),
    Q4(Layout),
}

/// A weight, of which elements `first .. first + count` are at `from`.
#[derive(Clone, Copy)]
pub struct Packing {
    pub from: *const u8,
    pub stored: Stored,
    pub first: usize,
    pub count: usize,
    /// Elements of an output, and places of a filter.
    pub k: usize,
    pub taps: usize,
    pub target: Target,
    pub to: *mut u8,
    /// Elements of the weight, in whole tiles where it has some.
    pub size: usize,
}

impl Packing {
    /// Packs what lies in tiles `units`, counted from the one with the first
    /// element; false when a number is not finite or too large. `room` has space
    /// for 32 channels of a filter at least.
    ///
    /// # Safety
    ///
    /// The addresses must hold what the fields say, and nobody else may use the
    /// tiles.
    pub unsafe fn run(&self, units: Range<usize>, room: &mut [f32]) -> bool {
        let tile = self.k * TILE;
        let start = self.first / tile * tile;
        let mut at = self.first.max(start + units.start * tile);
        let end = (self.first + self.count).min(start + units.end * tile);
        // Groups, and 32 channels of a filter, stay together.
        let unit = GROUP * self.taps;
        let step = room.len() / unit * unit;
        let mut good = true;
        while at < end {
            let mut n = step.min(end - at);
            if let Some(layout) = self.layout_of_tiles() {
                if at.is_multiple_of(tile) && end - at >= tile {
                    // SAFETY: the caller's promise.
                    good &= unsafe { self.pack_tile(at, layout) };
                    at += tile;
                    continue;
                }
                n = n.min(tile - at % tile);
            }
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

    /// How whole tiles can be packed at once lie: those whose groups come in
    /// the order in which they go.
    fn layout_of_tiles(&self) -> Option<Layout> {
        match self.target {
            Target::Q8(layout) | Target::Q4(layout) if self.taps == 1 => Some(layout),
            _ => None,
        }
    }

    /// Packs the tile that begins with element `at`.
    unsafe fn pack_tile(&self, at: usize, layout: Layout) -> bool {
        let groups = self.k / GROUP;
        let to = To { tile: at / self.k / TILE, groups, layout };
        let skipped = (at - self.first) / GROUP;
        let group = |row: usize, k: usize| skipped + row * groups + k;
        // SAFETY: the caller's promise, for each of these.
        unsafe {
            match (self.stored, self.target) {
                (Stored::Blocks, Target::Q8(_)) => {
                    let blocks = self.groups::<[u8; Q8_BLOCK]>();
                    pack_q8_tile(|row, k| of_q8_block(&blocks[group(row, k)]), self.q8(), to)
                }
                (Stored::Blocks, _) => {
                    let blocks = self.groups::<[u8; Q4_BLOCK]>();
                    pack_q4_tile(|row, k| of_q4_block(&blocks[group(row, k)]), self.q4(), to)
                }
                (_, Target::Q8(_)) => {
                    pack_q8_tile(|row, k| quantize_q8(&self.group(group(row, k))), self.q8(), to)
                }
                _ => pack_q4_tile(|row, k| quantize_q4(&self.group(group(row, k))), self.q4(), to),
            }
        }
    }

    /// The numbers of the `index`th group that is there.
    #[inline(always)]
    unsafe fn group(&self, index: usize) -> [f32; GROUP] {
        let mut numbers = [0.0; GROUP];
        // SAFETY: the caller's promise, for each of these.
        unsafe {
            match self.stored {
                Stored::F32 => return self.groups::<[f32; GROUP]>()[index],
                Stored::F16 => decode_f16(&self.groups::<[u16; GROUP]>()[index], &mut numbers),
                _ => decode_bf16(&self.groups::<[u16; GROUP]>()[index], &mut numbers),
            }
        }
        numbers
    }

    /// All that is there, by groups.
    unsafe fn groups<T>(&self) -> &[T] {
        // SAFETY: the caller's promise.
        unsafe { from_raw_parts(self.from.cast(), self.count / GROUP) }
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
