//! Four f32 lanes: `v128` on wasm32, an array elsewhere, with the same result
//! bit for bit, so that kernels are tested natively.

use core::ops::{Add, Div, Mul, Sub};

/// Lanes of a vector.
pub const LANES: usize = 4;

/// Four f32 lanes.
#[derive(Clone, Copy)]
pub struct F32x4(imp::Vector);

/// Four i32 lanes, as far as `exp` needs them.
#[derive(Clone, Copy)]
pub struct I32x4(imp::IntVector);

impl F32x4 {
    /// The lanes of a vector that another module made.
    #[inline(always)]
    pub fn from_vector(vector: imp::Vector) -> Self {
        Self(vector)
    }

    /// The vector, for another module.
    #[inline(always)]
    pub fn to_vector(self) -> imp::Vector {
        self.0
    }

    /// All lanes zero.
    #[inline(always)]
    pub fn zero() -> Self {
        Self::splat(0.0)
    }

    /// All lanes `x`.
    #[inline(always)]
    pub fn splat(x: f32) -> Self {
        Self(imp::splat(x))
    }

    /// All lanes the number with these bits; see [`constant!`].
    #[inline(always)]
    pub fn constant<const BITS: u32>() -> Self {
        Self(imp::constant::<BITS>())
    }

    /// The lanes of an array.
    #[inline(always)]
    pub fn load(from: &[f32; LANES]) -> Self {
        Self(imp::load(from))
    }

    /// Loads up to four elements; missing lanes are zero.
    #[inline(always)]
    pub fn load_partial(from: &[f32]) -> Self {
        if let Some(whole) = from.first_chunk() {
            return Self::load(whole);
        }
        let mut lanes = [0.0; LANES];
        for (lane, x) in lanes.iter_mut().zip(from) {
            *lane = *x;
        }
        Self::load(&lanes)
    }

    /// Writes all lanes.
    #[inline(always)]
    pub fn store(self, to: &mut [f32; LANES]) {
        imp::store(self.0, to);
    }

    /// Writes the first `to.len()` lanes, at most four.
    #[inline(always)]
    pub fn store_partial(self, to: &mut [f32]) {
        if let Some(whole) = to.first_chunk_mut() {
            return self.store(whole);
        }
        for (x, lane) in to.iter_mut().zip(self.lanes()) {
            *x = lane;
        }
    }

    /// The lanes as an array.
    #[inline(always)]
    pub fn lanes(self) -> [f32; LANES] {
        let mut lanes = [0.0; LANES];
        self.store(&mut lanes);
        lanes
    }

    /// All lanes set to lane `I`.
    #[inline(always)]
    pub fn splat_lane<const I: usize>(self) -> Self {
        Self(imp::splat_lane::<I>(self.0))
    }

    /// Lane i of vector j to lane j of vector i.
    #[inline(always)]
    pub fn transpose(v: [Self; LANES]) -> [Self; LANES] {
        imp::transpose(v.map(|v| v.0)).map(Self)
    }

    /// Sum of the lanes, `(0 + 2) + (1 + 3)`.
    #[inline(always)]
    pub fn horizontal_sum(self) -> f32 {
        let [a, b, c, d] = self.lanes();
        (a + c) + (b + d)
    }

    /// Lane-wise `if rhs < self { rhs } else { self }`.
    #[inline(always)]
    pub fn min(self, rhs: Self) -> Self {
        Self(imp::min(self.0, rhs.0))
    }

    /// Lane-wise `if self < rhs { rhs } else { self }`.
    #[inline(always)]
    pub fn max(self, rhs: Self) -> Self {
        Self(imp::max(self.0, rhs.0))
    }

    /// Lane-wise absolute value.
    #[inline(always)]
    pub fn abs(self) -> Self {
        Self(imp::abs(self.0))
    }

    /// Lane-wise rounding to the nearest integer, ties to even.
    #[inline(always)]
    pub fn round(self) -> Self {
        Self(imp::round(self.0))
    }

    /// Lane-wise magnitude of `self` with the sign of `sign`.
    #[inline(always)]
    pub fn copysign(self, sign: Self) -> Self {
        Self(imp::copysign(self.0, sign.0))
    }

    /// Whether every lane is less than that of `limit`.
    #[inline(always)]
    pub fn all_lt(self, limit: Self) -> bool {
        imp::all_lt(self.0, limit.0)
    }

    /// Lane-wise `if self < limit { a } else { b }`.
    #[inline(always)]
    pub fn select_lt(self, limit: Self, a: Self, b: Self) -> Self {
        Self(imp::select_lt(self.0, limit.0, a.0, b.0))
    }

    /// The bits of each lane.
    #[inline(always)]
    pub fn bits(self) -> I32x4 {
        I32x4(imp::bits(self.0))
    }
}

impl I32x4 {
    /// All lanes the same bits.
    #[inline(always)]
    pub fn constant<const BITS: u32>() -> Self {
        Self(imp::int_constant::<BITS>())
    }

    /// Lane-wise `self >> 1`, with the sign.
    #[inline(always)]
    pub fn half(self) -> Self {
        Self(imp::half(self.0))
    }

    /// Lane-wise 2 to the power of `self`, for exponents -126 to 127.
    #[inline(always)]
    pub fn exp2(self) -> F32x4 {
        F32x4(imp::exp2(self.0))
    }
}

impl Sub for I32x4 {
    type Output = Self;
    #[inline(always)]
    fn sub(self, rhs: Self) -> Self {
        Self(imp::int_sub(self.0, rhs.0))
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident) => {
        impl $trait for F32x4 {
            type Output = Self;
            #[inline(always)]
            fn $method(self, rhs: Self) -> Self {
                Self(imp::$method(self.0, rhs.0))
            }
        }
    };
}
operator!(Add, add);
operator!(Sub, sub);
operator!(Mul, mul);
operator!(Div, div);

/// A number of the source in all lanes, for loops.
macro_rules! constant {
    ($x:expr) => {
        $crate::simd::F32x4::constant::<{ f32::to_bits($x) }>()
    };
}
pub(crate) use constant;

/// Square root of an f64, correctly rounded; `core` has none.
#[inline(always)]
pub fn sqrt_f64(x: f64) -> f64 {
    imp::sqrt_f64(x)
}

#[cfg(target_arch = "wasm32")]
#[path = "simd_wasm.rs"]
mod imp;
#[cfg(not(target_arch = "wasm32"))]
#[path = "simd_portable.rs"]
mod imp;

#[cfg(target_arch = "wasm32")]
pub use imp::transpose as transpose_vectors;
