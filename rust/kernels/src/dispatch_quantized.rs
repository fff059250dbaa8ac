//! Runs chunks of the operations on quantised weights: arguments to slices to
//! kernels.

use crate::command::{Chunks, Command};
use crate::embedding_quantized::embedding_quantized;
use crate::gated_matmul::{MultiplyRows, gated_matmul};
use crate::matmul_panels::PanelPart;
use crate::matmul_quantized::Activations;
use crate::matmul_rows::{gather_rows_tile, groups_as_lanes};
use crate::panel::{PANEL_TILES, gather_tile};
use crate::products::{matmul_q4, matmul_q8, panel_q4, panel_q8, rows_q4, rows_q8};
use crate::quantize_rows::{quantize_block, quantize_row};
use crate::quantized::{
    BLOCK_QUADS, BLOCK_ROWS, GROUP, Q4Group, Q8Group, Quad, ROW_QUADS, WeightGroup, blocks_of,
};
use crate::rows::RowsMut;
use crate::tile::TILE;
#[cfg(any(target_feature = "atomics", not(target_arch = "wasm32")))]
use core::ops::Range;

/// Runs chunks; false when the operation is not one of these.
///
/// # Safety
///
/// The command's addresses must hold what its operation reads and writes.
pub unsafe fn run(c: &Command, chunks: Chunks) -> bool {
    // SAFETY: the caller's promise, for each of these.
    unsafe {
        match c.op() {
            39 => run_quantize_rows(c, chunks),
            40 => run_matmul(c, chunks, matmul_q8),
            41 => run_matmul(c, chunks, matmul_q4),
            42 => run_embedding::<Q8Group>(c, chunks),
            43 => run_embedding::<Q4Group>(c, chunks),
            44 => run_matmul_panels(c, chunks, matmul_q8, panel_q8),
            45 => run_matmul_panels(c, chunks, matmul_q4, panel_q4),
            46 => run_gated_matmul(c, chunks, rows_q8),
            47 => run_gated_matmul(c, chunks, rows_q4),
            48 => run_matmul_rows(c, chunks, matmul_q8),
            49 => run_matmul_rows(c, chunks, matmul_q4),
            _ => return false,
        }
    }
    true
}

/// Addresses of the weights of a product of one row, whose chunks follow each
/// other, and bytes of a chunk. Any words will do.
#[cfg(any(target_feature = "atomics", not(target_arch = "wasm32")))]
pub fn streamed(c: &Command) -> Option<(Range<usize>, usize)> {
    let k = c.size(4);
    let tile = match c.op() {
        3 => k.saturating_mul(size_of::<[f32; TILE]>()),
        40 => (k / GROUP).saturating_mul(size_of::<Q8Group>()),
        41 => (k / GROUP).saturating_mul(size_of::<Q4Group>()),
        _ => return None,
    };
    let bytes = c.size(5).div_ceil(TILE).saturating_mul(tile);
    let weights = c.size(1)..c.size(1).saturating_add(bytes);
    (c.size(3) == 1).then_some((weights, c.size(7).saturating_mul(tile)))
}

/// Arguments: x, out, rows, K. Units: blocks of rows.
#[inline(never)]
unsafe fn run_quantize_rows(c: &Command, chunks: Chunks) {
    let (rows, k) = (c.size(2), c.size(3));
    let groups = k / GROUP;
    for block in c.units(chunks) {
        let first = block * BLOCK_ROWS;
        let count = BLOCK_ROWS.min(rows - first);
        let start = block * groups * BLOCK_QUADS;
        // SAFETY: the caller's promise.
        unsafe {
            let x = c.slice(0, first * k, count * k);
            if count == 1 {
                quantize_row(x, c.slice_mut(1, start, groups * ROW_QUADS));
            } else {
                quantize_block(x, k, c.slice_mut(1, start, groups * BLOCK_QUADS));
            }
        }
    }
}

/// Arguments: x, w, out, rows, K, F, rows of a block, tiles of a group.
/// Units: blocks of rows, for each group of tiles.
#[inline(never)]
unsafe fn run_matmul<W>(
    c: &Command,
    chunks: Chunks,
    matmul: fn(Activations, usize, &[W], &mut RowsMut),
) {
    let (rows, groups, outputs) = (c.size(3), c.size(4) / GROUP, c.size(5));
    let (block, group) = (c.size(6), c.size(7) * TILE);
    let (blocks, units) = (rows.div_ceil(block), c.units(chunks));
    // A block alone meets its groups of tiles, which follow each other, as one.
    let together = if blocks == 1 { units.len() } else { 1 };
    for unit in units.step_by(together) {
        let first = unit % blocks * block;
        let rows = block.min(rows - first);
        let column = unit / blocks * group;
        let width = (together * group).min(outputs - column);
        // SAFETY: the caller's promise.
        unsafe {
            let x = activations(c, first, rows, groups);
            let tiles = c.slice(1, column / TILE * groups, width.div_ceil(TILE) * groups);
            let mut out = c.rows_mut(2, first * outputs + column, rows, outputs, width);
            matmul(x, groups, tiles, &mut out);
        }
    }
}

