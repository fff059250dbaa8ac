//! Products with quantised weights, in the form that suits the machine. What
//! relaxed SIMD gives beyond what is the same on all machines is found by
//! trying.

use crate::bits::Bits;
use crate::bounds::multiply_bytes;
use crate::form::Wide;
use crate::form_relaxed::{Dots, Pairs};
use crate::matmul_panels::{PanelPart, multiply_panel};
use crate::matmul_quantized::{Activations, multiply};
use crate::matmul_rows::{LaneGroups, OUTPUTS, multiply_rows};
use crate::quantized::{Q4Group, Q8Group, Quad};
use crate::rows::RowsMut;
use core::sync::atomic::{AtomicU32, Ordering};

/// Forms for weights of four and of eight bits.
#[derive(Clone, Copy)]
enum Choice {
    /// [`Pairs`] and [`Wide`].
    Pairs = 1,
    /// [`Dots`] without signs.
    Unsigned,
    /// [`Dots`], with signs for eight bits.
    Signed,
}

/// As the number of the choice.
static CHOICE: AtomicU32 = AtomicU32::new(Choice::Pairs as u32);

fn choice() -> Choice {
    match CHOICE.load(Ordering::Relaxed) {
        2 => Choice::Unsigned,
        3 => Choice::Signed,
        _ => Choice::Pairs,
    }
}

/// Multiplies by consecutive tiles of four bits, `groups` of each output.
pub fn matmul_q4(x: Activations, groups: usize, tiles: &[Q4Group], out: &mut RowsMut) {
    match choice() {
        Choice::Pairs => multiply::<Pairs, _>(x, groups, tiles, out),
        // Below 128 a byte is the same with its sign.
        Choice::Unsigned | Choice::Signed => multiply::<Dots<false>, _>(x, groups, tiles, out),
    }
}

/// As [`matmul_q4`], of eight bits.
pub fn matmul_q8(x: Activations, groups: usize, tiles: &[Q8Group], out: &mut RowsMut) {
    match choice() {
        Choice::Pairs => multiply::<Wide, _>(x, groups, tiles, out),
        Choice::Unsigned => multiply::<Dots<false>, _>(x, groups, tiles, out),
        Choice::Signed => multiply::<Dots<true>, _>(x, groups, tiles, out),
    }
}

/// Multiplies one row by tiles of a panel of four bits.
pub fn panel_q4(x: &[Quad], panel: PanelPart, out: &mut [f32]) {
    match choice() {
        Choice::Pairs => multiply_panel::<Pairs, Q4Group>(x, panel, out),
        Choice::Unsigned | Choice::Signed => {
            multiply_panel::<Dots<false>, Q4Group>(x, panel, out);
        }
    }
}

/// As [`panel_q4`], of eight bits.
pub fn panel_q8(x: &[Quad], panel: PanelPart, out: &mut [f32]) {
    match choice() {
        Choice::Pairs => multiply_panel::<Wide, Q8Group>(x, panel, out),
        Choice::Unsigned => multiply_panel::<Dots<false>, Q8Group>(x, panel, out),
        Choice::Signed => multiply_panel::<Dots<true>, Q8Group>(x, panel, out),
    }
}

/// Multiplies one row by the weights of some outputs, of four bits.
pub fn rows_q4(x: &[LaneGroups], w: [&[Q4Group]; OUTPUTS]) -> [f32; OUTPUTS] {
    match choice() {
        Choice::Pairs => multiply_rows::<Pairs, _>(x, w),
        Choice::Unsigned | Choice::Signed => multiply_rows::<Dots<false>, _>(x, w),
    }
}

/// As [`rows_q4`], of eight bits.
pub fn rows_q8(x: &[LaneGroups], w: [&[Q8Group]; OUTPUTS]) -> [f32; OUTPUTS] {
    match choice() {
        Choice::Pairs => multiply_rows::<Wide, _>(x, w),
        Choice::Unsigned => multiply_rows::<Dots<false>, _>(x, w),
        Choice::Signed => multiply_rows::<Dots<true>, _>(x, w),
    }
}

/// See [`crate::bounds::multiply_bytes`]; of products with four bits.
pub fn bound(rounds: usize, byte: u8) -> i32 {
    match choice() {
        Choice::Pairs => multiply_bytes::<Pairs>(rounds, byte),
        Choice::Unsigned | Choice::Signed => multiply_bytes::<Dots<false>>(rounds, byte),
    }
}

/// Finds the choice, uses it from now on, and gives its number; `None` when
/// the machine gets a product wrong that is the same on all.
pub fn probe() -> Option<u32> {
    let number = try_products()? as u32;
    CHOICE.store(number, Ordering::Relaxed);
    Some(number)
}

fn try_products() -> Option<Choice> {
    for (x, w) in [(-1, 127), (-128, 127), (127, 127), (-128, 15), (127, 15), (5, 0)] {
        if dot(x, w) != 4 * x * w || dot_pairs(x, w) != 4 * x * w {
            return None;
        }
    }
    // Beyond what is the same on all machines.
    let gives = |f: fn(i32) -> i32| {
        [(-128, 255), (127, 255), (127, 128), (-128, 128), (1, 200)]
            .iter()
            .all(|(x, w)| dot(*x, *w) == 4 * x * f(*w))
    };
    Some(if gives(|w| w) {
        Choice::Unsigned
    } else if gives(|w| w - 256) {
        Choice::Signed
    } else {
        Choice::Pairs
    })
}

/// Sixteen bytes that the compiler knows nothing of.
fn bytes(x: i32) -> Bits {
    Bits::splat(core::hint::black_box((x & 255).wrapping_mul(0x0101_0101)))
}

fn dot(x: i32, w: i32) -> i32 {
    // What `S` says has no effect on the instruction.
    Bits::dot_i8_add::<false>(bytes(x), bytes(w), Bits::zero()).first()
}

fn dot_pairs(x: i32, w: i32) -> i32 {
    Bits::dot_i8(bytes(x), bytes(w)).dot_i16(Bits::ones_i16()).first()
}
