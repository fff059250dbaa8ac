//! What the threaded build offers besides: workers and their schedule.

use crate::command::Command;
use crate::exports::run;
use crate::schedule::{Schedule, Work};
use crate::simd::F32x4;
use core::sync::atomic::{AtomicUsize, Ordering};

/// What the host and the workers of a device share; all zero at first.
#[repr(C)]
pub struct Pool {
    schedule: Schedule,
    commands: AtomicUsize,
}

/// A worker's view of the step under way.
struct Worker<'a> {
    pool: &'a Pool,
    number: u32,
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

    fn run(&self, command: u32, chunk: u32) {
        let command = self.command(command).for_worker(self.number);
        // SAFETY: `start` promises the addresses, and each chunk runs once.
        unsafe { run(&command, chunk) };
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

/// Works as worker `number` until [`stop`]; looks for work `spins` times before
/// it sleeps.
///
/// # Safety
///
/// No other worker may have the number, nor the stack of this instance.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn work(pool: &Pool, number: u32, spins: u32) {
    pool.schedule.work(spins, &Worker { pool, number });
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
