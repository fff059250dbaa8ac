//! Runs chunks of the operations over pictures and sound: arguments to slices
//! to kernels.

use crate::attention::GROUP;
use crate::avg_pool2d::avg_pool2d;
use crate::command::{Chunks, Command};
use crate::conv2d::conv2d;
use crate::cumulative_group_norm::{cumulative_group_norm, row_statistics, running_statistics};
use crate::depthwise_conv2d::depthwise_conv2d;
use crate::kv_store::Store;
use crate::picture::Windows;
use crate::relative_attention::{Clip, relative_attention};
use crate::resize::{Resize, resize_bilinear, resize_nearest};
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
            29 => chunks.each().for_each(|chunk| run_conv2d(c, chunk)),
            30 => run_depthwise_conv2d(c, chunks),
            31 => run_avg_pool2d(c, chunks),
            32 => run_resize(c, chunks, resize_nearest),
            33 => run_resize(c, chunks, resize_bilinear),
            34 => run_multi_query_attention(c, chunks),
            35 => run_row_statistics(c, chunks),
            36 => run_running_statistics(c),
            37 => run_cumulative_group_norm(c, chunks),
            38 => run_relative_attention(c, chunks),
            _ => return false,
        }
    }
    true
}

/// Arguments from 4 on: size, kernel, stride, padding (two each), columns of
/// the result, channels: elements of a place.
///
/// # Safety
///
/// The command must have them.
pub unsafe fn windows<T>(c: &Command) -> Windows<'_, T> {
    let (size, channels) = (c.sizes(4), c.size(13));
    Windows {
        // SAFETY: the caller's promise.
        x: unsafe { c.slice(0, 0, size[0] * size[1] * channels) },
        size,
        channels,
        kernel: c.sizes(6),
        stride: c.sizes(8),
        padding: c.sizes(10),
        columns: c.size(12),
    }
}

/// Arguments: x, w, out, room for the windows of a chunk, windows, outputs. Units:
/// places of one chunk.
#[inline(never)]
unsafe fn run_conv2d(c: &Command, chunks: Chunks) {
    let (units, outputs) = (c.units(chunks), c.size(14));
    // SAFETY: the caller's promise.
    unsafe {
        let windows = windows::<f32>(c);
        let k = windows.kernel[0] * windows.kernel[1] * windows.channels;
        let tiles = c.slice(1, 0, outputs.next_multiple_of(TILE) * k);
        let room = c.slice_mut(3, 0, units.len() * k);
        let mut out = c.rows_mut(2, units.start * outputs, units.len(), outputs, outputs);
        conv2d(&windows, tiles, units.start, room, &mut out);
    }
}

/// Arguments: x, w, out, unused, windows. Units: places.
#[inline(never)]
unsafe fn run_depthwise_conv2d(c: &Command, chunks: Chunks) {
    let units = c.units(chunks);
    // SAFETY: the caller's promise.
    unsafe {
        let windows = windows::<f32>(c);
        let channels = windows.channels;
        let w = c.slice(1, 0, windows.kernel[0] * windows.kernel[1] * channels);
        let out = c.slice_mut(2, units.start * channels, units.len() * channels);
        depthwise_conv2d(&windows, w, units.start, out);
    }
}

/// Arguments: x, out, rows, columns, channels, size. Units: places.
#[inline(never)]
unsafe fn run_avg_pool2d(c: &Command, chunks: Chunks) {
    let (units, [rows, columns], channels) = (c.units(chunks), c.sizes(2), c.size(4));
    // SAFETY: the caller's promise.
    unsafe {
        let x = c.slice(0, 0, rows * columns * channels);
        let out = c.slice_mut(1, units.start * channels, units.len() * channels);
        avg_pool2d(x, columns, channels, c.sizes(5), units.start, out);
    }
}

