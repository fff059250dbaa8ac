//! One recorded operation as 32 words, and the slices its words stand for.

use crate::rows::RowsMut;
use core::ops::Range;
use core::slice::{from_raw_parts, from_raw_parts_mut};

/// Words of a command.
pub const WORDS: usize = 32;
/// Words before the arguments: operation, units, units of a chunk, cost of a
/// chunk, which word is the address of the scratch or 0, its bytes.
const HEADER: usize = 6;

/// Chunks from `first` up to `end` of a command.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chunks {
    pub first: u32,
    pub end: u32,
}

impl Chunks {
    /// Each alone, for operations whose scratch has room for the units of one.
    pub fn each(self) -> impl Iterator<Item = Self> {
        (self.first..self.end).map(|first| Self { first, end: first + 1 })
    }
}

/// A command in the queue. The work has a number of units, done in chunks
/// that may run in any order.
#[repr(transparent)]
pub struct Command([u32; WORDS]);

impl Command {
    /// The command with the scratch of one of several workers.
    #[cfg(any(target_feature = "atomics", not(target_arch = "wasm32")))]
    pub fn for_worker(&self, worker: u32) -> Self {
        let mut words = self.0;
        if words[4] != 0 {
            words[words[4] as usize] += worker * words[5];
        }
        Self(words)
    }

    /// Which operation it is.
    pub fn op(&self) -> u32 {
        self.0[0]
    }

    /// How many chunks the work has.
    pub fn chunks(&self) -> u32 {
        self.0[1].div_ceil(self.0[2])
    }

    /// Work in a chunk, in units of the budget.
    pub fn chunk_cost(&self) -> u32 {
        self.0[3]
    }

    /// The units of chunks, of which there is one at least.
    pub fn units(&self, chunks: Chunks) -> Range<usize> {
        let [units, of_chunk] = [self.0[1], self.0[2]];
        (chunks.first * of_chunk) as usize..units.min(chunks.end.saturating_mul(of_chunk)) as usize
    }

    /// Argument `i` as a size.
    pub fn size(&self, i: usize) -> usize {
        self.0[HEADER + i] as usize
    }

    /// Arguments `i` and `i + 1` as sizes.
    pub fn sizes(&self, i: usize) -> [usize; 2] {
        [self.size(i), self.size(i + 1)]
    }

    /// Argument `i` as an f32.
    pub fn number(&self, i: usize) -> f32 {
        f32::from_bits(self.0[HEADER + i])
    }

    /// `len` elements, `first` elements after the address in argument `i`.
    ///
    /// # Safety
    ///
    /// They must be valid elements of type T that nothing writes meanwhile.
    pub unsafe fn slice<T>(&self, i: usize, first: usize, len: usize) -> &[T] {
        if len == 0 {
            return &[];
        }
        // SAFETY: the caller's promise.
        unsafe { from_raw_parts((self.size(i) as *const T).add(first), len) }
    }

    /// As [`Self::slice`], to write.
    ///
    /// # Safety
    ///
    /// As for [`Self::slice`], and nothing else may reach the elements.
    #[expect(clippy::mut_from_ref, reason = "the elements do not belong to the command")]
    pub unsafe fn slice_mut<T>(&self, i: usize, first: usize, len: usize) -> &mut [T] {
        if len == 0 {
            return &mut [];
        }
        // SAFETY: the caller's promise.
        unsafe { from_raw_parts_mut((self.size(i) as *mut T).add(first), len) }
    }

    /// `width` columns of `rows` rows, `stride` apart, of f32 to write.
    ///
    /// # Safety
    ///
    /// As for [`Self::slice_mut`].
    pub unsafe fn rows_mut(
        &self,
        i: usize,
        first: usize,
        rows: usize,
        stride: usize,
        width: usize,
    ) -> RowsMut<'_> {
        // SAFETY: the caller's promise.
        unsafe { RowsMut::from_raw((self.size(i) as *mut f32).add(first), rows, stride, width) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_has_scratch_of_its_own() {
        let mut words = [0; WORDS];
        words[4..6].copy_from_slice(&[HEADER as u32 + 1, 64]);
        words[HEADER..HEADER + 3].copy_from_slice(&[1000, 2000, 3000]);
        let found = Command(words).for_worker(2);
        assert_eq!([found.size(0), found.size(1), found.size(2)], [1000, 2128, 3000]);
    }

    #[test]
    fn chunks_are_units_that_follow_each_other() {
        let mut words = [0; WORDS];
        words[1..3].copy_from_slice(&[23, 5]);
        let command = Command(words);
        assert_eq!(command.chunks(), 5);
        assert_eq!(command.units(Chunks { first: 1, end: 3 }), 5..15);
        let last = Chunks { first: 3, end: 5 };
        assert_eq!(command.units(last), 15..23);
        let each: Vec<_> = last.each().map(|chunk| command.units(chunk)).collect();
        assert_eq!(each, [15..20, 20..23]);
    }

    #[test]
    fn a_command_without_scratch_stays_as_it_is() {
        let words = core::array::from_fn(|i| if i == 4 { 0 } else { i as u32 });
        assert_eq!(Command(words).for_worker(3).0, words);
    }
}
