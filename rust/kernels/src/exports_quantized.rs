//! What the module offers for quantised weights.

use crate::pack_quantized::{Q4_BLOCK, Q8_BLOCK, pack_q4, pack_q4_blocks, pack_q8, pack_q8_blocks};
use crate::panel::Layout;
use crate::products::{bound, probe};
use crate::quantized::GROUP;
use core::slice::{from_raw_parts, from_raw_parts_mut};

/// What [`probe_products`] gives when the machine gets a product wrong.
const WRONG: u32 = u32::MAX;

/// Finds out which products of bytes this machine has, and uses the best ones
/// from now on. Gives the number of the choice, or the largest u32 when the
/// machine gets a product wrong that is the same on all.
#[unsafe(no_mangle)]
pub extern "C" fn probe_products() -> u32 {
    probe().unwrap_or(WRONG)
}

/// Packs `count` f32 at `from`, elements `first ..` of a matrix of rows of `k`,
/// into tiles of `bits` bits at `to` that hold `groups` groups of eight
/// outputs, in panels unless `panels` is 0. Gives 0 when a number is not finite or too large.
///
/// # Safety
///
/// Both must be valid, aligned, and apart; `count`, `first` and `k` multiples
/// of 32.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pack_quantized(
    from: *const f32,
    count: usize,
    first: usize,
    to: *mut u8,
    groups: usize,
    k: usize,
    bits: u32,
    panels: u32,
) -> u32 {
    let layout = if panels == 0 { Layout::Tiles } else { Layout::Panels };
    let (first, k) = (first / GROUP, k / GROUP);
    // SAFETY: the caller's promise.
    let good = unsafe {
        let from = from_raw_parts(from, count);
        match bits {
            8 => pack_q8(from, from_raw_parts_mut(to.cast(), groups), first, k, layout),
            _ => pack_q4(from, from_raw_parts_mut(to.cast(), groups), first, k, layout),
        }
    };
    good.into()
}

/// As [`pack_quantized`], from blocks of a file that hold `count` elements in
/// the same number of bits.
///
/// # Safety
///
/// As for [`pack_quantized`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pack_blocks(
    from: *const u8,
    count: usize,
    first: usize,
    to: *mut u8,
    groups: usize,
    k: usize,
    bits: u32,
    panels: u32,
) -> u32 {
    let layout = if panels == 0 { Layout::Tiles } else { Layout::Panels };
    let (blocks, first, k) = (count / GROUP, first / GROUP, k / GROUP);
    // SAFETY: the caller's promise.
    let good = unsafe {
        match bits {
            8 => pack_q8_blocks(
                from_raw_parts(from, blocks * Q8_BLOCK),
                from_raw_parts_mut(to.cast(), groups),
                first,
                k,
                layout,
            ),
            _ => pack_q4_blocks(
                from_raw_parts(from, blocks * Q4_BLOCK),
                from_raw_parts_mut(to.cast(), groups),
                first,
                k,
                layout,
            ),
        }
    };
    good.into()
}

/// Does `128 * rounds` products of bytes; see [`crate::bounds`].
#[unsafe(no_mangle)]
pub extern "C" fn bound_multiply_bytes(rounds: usize, byte: u8) -> i32 {
    bound(rounds, byte)
}
