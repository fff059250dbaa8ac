//! What the kernels' tests share.

use crate::append_kv::{Ring, append_keys, append_values};
use crate::half::{Element, RowScale};
use crate::kv_store::Store;
use crate::tile::TILE;

/// Lengths around the vector and block sizes.
pub const LENGTHS: [usize; 14] = [0, 1, 3, 4, 5, 7, 8, 31, 63, 64, 65, 127, 192, 1000];

/// Reproducible values in -1 .. 1.
pub fn random(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

/// Reproducible values with a normal distribution, by sums of even ones.
pub fn gaussian(n: usize, seed: u64) -> Vec<f32> {
    random(12 * n, seed).chunks(12).map(|x| x.iter().sum::<f32>() / 2.0).collect()
}

/// Asserts that two rows agree within `tolerance` of the largest wanted value.
pub fn assert_close(found: &[f32], wanted: &[f32], tolerance: f32, label: &str) {
    assert_eq!(found.len(), wanted.len(), "{label}: lengths");
    let largest = wanted.iter().fold(1e-30f32, |m, x| m.max(x.abs()));
    for (i, (f, w)) in found.iter().zip(wanted).enumerate() {
        let close = (f - w).abs() <= tolerance * largest;
        assert!(close, "{label}: element {i} is {f}, wanted {w}");
    }
}

/// The memory of a store.
pub struct Rings<E> {
    elements: [Vec<E>; 2],
    scales: [Vec<f32>; 2],
    heads: usize,
    capacity: usize,
    width: usize,
}

impl<E: Element> Rings<E> {
    /// A store of keys and values `[positions, heads, width]`, and numbers that
    /// must not be read where there are none.
    pub fn new(k: &[f32], v: &[f32], [heads, capacity, width]: [usize; 3]) -> Self {
        let places = heads * capacity;
        let elements = [0; 2].map(|_| vec![E::from_f32(99.0); places * width]);
        let scales = [0; 2].map(|_| vec![f32::NAN; if E::SCALED { places } else { 0 }]);
        let mut rings = Self { elements, scales, heads, capacity, width };
        let [keys, values] = &mut rings.elements;
        let [key_scales, value_scales] = &mut rings.scales;
        append_keys(k, heads, width, 0, Ring { elements: keys, scales: key_scales });
        append_values(v, heads, width, 0, Ring { elements: values, scales: value_scales });
        rings
    }

    /// As attention reads it.
    pub fn store(&self) -> Store<'_, E> {
        let Self { elements: [k, v], scales: [keys, values], heads, capacity, width } = self;
        let [heads, capacity, width] = [*heads, *capacity, *width];
        Store { k, v, scales: [keys, values], heads, capacity, width }
    }
}

/// What a store keeps of rows `[rows, width]`.
pub fn kept<E: Element>(x: &[f32], width: usize) -> Vec<f32> {
    let row = |row: &[f32]| {
        let RowScale { scale, inverse } = E::row_scale(row);
        let number = |x: &f32| E::load(&[E::from_f32(x * inverse); TILE])[0].lanes()[0];
        row.iter().map(|x| number(x) * E::UNIT * scale).collect::<Vec<_>>()
    };
    x.chunks(width).flat_map(row).collect()
}
