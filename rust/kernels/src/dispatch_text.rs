//! Runs chunks of the operations that move data, of linear maps, norms and the
//! decoder: arguments to slices to kernels.

use crate::altup::{Streams, add_to_streams, altup_correct, altup_predict, mean_streams};
use crate::append_kv::{Ring, append_keys, append_values};
use crate::attention::GROUP;
use crate::attention_rows::{ROWS, attention_rows, room_size};
use crate::command::{Chunks, Command};
use crate::copy_columns::copy_columns;
use crate::embedding::embedding;
use crate::gather_rows::gather_rows;
use crate::gaussian_top_k::gaussian_top_k;
use crate::half::{Element, Half, has_no_half};
use crate::kv_store::Store;
use crate::match_magnitude::match_magnitude;
use crate::matmul::matmul;
use crate::rms_norm::rms_norm;
use crate::rope::rope;
use crate::tile::TILE;

/// Runs chunks; false when the operation is not one of these.
///
/// # Safety
///
/// The command's addresses must hold what its operation reads and writes.
pub unsafe fn run(c: &Command, chunks: Chunks) -> bool {
    // SAFETY: the caller's promise, for each of these.
    unsafe {
        match c.op() {
            0 => run_copy_columns(c, chunks),
            1 => run_gather_rows(c, chunks),
            2 => run_embedding(c, chunks),
            3 => run_matmul(c, chunks),
            19 => run_rms_norm(c, chunks),
            20 => run_gaussian_top_k(c, chunks),
            21 => run_match_magnitude(c, chunks),
            22 => run_rope(c, chunks),
            23 => run_append_kv(c),
            24 => run_attention(c, chunks),
            25 => run_altup_predict(c, chunks),
            26 => run_altup_correct(c, chunks),
            27 => run_add_to_streams(c, chunks),
            28 => run_mean_streams(c, chunks),
            _ => return false,
        }
    }
    true
}

/// Arguments: x, its stride, out, its stride, width. Units: rows.
#[inline(never)]
unsafe fn run_copy_columns(c: &Command, chunks: Chunks) {
    let (units, stride, width) = (c.units(chunks), c.size(1), c.size(4));
    // SAFETY: the caller's promise.
    unsafe {
        let x = c.slice(0, units.start * stride, (units.len() - 1) * stride + width);
        let out_stride = c.size(3);
        let mut out = c.rows_mut(2, units.start * out_stride, units.len(), out_stride, width);
        copy_columns(x, stride, &mut out);
    }
}

/// Arguments: source, its rows, pairs, out, width. Units: pairs, in order of
/// their targets.
#[inline(never)]
unsafe fn run_gather_rows(c: &Command, chunks: Chunks) {
    let (units, width) = (c.units(chunks), c.size(4));
    // SAFETY: the caller's promise.
    unsafe {
        let pairs: &[[u32; 2]] = c.slice(2, units.start, units.len());
        let (first, last) = (pairs[0][0] as usize, pairs[pairs.len() - 1][0] as usize);
        let source = c.slice(0, 0, c.size(1) * width);
        let out = c.slice_mut(3, first * width, (last + 1 - first) * width);
        gather_rows(source, pairs, width, first, out);
    }
}

/// Arguments: table, its rows, ids, out, width, scale. Units: ids.
#[inline(never)]
unsafe fn run_embedding(c: &Command, chunks: Chunks) {
    let (units, width) = (c.units(chunks), c.size(4));
    // SAFETY: the caller's promise.
    unsafe {
        let table = c.slice(0, 0, c.size(1).next_multiple_of(TILE) * width);
        let ids = c.slice(2, units.start, units.len());
        let out = c.slice_mut(3, units.start * width, units.len() * width);
        embedding(table, ids, width, c.number(5), out);
    }
}

/// Arguments: x, w, out, rows, K, F, rows of a block, tiles of a group.
/// Units: blocks of rows, for each group of tiles.
#[inline(never)]
unsafe fn run_matmul(c: &Command, chunks: Chunks) {
    let (rows, k, outputs) = (c.size(3), c.size(4), c.size(5));
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
            let x = c.slice(0, first * k, rows * k);
            let tiles = c.slice(1, column * k, width.next_multiple_of(TILE) * k);
            let mut out = c.rows_mut(2, first * outputs + column, rows, outputs, width);
            matmul(x, k, tiles, &mut out);
        }
    }
}

