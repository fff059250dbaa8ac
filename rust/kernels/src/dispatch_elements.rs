//! Runs chunks of the elementwise operations: arguments to slices to kernels.

use crate::command::{Chunks, Command};
use crate::elementwise::{glu, map, scale_rows, zip, zip_vector};
use crate::math::{gelu, silu, tanh};
use crate::simd::F32x4;

/// Runs chunks; false when the operation is not one of these.
///
/// # Safety
///
/// The command's addresses must hold what its operation reads and writes.
pub unsafe fn run(c: &Command, chunks: Chunks) -> bool {
    // SAFETY: the caller's promise, for each of these.
    unsafe {
        match c.op() {
            4 => zip_elements(c, chunks, |a, b, _| a + b),
            5 => zip_elements(c, chunks, |a, b, _| a * b),
            6 => map_elements(c, chunks, |x, factor| x * factor),
            7 => zip_elements(c, chunks, |a, b, factor| (a + b) * factor),
            8 => zip_rows(c, chunks, |x, w| x * w),
            9 => zip_rows(c, chunks, |x, w| x + w),
            10 => run_scale_rows(c, chunks),
            11 => map_elements(c, chunks, |x, _| gelu(x)),
            12 => zip_elements(c, chunks, |gate, up, _| gelu(gate) * up),
            13 => map_elements(c, chunks, |x, _| x.max(F32x4::zero())),
            14 => map_elements(c, chunks, |x, _| silu(x)),
            15 => run_glu(c, chunks),
            16 => map_elements(c, chunks, |x, _| tanh(x)),
            17 => map_elements(c, chunks, |x, cap| tanh(x / cap) * cap),
            18 => map_elements(c, chunks, |x, limit| x.max(F32x4::zero() - limit).min(limit)),
            _ => return false,
        }
    }
    true
}

/// Arguments: x, out, parameter.
#[inline(never)]
unsafe fn map_elements(c: &Command, chunks: Chunks, f: impl Fn(F32x4, F32x4) -> F32x4) {
    let units = c.units(chunks);
    let parameter = F32x4::splat(c.number(2));
    // SAFETY: the caller's promise.
    unsafe {
        let x = c.slice(0, units.start, units.len());
        let out = c.slice_mut(1, units.start, units.len());
        map(x, out, |x| f(x, parameter));
    }
}

/// Arguments: a, b, out, parameter.
#[inline(never)]
unsafe fn zip_elements(c: &Command, chunks: Chunks, f: impl Fn(F32x4, F32x4, F32x4) -> F32x4) {
    let units = c.units(chunks);
    let parameter = F32x4::splat(c.number(3));
    // SAFETY: the caller's promise.
    unsafe {
        let a = c.slice(0, units.start, units.len());
        let b = c.slice(1, units.start, units.len());
        let out = c.slice_mut(2, units.start, units.len());
        zip(a, b, out, |a, b| f(a, b, parameter));
    }
}

/// Arguments: x, w, out, width.
#[inline(never)]
unsafe fn zip_rows(c: &Command, chunks: Chunks, f: impl Fn(F32x4, F32x4) -> F32x4) {
    let (units, width) = (c.units(chunks), c.size(3));
    let (first, len) = (units.start * width, units.len() * width);
    // SAFETY: the caller's promise.
    unsafe {
        let w = c.slice(1, 0, width);
        zip_vector(c.slice(0, first, len), w, c.slice_mut(2, first, len), f);
    }
}

/// Arguments: x, factors, out, width.
#[inline(never)]
unsafe fn run_scale_rows(c: &Command, chunks: Chunks) {
    let (units, width) = (c.units(chunks), c.size(3));
    let (first, len) = (units.start * width, units.len() * width);
    // SAFETY: the caller's promise.
    unsafe {
        let factors = c.slice(1, units.start, units.len());
        scale_rows(c.slice(0, first, len), factors, width, c.slice_mut(2, first, len));
    }
}

/// Arguments: x, out, width of the result.
#[inline(never)]
unsafe fn run_glu(c: &Command, chunks: Chunks) {
    let (units, width) = (c.units(chunks), c.size(2));
    let (first, len) = (units.start * width, units.len() * width);
    // SAFETY: the caller's promise.
    unsafe {
        let x = c.slice(0, 2 * first, 2 * len);
        glu(x, width, c.slice_mut(1, first, len));
    }
}
