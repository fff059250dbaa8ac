//! Packs weights into place.

use crate::command::{Chunks, Command};
use crate::packing::{Packing, Stored, Target};
use crate::panel::Layout;
use core::sync::atomic::{AtomicU32, Ordering};

/// Runs chunks; false when the operation is not this one.
///
/// # Safety
///
/// The command's addresses must hold what its operation reads and writes.
pub unsafe fn run(c: &Command, chunks: Chunks) -> bool {
    if c.op() != 65 {
        return false;
    }
    // SAFETY: the caller's promise.
    unsafe { run_pack_weights(c, chunks) };
    true
}

/// Arguments: bytes, weight, word for what goes wrong, room, how they are
/// stored, target, first element, elements, elements of an output, places of a
/// filter, size of the weight, elements of the room. Units: tiles.
#[inline(never)]
unsafe fn run_pack_weights(c: &Command, chunks: Chunks) {
    let stored = match c.size(4) {
        0 => Stored::F32,
        1 => Stored::F16,
        2 => Stored::Bf16,
        _ => Stored::Blocks,
    };
    let target = match c.size(5) {
        0 => Target::Vector,
        1 => Target::Tiles,
        2 => Target::Filters,
        3 => Target::Q8(Layout::Tiles),
        4 => Target::Q8(Layout::Panels),
        5 => Target::Q8(Layout::Rows),
        6 => Target::Q4(Layout::Tiles),
        7 => Target::Q4(Layout::Panels),
        _ => Target::Q4(Layout::Rows),
    };
    let packing = Packing {
        from: c.size(0) as *const u8,
        stored,
        first: c.size(6),
        count: c.size(7),
        k: c.size(8),
        taps: c.size(9),
        target,
        to: c.size(1) as *mut u8,
        size: c.size(10),
    };
    // SAFETY: the caller's promise.
    let good = unsafe {
        let room = c.slice_mut::<f32>(3, 0, c.size(11));
        packing.run(c.units(chunks), room)
    };
    if !good {
        // SAFETY: the caller's promise; workers write the same value.
        let bad = unsafe { AtomicU32::from_ptr(c.size(2) as *mut u32) };
        bad.store(1, Ordering::Relaxed);
    }
}