/// Arguments: x, weight or 0, out, width, eps. Units: rows.
#[inline(never)]
unsafe fn run_rms_norm(c: &Command, chunks: Chunks) {
    let (units, width) = (c.units(chunks), c.size(3));
    let (first, len) = (units.start * width, units.len() * width);
    // SAFETY: the caller's promise.
    unsafe {
        let weight = c.slice(1, 0, if c.size(1) == 0 { 0 } else { width });
        let out = c.slice_mut(2, first, len);
        rms_norm(c.slice(0, first, len), weight, width, c.number(4), out);
    }
}

/// Arguments: x, out, width, multiplier. Units: rows.
#[inline(never)]
unsafe fn run_gaussian_top_k(c: &Command, chunks: Chunks) {
    let (units, width) = (c.units(chunks), c.size(2));
    let (first, len) = (units.start * width, units.len() * width);
    // SAFETY: the caller's promise.
    unsafe {
        let out = c.slice_mut(1, first, len);
        gaussian_top_k(c.slice(0, first, len), width, c.number(3), out);
    }
}

/// Arguments: x, target, out, width, eps. Units: rows.
#[inline(never)]
unsafe fn run_match_magnitude(c: &Command, chunks: Chunks) {
    let (units, width) = (c.units(chunks), c.size(3));
    let (first, len) = (units.start * width, units.len() * width);
    // SAFETY: the caller's promise.
    unsafe {
        let (x, target) = (c.slice(0, first, len), c.slice(1, first, len));
        match_magnitude(x, target, width, c.number(4), c.slice_mut(2, first, len));
    }
}

/// Arguments: x, cos, sin, out, heads, width. Units: rows.
#[inline(never)]
unsafe fn run_rope(c: &Command, chunks: Chunks) {
    let (units, [heads, width]) = (c.units(chunks), c.sizes(4));
    let (half, row) = (width / 2, heads * width);
    // SAFETY: the caller's promise.
    unsafe {
        let x = c.slice(0, units.start * row, units.len() * row);
        let cos = c.slice(1, units.start * half, units.len() * half);
        let sin = c.slice(2, units.start * half, units.len() * half);
        let out = c.slice_mut(3, units.start * row, units.len() * row);
        rope(x, cos, sin, heads, width, out);
    }
}

/// How stores keep their elements: a number of a command.
const FLOATS: usize = 0;
const HALVES: usize = 1;

/// Arguments: rows, ring, number of rows, heads, width, position, capacity,
/// whether they are keys, how they are kept, for halves the poison. One unit.
#[inline(never)]
unsafe fn run_append_kv(c: &Command) {
    let [heads, width] = c.sizes(3);
    // SAFETY: the caller's promise.
    unsafe {
        let rows = c.slice(0, 0, c.size(2) * heads * width);
        match c.size(8) {
            FLOATS => return append::<f32>(c, rows, [heads, width]),
            HALVES => {}
            _ => return append::<i8>(c, rows, [heads, width]),
        }
        let poison = &mut c.slice_mut::<f32>(9, 0, 1)[0];
        // A sequence begins with its keys.
        if c.size(5) == 0 && c.size(7) == 1 {
            *poison = 0.0;
        }
        if has_no_half(rows) {
            *poison = f32::NAN;
        }
        append::<Half>(c, rows, [heads, width]);
    }
}

unsafe fn append<E: Element>(c: &Command, rows: &[f32], [heads, width]: [usize; 2]) {
    let append = if c.size(7) == 1 { append_keys } else { append_values };
    let places = c.size(6) * heads;
    // SAFETY: the caller's promise.
    let ring = unsafe {
        let elements = c.slice_mut::<E>(1, 0, places * width);
        Ring {
            elements,
            scales: c.slice_mut(1, scales_at::<E>(places, width), scales::<E>(places)),
        }
    };
    append(rows, heads, width, c.size(5), ring);
}

/// Scales of so many places.
fn scales<E: Element>(places: usize) -> usize {
    if E::SCALED { places } else { 0 }
}

/// Where they begin, in f32s: behind the elements, of whole tiles.
fn scales_at<E: Element>(places: usize, width: usize) -> usize {
    size_of::<E>() * places * width / size_of::<f32>()
}

/// Arguments: q, k, v, out, room for a group of heads, heads, width, KV heads,
/// capacity, position of row 0, window or 0, scale, rows, how keys and values
/// are kept, for halves the poison: what is no half is NaN in every result.
/// Units: blocks of [`ROWS`] rows, for each KV head.
#[inline(never)]
unsafe fn run_attention(c: &Command, chunks: Chunks) {
    // SAFETY: the caller's promise.
    unsafe {
        match c.size(13) {
            FLOATS => attend::<f32>(c, chunks, false),
            HALVES => attend::<Half>(c, chunks, c.slice::<f32>(14, 0, 1)[0].is_nan()),
            _ => attend::<i8>(c, chunks, false),
        }
    }
}

