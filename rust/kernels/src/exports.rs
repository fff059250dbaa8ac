//! What the module offers: the queue, and what bounds its speed.

use crate::command::{Chunks, Command};
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
        let (count, cost) = (command.chunks(), command.chunk_cost().max(1));
        while cursor.chunk < count {
            if spent > budget {
                return 0;
            }
            let first = cursor.chunk;
            let affordable = ((budget - spent) / cost).saturating_add(1);
            let end = count.min(first.saturating_add(affordable));
            // SAFETY: the caller's promise.
            unsafe { run(command, Chunks { first, end }) };
            spent = cost.saturating_mul(end - first).saturating_add(spent);
            cursor.chunk = end;
        }
        cursor.chunk = 0;
        cursor.command += 1;
    }
    1
}

/// Runs chunks.
///
/// # Safety
///
/// The command's addresses must be valid, and the chunks run by nobody else.
pub(crate) unsafe fn run(command: &Command, chunks: Chunks) {
    // SAFETY: the caller's promise.
    let known = unsafe {
        dispatch_text::run(command, chunks)
            || dispatch_elements::run(command, chunks)
            || dispatch_media::run(command, chunks)
            || dispatch_quantized::run(command, chunks)
            || dispatch_media_quantized::run(command, chunks)
            || dispatch_pack::run(command, chunks)
            || dispatch_tokens::run(command, chunks)
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
