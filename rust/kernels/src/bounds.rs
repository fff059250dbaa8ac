//! Bounds that benches compare with: how fast memory can be read, and how fast
//! vectors can be multiplied and added.

use crate::bits::{BYTES, Bits};
use crate::form::Form;
use crate::simd::{F32x4, LANES};

/// Sums all elements, with enough sums under way to wait for memory alone.
pub fn read_all(x: &[f32]) -> f32 {
    let mut sums = [F32x4::zero(); 8];
    for block in x.as_chunks::<LANES>().0.as_chunks::<8>().0 {
        for (sum, v) in sums.iter_mut().zip(block) {
            *sum = *sum + F32x4::load(v);
        }
    }
    sums.iter().fold(F32x4::zero(), |a, b| a + *b).horizontal_sum()
}

/// `rounds` times twelve vector multiply-adds that touch no memory.
pub fn multiply_adds(rounds: usize, factor: f32) -> f32 {
    let mut sums: [F32x4; 12] = core::array::from_fn(|i| F32x4::splat(i as f32));
    let (a, b) = (F32x4::splat(factor), F32x4::splat(1.0 - factor));
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = *sum * a + b;
        }
    }
    sums.iter().fold(F32x4::zero(), |a, b| a + *b).horizontal_sum()
}

/// `rounds` times eight vectors of sixteen products of bytes, as four rows have
/// with eight outputs, that touch no memory.
pub fn multiply_bytes<F: Form>(rounds: usize, byte: u8) -> i32 {
    let x = F::quads(Bits::load(&[byte; BYTES]));
    let mut w = [Bits::load(&[byte & 15; BYTES]), Bits::load(&[1; BYTES])];
    let mut sums = [[Bits::splat(0); 4]; 2];
    for _ in 0..rounds {
        for (sums, w) in sums.iter_mut().zip(w.map(F::weights)) {
            sums[0] = F::multiply_add(sums[0], F::splat::<0>(x), w);
            sums[1] = F::multiply_add(sums[1], F::splat::<1>(x), w);
            sums[2] = F::multiply_add(sums[2], F::splat::<2>(x), w);
            sums[3] = F::multiply_add(sums[3], F::splat::<3>(x), w);
        }
        // Other weights each time, or one product would do for all.
        w = w.map(|w| w.add_i32(w).low_nibbles());
    }
    let sums = sums.as_flattened().iter().map(|sum| F::finish(*sum));
    sums.fold(Bits::splat(0), Bits::add_i32).horizontal_sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::Wide;

    #[test]
    fn every_round_multiplies_bytes() {
        let one_round = 4 * 16 * (3 * 3 + 3);
        assert_eq!(multiply_bytes::<Wide>(1, 3), one_round);
        assert_eq!(multiply_bytes::<Wide>(2, 3), one_round + 2 * one_round);
    }

    #[test]
    fn every_element_is_read() {
        assert_eq!(read_all(&[1.0; 320]), 320.0);
    }

    #[test]
    fn every_round_counts() {
        assert_eq!(multiply_adds(0, 0.5), 4.0 * 66.0);
        assert_eq!(multiply_adds(1, 0.5), 4.0 * (33.0 + 6.0));
    }
}