unsafe fn attend<E: Element>(c: &Command, chunks: Chunks, is_poisoned: bool) {
    let (units, [heads, width], [kv_heads, capacity]) = (c.units(chunks), c.sizes(5), c.sizes(7));
    let (position, window) = (c.size(9), c.size(10));
    let sharing = heads / kv_heads;
    let size = sharing * width;
    let seen = |row: usize| {
        let end = position + row + 1;
        let start = if window == 0 { 0 } else { end.saturating_sub(window) };
        start..end
    };
    let (rows, stride) = (c.size(12), heads * width);
    let places = kv_heads * capacity;
    // SAFETY: the caller's promise.
    unsafe {
        let [k, v] = [1, 2].map(|i| c.slice::<E>(i, 0, places * width));
        let at = scales_at::<E>(places, width);
        let scales = [1, 2].map(|i| c.slice(i, at, scales::<E>(places)));
        let store = Store { k, v, scales, heads: kv_heads, capacity, width };
        let room = c.slice_mut(4, 0, if rows == 1 { GROUP * width } else { room_size(width) });
        for unit in units {
            let (first, head) = (unit / kv_heads * ROWS, unit % kv_heads);
            let rows = ROWS.min(rows - first);
            let q = c.slice(0, first * stride, rows * stride);
            let place = [stride, head * size];
            let mut out = c.rows_mut(3, first * stride + place[1], rows, stride, size);
            let keys = store.head(head, c.number(11));
            attention_rows(q, place, &keys, |row| seen(first + row), room, &mut out);
            if is_poisoned {
                (0..rows).for_each(|row| out.row(row).fill(f32::NAN));
            }
        }
    }
}

/// The rows of chunks, where units are the rows of each stream in turn:
/// stream, first row, rows.
fn stream_rows(c: &Command, chunks: Chunks, rows: usize) -> impl Iterator<Item = [usize; 3]> {
    let units = c.units(chunks);
    let mut next = units.start;
    core::iter::from_fn(move || {
        let first = next;
        next = units.end.min((first / rows + 1) * rows);
        (first < units.end).then(|| [first / rows, first % rows, next - first])
    })
}

/// Arguments: x, coefs, out, streams, T, width. Units: rows of each stream.
#[inline(never)]
unsafe fn run_altup_predict(c: &Command, chunks: Chunks) {
    let (streams, [rows, width]) = (c.size(3), c.sizes(4));
    let stride = rows * width;
    for [stream, first, count] in stream_rows(c, chunks, rows) {
        // SAFETY: the caller's promise.
        unsafe {
            let x = Streams { x: c.slice(0, 0, streams * stride), stride, width };
            let coefs = c.slice(1, 0, rows * streams * streams);
            let out = c.slice_mut(2, stream * stride + first * width, count * width);
            altup_predict(x, coefs, stream, first, out);
        }
    }
}

/// Arguments: predicted, activated, coefs, out, streams, T, width, active.
/// Units: rows of each stream.
#[inline(never)]
unsafe fn run_altup_correct(c: &Command, chunks: Chunks) {
    let (streams, [rows, width]) = (c.size(4), c.sizes(5));
    let stride = rows * width;
    for [stream, first, count] in stream_rows(c, chunks, rows) {
        // SAFETY: the caller's promise.
        unsafe {
            let predicted = Streams { x: c.slice(0, 0, streams * stride), stride, width };
            let (activated, coefs) = (c.slice(1, 0, stride), c.slice(2, 0, rows * streams));
            let out = c.slice_mut(3, stream * stride + first * width, count * width);
            altup_correct(predicted, activated, coefs, [stream, c.size(7)], first, out);
        }
    }
}

/// Arguments: x, y, out, elements of x, elements of y. Units: elements of x.
#[inline(never)]
unsafe fn run_add_to_streams(c: &Command, chunks: Chunks) {
    let units = c.units(chunks);
    // SAFETY: the caller's promise.
    unsafe {
        let (x, y) = (c.slice(0, 0, c.size(3)), c.slice(1, 0, c.size(4)));
        let out = c.slice_mut(2, units.start, units.len());
        add_to_streams(x, y, units.start, out);
    }
}

/// Arguments: x, out, elements of x, streams. Units: elements of the result.
#[inline(never)]
unsafe fn run_mean_streams(c: &Command, chunks: Chunks) {
    let units = c.units(chunks);
    // SAFETY: the caller's promise.
    unsafe {
        let out = c.slice_mut(1, units.start, units.len());
        mean_streams(c.slice(0, 0, c.size(2)), c.size(3), units.start, out);
    }
}
