//! What the module offers: the queue, and what bounds its speed.

use crate::command::Command;
use crate::{
    dispatch_elements, dispatch_media, dispatch_media_quantized, dispatch_pack, dispatch_quantized,
    dispatch_text, dispatch_tokens,
};
use core::slice::from_raw_parts;

/// The next chunk to run.
#[repr(C)]
pub struct Cursor {
    command: u32,
    chunk: u32,
}

/// Runs chunks from the cursor on until their cost exceeds `budget`. Returns 1
/// when the queue is done, else 0 with the cursor moved.
///
/// # Safety
///
/// `commands` must be `count` commands with valid addresses, and nothing else
/// may use the memory they write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn execute(
    commands: *const Command,
    count: u32,
    cursor: *mut Cursor,
    budget: u32,
) -> u32 {
    // SAFETY: the caller's promise.
    let (commands, cursor) = unsafe { (from_raw_parts(commands, count as usize), &mut *cursor) };
    let mut spent = 0;
    while let Some(command) = commands.get(cursor.command as usize) {
        let chunks = command.chunks();
        while cursor.chunk < chunks {
            if spent > budget {
                return 0;
            }
            // SAFETY: the caller's promise.
            unsafe { run(command, cursor.chunk) };
            spent = command.chunk_cost().saturating_add(spent);
            cursor.chunk += 1;
        }
        cursor.chunk = 0;
        cursor.command += 1;
    }
    1
}

/// Runs a chunk.
///
/// # Safety
///
/// The command's addresses must be valid, and the chunk run by nobody else.
pub(crate) unsafe fn run(command: &Command, chunk: u32) {
    // SAFETY: the caller's promise.
    let known = unsafe {
        dispatch_text::run(command, chunk)
            || dispatch_elements::run(command, chunk)
            || dispatch_media::run(command, chunk)
            || dispatch_quantized::run(command, chunk)
            || dispatch_media_quantized::run(command, chunk)
            || dispatch_pack::run(command, chunk)
            || dispatch_tokens::run(command, chunk)
    };
    assert!(known, "an operation this module has not");
}

/// Reads `count` f32 at `from`; see [`crate::bounds`].
///
/// # Safety
///
/// They must be valid and aligned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bound_read(from: *const f32, count: usize) -> f32 {
    // SAFETY: the caller's promise.
    crate::bounds::read_all(unsafe { from_raw_parts(from, count) })
}

/// Does `48 * rounds` multiply-adds; see [`crate::bounds`].
#[unsafe(no_mangle)]
pub extern "C" fn bound_multiply_add(rounds: usize, factor: f32) -> f32 {
    crate::bounds::multiply_adds(rounds, factor)
}
