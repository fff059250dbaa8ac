//! Bounds that benches compare with: how fast memory can be read, and how fast
//! vectors can be multiplied and added.

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

#[cfg(test)]
mod tests {
    use super::*;

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
