//! What the module offers for products with quantised weights.

use crate::products::{bound, probe};

/// What [`probe_products`] gives when the machine gets a product wrong.
const WRONG: u32 = u32::MAX;

/// Finds out which products of bytes this machine has, and uses the best ones
/// from now on. Gives the number of the choice, or the largest u32 when the
/// machine gets a product wrong that is the same on all.
#[unsafe(no_mangle)]
pub extern "C" fn probe_products() -> u32 {
    probe().unwrap_or(WRONG)
}

/// Does `128 * rounds` products of bytes; see [`crate::bounds`].
#[unsafe(no_mangle)]
pub extern "C" fn bound_multiply_bytes(rounds: usize, byte: u8) -> i32 {
    bound(rounds, byte)
}
