//! What the threaded build offers besides: workers and their schedule.

use crate::command::{Chunks, Command};
use crate::dispatch_quantized::streamed;
use crate::exports::run;
use crate::schedule::{RANGES, Schedule, Work, share};
use crate::simd::F32x4;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};

/// What the host and the workers of a device share; all zero at first.
#[repr(C)]
pub struct Pool {
    schedule: Schedule,
    commands: AtomicUsize,
}

/// How far to look for a command that reads weights.
const COMMANDS_AHEAD: u32 = 16;
/// Weights to read ahead: less than the cache of one processor.
const BYTES_AHEAD: usize = 384 << 10;

/// A worker's view of the step under way.
struct Worker<'a> {
    pool: &'a Pool,
    number: u32,
    /// How many workers there are.
    workers: u32,
}

impl Worker<'_> {
    fn command(&self, index: u32) -> &Command {
        let commands = self.pool.commands.load(Ordering::Relaxed) as *const Command;
        // SAFETY: `start` promises the commands, and there are so many.
        unsafe { &*commands.add(index as usize) }
    }
}

impl Work for Worker<'_> {
    fn chunks(&self, command: u32) -> u32 {
        self.command(command).chunks()
    }

    fn run(&self, command: u32, chunks: Chunks) {
        let command = self.command(command).for_worker(self.number);
        // SAFETY: `start` promises the addresses, and each chunk runs once.
        unsafe { run(&command, chunks) };
    }

    fn ahead(&self, next: u32) -> [Range<usize>; RANGES] {
        let mut ranges = [const { 0..0 }; RANGES];
        let last = self.pool.schedule.count().min(next.saturating_add(COMMANDS_AHEAD));
        let found = (next..last).filter_map(|i| streamed(self.command(i)));
        for (range, (weights, chunk)) in ranges.iter_mut().zip(found) {
            let chunks = weights.len() / chunk.max(1);
            if chunks <= 1 {
                *range = weights;
                continue;
            }
            // Who publishes a command takes the first share at once, others the next.
            let place = 1 + self.number % (self.workers - 1).max(1);
            let share = share(chunks as u32, self.workers);
            let first = chunk.saturating_mul((share * place) as usize);
            let start = weights.start.saturating_add(first).min(weights.end.saturating_sub(chunk));
            *range = start..weights.end.min(start.saturating_add(BYTES_AHEAD));
            break;
        }
        ranges
    }

    fn touch(&self, address: usize) -> u32 {
        // SAFETY: the schedule has seen that the step is under way, whose weights
        // stay and change no more.
        u32::from(unsafe { *(address as *const u8) })
    }
}

/// Hands a step to the workers.
///
/// # Safety
///
/// `commands` must be `count` commands with valid addresses, and nothing else
/// may use the memory they write until the step has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn start(pool: &Pool, commands: usize, count: u32) {
    pool.commands.store(commands, Ordering::Relaxed);
    pool.schedule.start(count);
}

/// Works as worker `number` of `workers` until [`stop`]; looks for work `spins`
/// times before it sleeps, longer within a step.
///
/// # Safety
///
/// No other worker may have the number, nor the stack of this instance.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn work(pool: &Pool, number: u32, workers: u32, spins: u32) {
    pool.schedule.work(workers, spins, &Worker { pool, number, workers });
}

/// Makes the workers return.
#[unsafe(no_mangle)]
pub extern "C" fn stop(pool: &Pool) {
    pool.schedule.stop();
}

/// Turns four values x into 3 x + 1, to see whether a worker computes, and in
/// the same memory as the host.
///
/// # Safety
///
/// They must be valid and aligned, and nothing else may use them meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probe(values: *mut [f32; 4]) {
    // SAFETY: the caller's promise.
    let values = unsafe { &mut *values };
    (F32x4::load(values) * F32x4::splat(3.0) + F32x4::splat(1.0)).store(values);
}
