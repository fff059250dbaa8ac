//! Runs chunks of the operations that choose tokens: arguments to slices to
//! kernels.

use crate::argmax::{argmax, largest};
use crate::command::{Chunks, Command};

/// Runs chunks; false when the operation is not one of these.
///
/// # Safety
///
/// The command's addresses must hold what its operation reads and writes.
pub unsafe fn run(c: &Command, chunks: Chunks) -> bool {
    // SAFETY: the caller's promise, for each of these.
    unsafe {
        match c.op() {
            70 => run_largest(c, chunks),
            71 => run_argmax(c, chunks),
            _ => return false,
        }
    }
    true
}

/// Arguments: x, maxima of its parts, width of x, elements of a part. Units are
/// the parts of all rows.
#[inline(never)]
unsafe fn run_largest(c: &Command, chunks: Chunks) {
    let [width, part] = c.sizes(2);
    let parts = width.div_ceil(part);
    let units = c.units(chunks);
    // SAFETY: the caller's promise.
    let maxima = unsafe { c.slice_mut(1, units.start, units.len()) };
    for (unit, most) in units.zip(maxima) {
        let (row, first) = (unit / parts, unit % parts * part);
        // SAFETY: the caller's promise.
        *most = largest(unsafe { c.slice(0, row * width + first, part.min(width - first)) });
    }
}

/// Arguments: x, maxima of its parts, out, width of x, elements of a part.
#[inline(never)]
unsafe fn run_argmax(c: &Command, chunks: Chunks) {
    let [width, part] = c.sizes(3);
    let parts = width.div_ceil(part);
    let units = c.units(chunks);
    // SAFETY: the caller's promise.
    let ids = unsafe { c.slice_mut(2, units.start, units.len()) };
    for (row, id) in units.zip(ids) {
        // SAFETY: the caller's promise.
        unsafe {
            let x = c.slice(0, row * width, width);
            *id = argmax(x, c.slice(1, row * parts, parts), part);
        }
    }
}
