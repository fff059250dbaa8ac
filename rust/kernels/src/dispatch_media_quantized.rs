//! Runs chunks of the operations over pictures with quantised weights.

use crate::command::{Chunks, Command};
use crate::conv2d_quantized::conv2d_quantized;
use crate::dispatch_media::windows;
use crate::matmul_quantized::Activations;
use crate::multi_query_attention_quantized::{
    KeysValues, QUERIES, multi_query_attention_quantized, pack_keys_values,
};
use crate::products::{matmul_q4, matmul_q8};
use crate::quantize_rows::quantize_row;
use crate::quantized::{BLOCK_QUADS, BLOCK_ROWS, GROUP, Quad, ROW_QUADS};
use crate::rows::RowsMut;
use crate::tile::TILE;

/// Groups before the keys that [`run_pack_keys_values`] packs.
const KEYS_START: usize = 1;

/// Runs chunks; false when the operation is not one of these.
///
/// # Safety
///
/// The command's addresses must hold what its operation reads and writes.
pub unsafe fn run(c: &Command, chunks: Chunks) -> bool {
    // SAFETY: the caller's promise, for each of these.
    unsafe {
        match c.op() {
            60 => run_quantize_places(c, chunks),
            61 => chunks.each().for_each(|chunk| run_conv2d(c, chunk, matmul_q8)),
            62 => chunks.each().for_each(|chunk| run_conv2d(c, chunk, matmul_q4)),
            63 => run_pack_keys_values(c),
            64 => run_multi_query_attention(c, chunks),
            _ => return false,
        }
    }
    true
}

/// Arguments: x, out, channels. Units: places.
#[inline(never)]
unsafe fn run_quantize_places(c: &Command, chunks: Chunks) {
    let (units, channels) = (c.units(chunks), c.size(2));
    let quads = channels / GROUP * ROW_QUADS;
    // SAFETY: the caller's promise.
    unsafe {
        let x = c.slice(0, units.start * channels, units.len() * channels);
        quantize_row(x, c.slice_mut(1, units.start * quads, units.len() * quads));
    }
}

/// Arguments: x of quantised places, w, out, room of a chunk, windows, outputs,
/// quads of the room. Units: places of one chunk.
#[inline(never)]
unsafe fn run_conv2d<W>(
    c: &Command,
    chunks: Chunks,
    matmul: fn(Activations, usize, &[W], &mut RowsMut),
) {
    let (units, outputs) = (c.units(chunks), c.size(14));
    // SAFETY: the caller's promise.
    unsafe {
        let windows = windows::<Quad>(c);
        let groups = windows.kernel[0] * windows.kernel[1] * windows.channels / ROW_QUADS;
        let tiles = c.slice(1, 0, outputs.div_ceil(TILE) * groups);
        let room = c.slice_mut(3, 0, c.size(15));
        let mut out = c.rows_mut(2, units.start * outputs, units.len(), outputs, outputs);
        conv2d_quantized(&windows, tiles, units.start, room, matmul, &mut out);
    }
}

/// Where `pack_keys_values` leaves its result: what keys and values are
/// multiples of, then both in tiles.
unsafe fn keys_values(c: &Command, i: usize, count: usize, width: usize) -> KeysValues<'_> {
    let (keys, values) = tiles_of(count, width);
    // SAFETY: the caller's promise.
    unsafe {
        KeysValues {
            units: *c.slice::<[f32; 2]>(i, 0, 1).first().expect("one pair"),
            keys: c.slice(i, KEYS_START, keys),
            values: c.slice(i, KEYS_START + keys, values),
            count,
            width,
        }
    }
}

/// Groups of keys and of values in tiles.
fn tiles_of(count: usize, width: usize) -> (usize, usize) {
    let (groups, of_keys) = (width / GROUP, count.div_ceil(GROUP));
    (count.div_ceil(TILE) * groups, width / TILE * of_keys)
}

/// Arguments: k, v, out, room, keys, width. One unit.
#[inline(never)]
unsafe fn run_pack_keys_values(c: &Command) {
    let [count, width] = c.sizes(4);
    let (keys, values) = tiles_of(count, width);
    let room = width * count.next_multiple_of(GROUP);
    // SAFETY: the caller's promise.
    unsafe {
        let numbers = [c.slice(0, 0, count * width), c.slice(1, 0, count * width)];
        c.slice_mut::<[f32; 2]>(2, 0, 1)[0] = pack_keys_values(
            numbers,
            width,
            c.slice_mut(3, 0, room),
            c.slice_mut(2, KEYS_START, keys),
            c.slice_mut(2, KEYS_START + keys, values),
        );
    }
}

/// Arguments: q, packed keys and values, out, room for scores and quads, heads,
/// width, keys, scale. Units: rows.
#[inline(never)]
unsafe fn run_multi_query_attention(c: &Command, chunks: Chunks) {
    let (units, [heads, width], count) = (c.units(chunks), c.sizes(4), c.size(6));
    let row = heads * width;
    let padded = count.next_multiple_of(GROUP);
    let groups = padded.max(width) / GROUP;
    let quads = QUERIES / BLOCK_ROWS * groups * BLOCK_QUADS;
    // SAFETY: the caller's promise.
    unsafe {
        let kv = keys_values(c, 1, count, width);
        let q = c.slice(0, units.start * row, units.len() * row);
        let out = c.slice_mut(2, units.start * row, units.len() * row);
        let scores = c.slice_mut(3, 4 * quads, QUERIES * padded);
        let quads = c.slice_mut(3, 0, quads);
        multi_query_attention_quantized(q, kv, c.number(7), scores, quads, out);
    }
}
