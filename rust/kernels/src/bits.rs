//! 128 bits as lanes of integers: `v128` on wasm32, an array elsewhere, with
//! the same result bit for bit, so that kernels are tested natively.

use crate::simd::F32x4;

/// Bytes of a vector.
pub const BYTES: usize = 16;

/// Sixteen bytes, eight 16-bit lanes or four 32-bit lanes, as each method says.
#[derive(Clone, Copy)]
pub struct Bits(imp::Vector);

impl Bits {
    /// The bytes of an array.
    #[inline(always)]
    pub fn load(from: &[u8; BYTES]) -> Self {
        Self(imp::load(from))
    }

    /// All 32-bit lanes `x`.
    #[inline(always)]
    pub fn splat(x: i32) -> Self {
        Self(imp::splat(x))
    }

    /// All 32-bit lanes set to lane `I`.
    #[inline(always)]
    pub fn splat_lane<const I: usize>(self) -> Self {
        Self(imp::splat_lane::<I>(self.0))
    }

    /// Bytes 0, 2, 4 .. with their signs, as 16-bit lanes.
    #[inline(always)]
    pub fn even_bytes_signed(self) -> Self {
        Self(imp::even_bytes_signed(self.0))
    }

    /// Bytes 1, 3, 5 .. with their signs, as 16-bit lanes.
    #[inline(always)]
    pub fn odd_bytes_signed(self) -> Self {
        Self(imp::odd_bytes_signed(self.0))
    }

    /// Bytes 0, 2, 4 .. as 16-bit lanes.
    #[inline(always)]
    pub fn even_bytes(self) -> Self {
        Self(imp::and(self.0, imp::constant::<0x00ff_00ff>()))
    }

    /// Bytes 1, 3, 5 .. as 16-bit lanes.
    #[inline(always)]
    pub fn odd_bytes(self) -> Self {
        Self(imp::shift_right_u16::<8>(self.0))
    }

    /// The low half of each byte.
    #[inline(always)]
    pub fn low_nibbles(self) -> Self {
        Self(imp::and(self.0, imp::constant::<0x0f0f_0f0f>()))
    }

    /// The high half of each byte.
    #[inline(always)]
    pub fn high_nibbles(self) -> Self {
        Self(imp::shift_right_u16::<4>(self.0)).low_nibbles()
    }

    /// Flips the highest bit of each byte: takes 128 away from unsigned bytes.
    #[inline(always)]
    pub fn flip_signs(self) -> Self {
        Self(imp::xor(self.0, imp::constant::<0x8080_8080>()))
    }

    /// Lane i of vector j to lane j of vector i.
    #[inline(always)]
    pub fn transpose(v: [Self; 4]) -> [Self; 4] {
        imp::transpose(v.map(|v| v.0)).map(Self)
    }

    /// Bytes `low + 16 high` of those that are below 16.
    #[inline(always)]
    pub fn join_nibbles(low: Self, high: Self) -> Self {
        Self(imp::join_nibbles(low.0, high.0))
    }

    /// Adds 32-bit lanes.
    #[inline(always)]
    pub fn add_i32(self, rhs: Self) -> Self {
        Self(imp::add_i32(self.0, rhs.0))
    }

    /// 32-bit lanes times 16.
    #[inline(always)]
    pub fn times_16(self) -> Self {
        Self(imp::times_16(self.0))
    }

    /// Sums of two products of 16-bit lanes each, as 32-bit lanes.
    #[inline(always)]
    pub fn dot_i16(self, rhs: Self) -> Self {
        Self(imp::dot_i16(self.0, rhs.0))
    }

    /// Eight bytes with their signs as numbers.
    #[inline(always)]
    pub fn bytes_to_f32(from: &[i8; 8]) -> [F32x4; 2] {
        imp::bytes_to_f32(from).map(F32x4::from_vector)
    }

    /// 32-bit lanes as numbers.
    #[inline(always)]
    pub fn to_f32(self) -> F32x4 {
        F32x4::from_vector(imp::to_f32(self.0))
    }

    /// Numbers to 32-bit lanes; they must be whole and in range.
    #[inline(always)]
    pub fn from_f32(x: F32x4) -> Self {
        Self(imp::from_f32(x.to_vector()))
    }

    /// The 32-bit lanes of four vectors as bytes; they must fit with their signs.
    #[inline(always)]
    pub fn narrow([a, b, c, d]: [Self; 4]) -> Self {
        Self(imp::narrow([a.0, b.0, c.0, d.0]))
    }

    /// Writes the bytes.
    #[inline(always)]
    pub fn store(self, to: &mut [u8; BYTES]) {
        imp::store(self.0, to);
    }

    /// Sum of the 32-bit lanes.
    #[inline(always)]
    pub fn horizontal_sum(self) -> i32 {
        imp::horizontal_sum(self.0)
    }

    /// A bit for each 32-bit lane that is not zero, the first lane's lowest.
    #[inline(always)]
    pub fn nonzero_lanes(self) -> u32 {
        imp::nonzero_lanes(self.0)
    }

    /// The same bits as numbers.
    #[inline(always)]
    pub fn as_f32(self) -> F32x4 {
        F32x4::from_vector(imp::as_f32(self.0))
    }

    /// The eight scales of a group of weights, see [`crate::scale`].
    #[inline(always)]
    pub fn to_scales(self) -> [F32x4; 2] {
        imp::to_scales(self.0).map(F32x4::from_vector)
    }
}

/// What needs relaxed SIMD on wasm32.
#[cfg(any(target_feature = "relaxed-simd", test))]
impl Bits {
    /// All bits zero.
    #[inline(always)]
    pub fn zero() -> Self {
        Self::splat(0)
    }

    /// All 16-bit lanes 1.
    #[inline(always)]
    pub fn ones_i16() -> Self {
        Self(imp::constant::<0x0001_0001>())
    }

    /// Half of each 32-bit lane, an even number of 17 bits, in both of its
    /// 16-bit lanes.
    #[inline(always)]
    pub fn halves_i16(self) -> Self {
        Self(imp::halves_i16(self.0))
    }

    /// Adds 16-bit lanes, which may wrap.
    #[inline(always)]
    pub fn add_i16(self, rhs: Self) -> Self {
        Self(imp::add_i16(self.0, rhs.0))
    }

    /// `sums` plus sums of four products of bytes each, as 32-bit lanes; `x`
    /// has signs. Whether bytes of `w` have some is the machine's choice, which
    /// `S` must tell: see `products_relaxed.rs`.
    #[inline(always)]
    pub fn dot_i8_add<const S: bool>(x: Self, w: Self, sums: Self) -> Self {
        Self(imp::dot_i8_add::<S>(x.0, w.0, sums.0))
    }

    /// Sums of two products of bytes each, as 16-bit lanes; `x` has signs,
    /// bytes of `w` must be below 128.
    #[inline(always)]
    pub fn dot_i8(x: Self, w: Self) -> Self {
        Self(imp::dot_i8(x.0, w.0))
    }

    /// The first 32-bit lane.
    #[cfg(target_arch = "wasm32")]
    pub fn first(self) -> i32 {
        imp::first(self.0)
    }
}

#[cfg(target_arch = "wasm32")]
#[path = "bits_wasm.rs"]
mod imp;
#[cfg(not(target_arch = "wasm32"))]
#[path = "bits_portable.rs"]
mod imp;
#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
#[path = "bits_relaxed.rs"]
mod relaxed;
