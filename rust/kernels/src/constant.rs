//! Vectors that are the same in every lane, read from memory: engines make a
//! constant of 16 bytes anew each time it is used, by four instructions.

use core::arch::wasm32::v128;
use core::ptr::{from_ref, read_volatile};

#[repr(align(16))]
#[expect(dead_code, reason = "read as a vector")]
struct Lanes([u32; 4]);

struct Constant<const BITS: u32>;

impl<const BITS: u32> Constant<BITS> {
    const LANES: &'static Lanes = &Lanes([BITS; 4]);
}

/// All 32-bit lanes `BITS`.
#[inline(always)]
pub fn constant<const BITS: u32>() -> v128 {
    // SAFETY: the lanes are 16 aligned bytes. Volatile, or the compiler would
    // make a constant of it again.
    unsafe { read_volatile(from_ref(Constant::<BITS>::LANES).cast()) }
}