/// Argument 0 from row `first` on, where a block begins.
unsafe fn activations(c: &Command, first: usize, rows: usize, groups: usize) -> Activations<'_> {
    let (full, is_alone) = blocks_of(rows);
    let start = first / BLOCK_ROWS * groups * BLOCK_QUADS;
    let quads = full * groups * BLOCK_QUADS;
    // SAFETY: the caller's promise.
    unsafe {
        Activations {
            blocks: c.slice(0, start, quads),
            alone: c.slice(0, start + quads, usize::from(is_alone) * groups * ROW_QUADS),
        }
    }
}

/// Arguments: x, w in panels, out, room for a tile, rows, K, F, rows of a
/// block, tiles of a part, of which a panel has a whole number. Units: blocks of
/// rows, for each part.
#[inline(never)]
unsafe fn run_matmul_panels<W: WeightGroup>(
    c: &Command,
    chunks: Chunks,
    matmul: fn(Activations, usize, &[W], &mut RowsMut),
    multiply_row: fn(&[Quad], PanelPart, &mut [f32]),
) {
    let (rows, groups, outputs) = (c.size(4), c.size(5) / GROUP, c.size(6));
    let (block, part) = (c.size(7), c.size(8));
    let blocks = rows.div_ceil(block);
    for unit in c.units(chunks) {
        let row = unit % blocks * block;
        let rows = block.min(rows - row);
        let tile = unit / blocks * part;
        let column = tile * TILE;
        let width = outputs.min(column + part * TILE) - column;
        let panel = tile / PANEL_TILES * PANEL_TILES;
        let (first, tiles) = (tile - panel, PANEL_TILES.min(outputs.div_ceil(TILE) - panel));
        // SAFETY: the caller's promise.
        unsafe {
            let x = activations(c, row, rows, groups);
            let quads = W::as_quads(c.slice(1, panel * groups, tiles * groups));
            let mut out = c.rows_mut(2, row * outputs + column, rows, outputs, width);
            if rows == 1 {
                multiply_row(x.alone, PanelPart { quads, tiles, first }, out.row(0));
                continue;
            }
            let room = c.slice_mut(3, 0, groups);
            for (tile, column) in (first..).zip((0..width).step_by(TILE)) {
                gather_tile::<W>(quads, tiles, tile, room);
                let mut out = out.columns(column, TILE.min(width - column));
                matmul(x, groups, room, &mut out);
            }
        }
    }
}

/// Arguments: x, w in rows, out, room for a tile, rows, K, F, rows of a block.
/// Units: blocks of rows, for each tile.
#[inline(never)]
unsafe fn run_matmul_rows<W: WeightGroup>(
    c: &Command,
    chunks: Chunks,
    matmul: fn(Activations, usize, &[W], &mut RowsMut),
) {
    let (rows, groups, outputs) = (c.size(4), c.size(5) / GROUP, c.size(6));
    let block = c.size(7);
    let (blocks, lanes) = (rows.div_ceil(block), groups.div_ceil(TILE));
    for unit in c.units(chunks) {
        let first = unit % blocks * block;
        let rows = block.min(rows - first);
        let column = unit / blocks * TILE;
        let width = TILE.min(outputs - column);
        // SAFETY: the caller's promise.
        unsafe {
            let room = c.slice_mut(3, 0, lanes * TILE);
            gather_rows_tile::<W>(c.slice(1, column * lanes, width * lanes), lanes, room);
            let mut out = c.rows_mut(2, first * outputs + column, rows, outputs, width);
            matmul(activations(c, first, rows, groups), groups, &room[..groups], &mut out);
        }
    }
}

/// Arguments: x of one row, w in rows, gate, out, room for x, K. Units: outputs.
#[inline(never)]
unsafe fn run_gated_matmul<W>(c: &Command, chunks: Chunks, multiply: MultiplyRows<W>) {
    let (units, groups) = (c.units(chunks), c.size(5) / GROUP);
    let blocks = groups.div_ceil(TILE);
    // SAFETY: the caller's promise.
    unsafe {
        let x = c.slice_mut(4, 0, 2 * blocks);
        groups_as_lanes(c.slice(0, 0, groups), x);
        let rows = c.slice(1, units.start * blocks, units.len() * blocks);
        let gate = c.slice(2, units.start, units.len());
        let out = c.slice_mut(3, units.start, units.len());
        gated_matmul(x, blocks, rows, gate, multiply, out);
    }
}

/// Arguments: table, its rows, ids, out, width, factor. Units: ids.
#[inline(never)]
unsafe fn run_embedding<W: WeightGroup>(c: &Command, chunks: Chunks) {
    let (units, width) = (c.units(chunks), c.size(4));
    let groups = width / GROUP;
    // SAFETY: the caller's promise.
    unsafe {
        let table = c.slice::<W>(0, 0, c.size(1).div_ceil(TILE) * groups);
        let ids = c.slice(2, units.start, units.len());
        let out = c.slice_mut(3, units.start * width, units.len() * width);
        embedding_quantized(table, ids, groups, c.number(5), out);
    }
}
