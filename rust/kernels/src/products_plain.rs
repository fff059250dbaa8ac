//! Products with quantised weights, the same on every machine.

use crate::bounds::multiply_bytes;
use crate::form::Wide;
use crate::matmul_panels::{PanelPart, multiply_panel};
use crate::matmul_quantized::{Activations, multiply};
use crate::matmul_rows::{LaneGroups, OUTPUTS, multiply_rows};
use crate::quantized::{Q4Group, Q8Group, Quad};
use crate::rows::RowsMut;

/// Multiplies by consecutive tiles of four bits, `groups` of each output.
pub fn matmul_q4(x: Activations, groups: usize, tiles: &[Q4Group], out: &mut RowsMut) {
    multiply::<Wide, _>(x, groups, tiles, out);
}

/// As [`matmul_q4`], of eight bits.
pub fn matmul_q8(x: Activations, groups: usize, tiles: &[Q8Group], out: &mut RowsMut) {
    multiply::<Wide, _>(x, groups, tiles, out);
}

/// Multiplies one row by tiles of a panel of four bits.
pub fn panel_q4(x: &[Quad], panel: PanelPart, out: &mut [f32]) {
    multiply_panel::<Wide, Q4Group>(x, panel, out);
}

/// As [`panel_q4`], of eight bits.
pub fn panel_q8(x: &[Quad], panel: PanelPart, out: &mut [f32]) {
    multiply_panel::<Wide, Q8Group>(x, panel, out);
}

/// Multiplies one row by the weights of some outputs, of four bits.
pub fn rows_q4(x: &[LaneGroups], w: [&[Q4Group]; OUTPUTS]) -> [f32; OUTPUTS] {
    multiply_rows::<Wide, _>(x, w)
}

/// As [`rows_q4`], of eight bits.
pub fn rows_q8(x: &[LaneGroups], w: [&[Q8Group]; OUTPUTS]) -> [f32; OUTPUTS] {
    multiply_rows::<Wide, _>(x, w)
}

/// See [`crate::bounds::multiply_bytes`].
pub fn bound(rounds: usize, byte: u8) -> i32 {
    multiply_bytes::<Wide>(rounds, byte)
}

/// There is no choice: gives 0.
pub fn probe() -> Option<u32> {
    Some(0)
}