/// Arguments: x, out, size, new size, channels. Units: places.
#[inline(never)]
unsafe fn run_resize(c: &Command, chunks: Chunks, resize: fn(&Resize, usize, &mut [f32])) {
    let (units, from, to, channels) = (c.units(chunks), c.sizes(2), c.sizes(4), c.size(6));
    // SAFETY: the caller's promise.
    unsafe {
        let x = c.slice(0, 0, from[0] * from[1] * channels);
        let out = c.slice_mut(1, units.start * channels, units.len() * channels);
        resize(&Resize { x, from, to, channels }, units.start, out);
    }
}

/// Arguments: q, k in tiles, v, out, room for a group of heads, heads, width,
/// keys, scale. Units: rows.
#[inline(never)]
unsafe fn run_multi_query_attention(c: &Command, chunks: Chunks) {
    let (units, [heads, width], keys) = (c.units(chunks), c.sizes(5), c.size(7));
    let (row, capacity) = (heads * width, keys.next_multiple_of(TILE));
    // SAFETY: the caller's promise.
    unsafe {
        let (k, v) = (c.slice::<f32>(1, 0, capacity * width), c.slice(2, 0, keys * width));
        let store = Store { k, v, scales: [&[]; 2], heads: 1, capacity, width };
        let q = c.slice(0, units.start * row, units.len() * row);
        let out = c.slice_mut(3, units.start * row, units.len() * row);
        let room = c.slice_mut(4, 0, GROUP * width);
        let all = store.head(0, c.number(8));
        for (q, out) in q.chunks_exact(row).zip(out.chunks_exact_mut(row)) {
            all.attend(q, 0..keys, room, out);
        }
    }
}

/// Arguments: x, statistics, size of a row. Units: rows.
#[inline(never)]
unsafe fn run_row_statistics(c: &Command, chunks: Chunks) {
    let (units, size) = (c.units(chunks), c.size(2));
    // SAFETY: the caller's promise.
    unsafe {
        let x = c.slice(0, units.start * size, units.len() * size);
        row_statistics(x, size, c.slice_mut(1, units.start, units.len()));
    }
}

/// Arguments: statistics, rows, size of a row, eps. One unit.
#[inline(never)]
unsafe fn run_running_statistics(c: &Command) {
    // SAFETY: the caller's promise.
    let statistics = unsafe { c.slice_mut(0, 0, c.size(1)) };
    running_statistics(statistics, c.size(2), c.number(3));
}

/// Arguments: x, weight, statistics, out, size of a row, channels. Units: rows.
#[inline(never)]
unsafe fn run_cumulative_group_norm(c: &Command, chunks: Chunks) {
    let (units, size) = (c.units(chunks), c.size(4));
    let (first, len) = (units.start * size, units.len() * size);
    // SAFETY: the caller's promise.
    unsafe {
        let weight = c.slice(1, 0, c.size(5));
        let statistics = c.slice(2, units.start, units.len());
        let out = c.slice_mut(3, first, len);
        cumulative_group_norm(c.slice(0, first, len), weight, size, statistics, out);
    }
}

/// Arguments: q, k, v, positions, valid, out, room for scores, rows, heads, width, past, future, softcap. Units: rows.
#[inline(never)]
unsafe fn run_relative_attention(c: &Command, chunks: Chunks) {
    let (units, rows, [heads, width], [past, future]) =
        (c.units(chunks), c.size(7), c.sizes(8), c.sizes(10));
    let (row, span) = (heads * width, past + future + 1);
    // SAFETY: the caller's promise.
    unsafe {
        let clip = Clip {
            q: c.slice(0, 0, rows * row),
            k: c.slice(1, 0, rows * row),
            v: c.slice(2, 0, rows * row),
            positions: c.slice(3, 0, span * row),
            valid: c.slice(4, 0, rows),
            heads,
            width,
            past,
            future,
            softcap: c.number(12),
        };
        let scores = c.slice_mut(6, 0, span);
        let out = c.slice_mut(5, units.start * row, units.len() * row);
        relative_attention(&clip, units.start, scores, out);
    }
}
