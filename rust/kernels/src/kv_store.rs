//! Keys and values as attention reads them: rings, and the scales of their rows.

use crate::half::Element;
use crate::tile::TILE;
use core::ops::Range;

/// Positions whose scores are held at a time; a multiple of the tile.
pub const BLOCK: usize = 4 * TILE;

/// Keys `[heads, capacity / 8, width, 8]` and values `[heads, capacity, width]`
/// (of one head, as many rows as there are); position p in row p % capacity.
#[derive(Clone, Copy)]
pub struct Store<'a, E> {
    pub k: &'a [E],
    pub v: &'a [E],
    /// Of keys and of values, `[heads, capacity]` each where elements are
    /// scaled, else none.
    pub scales: [&'a [f32]; 2],
    pub heads: usize,
    pub capacity: usize,
    pub width: usize,
}

impl<'a, E: Element> Store<'a, E> {
    /// Keys and values of one head.
    pub fn head(&self, head: usize, scale: f32) -> Keys<'a, E> {
        let Store { k, v, scales, heads, capacity, width } = *self;
        assert!(head < heads);
        let rows = if E::SCALED { head * capacity..(head + 1) * capacity } else { 0..0 };
        let first = head * capacity * width;
        Keys {
            k: &k[first..first + capacity * width],
            v: &v[first..v.len().min(first + capacity * width)],
            scales: scales.map(|scales| &scales[rows.clone()]),
            capacity,
            width,
            scale,
        }
    }
}

/// Keys and values of one head.
pub struct Keys<'a, E> {
    k: &'a [E],
    v: &'a [E],
    scales: [&'a [f32]; 2],
    capacity: usize,
    pub width: usize,
    scale: f32,
}

/// What sums of products with the keys of a block, and weights of its values,
/// are multiplied with.
pub struct Factors {
    pub keys: [f32; BLOCK],
    pub values: [f32; BLOCK],
}

impl<E: Element> Keys<'_, E> {
    /// Factors of the block that holds `seen`, where values are over `unit`.
    #[inline(always)]
    pub fn factors(&self, seen: Range<usize>, unit: f32) -> Factors {
        let mut factors = Factors { keys: [self.scale; BLOCK], values: [unit; BLOCK] };
        if E::SCALED {
            let block = seen.start / BLOCK * BLOCK;
            for first in (seen.start / TILE * TILE..seen.end).step_by(TILE) {
                let rows = first % self.capacity..first % self.capacity + TILE;
                let [keys, values] = self.scales.map(|scales| &scales[rows.clone()]);
                for i in 0..TILE {
                    factors.keys[first - block + i] *= keys[i];
                    factors.values[first - block + i] *= values[i];
                }
            }
        }
        factors
    }

    /// The eight keys from position `first` on.
    pub fn tile(&self, first: usize) -> &[E] {
        &self.k[first % self.capacity * self.width..][..TILE * self.width]
    }

    /// Values of positions, which may lie around the end of the ring: two runs.
    pub fn runs(&self, seen: Range<usize>) -> [&[E]; 2] {
        let (width, place) = (self.width, seen.start % self.capacity);
        let before_end = seen.len().min(self.capacity - place);
        [
            &self.v[place * width..(place + before_end) * width],
            &self.v[..(seen.len() - before_end) * width],
        ]
    }
}
