//! How workers share a step: the chunks of a command go by an atomic counter to
//! whoever asks, several at a time while there are many, and the commands come one
//! after another. Nobody waits for a
//! worker that has no chunk: one that the system has put aside costs nothing.
//! Who finds no chunk reads weights that are needed next, so that they come from
//! memory while others end what they have.

use crate::command::Chunks;
use core::hint::spin_loop;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Bits of a chunk's number, and of the number of chunks.
const CHUNK_BITS: u32 = 22;
const CHUNK_MASK: u64 = (1 << CHUNK_BITS) - 1;

/// What a worker takes: the number of a command, how many chunks it has, and
/// which of them is next. It says by itself whether there is one, because the
/// command may be gone when a late worker looks.
#[derive(Clone, Copy)]
struct Ticket(u64);

impl Ticket {
    fn first(command: u32, chunks: u32) -> Self {
        // The next chunk goes past the last by what late workers ask for.
        assert!(u64::from(chunks) < CHUNK_MASK / 2, "a command of too many chunks");
        Self(u64::from(command) << (2 * CHUNK_BITS) | u64::from(chunks) << CHUNK_BITS)
    }

    fn command(self) -> u32 {
        (self.0 >> (2 * CHUNK_BITS)) as u32
    }

    fn chunks(self) -> u32 {
        (self.0 >> CHUNK_BITS & CHUNK_MASK) as u32
    }

    fn chunk(self) -> u32 {
        (self.0 & CHUNK_MASK) as u32
    }

    /// Chunks to take next: many at first, which lie together in memory, so that
    /// processors fetch ahead; single ones at last, so that all end together.
    fn share(self, workers: u32) -> u32 {
        share(self.chunks().saturating_sub(self.chunk()), workers)
    }
}

/// Most chunks that are taken at a time.
const MAX_SHARE: u32 = 16;
/// How much longer a worker looks for work within a step than between two: to
/// sleep and to be woken costs as much as a hundred thousand multiply-adds.
const STEP_PATIENCE: u32 = 16;
/// How many of the chunks that are left one of `workers` takes.
pub fn share(left: u32, workers: u32) -> u32 {
    (left / (2 * workers)).clamp(1, MAX_SHARE)
}

/// Products whose weights are read ahead: small ones before a large one.
pub const RANGES: usize = 4;
/// Lines that are read ahead between two looks for work.
const LINES_AHEAD: usize = 16;
const LINE_BYTES: usize = 64;

/// A value that shares no cache line with another.
#[repr(C, align(64))]
struct Line<T>(T);

/// Shared by the host and all workers; all zero before the first step.
#[repr(C)]
pub struct Schedule {
    /// Steps that have ended. The host waits for it.
    ended: AtomicU32,
    /// Not 0: the chunks that are left are not to be computed. The host sets it.
    aborted: AtomicU32,
    stopped: AtomicU32,
    count: AtomicU32,
    /// Steps that have begun.
    started: AtomicU32,
    ticket: Line<AtomicU64>,
    /// Chunks of the command that are computed.
    done: Line<AtomicU32>,
    /// Counts tickets written anew; workers wait for it.
    published: Line<AtomicU32>,
    sleepers: AtomicU32,
}

/// The commands of the step under way.
pub trait Work {
    /// Chunks of a command.
    fn chunks(&self, command: u32) -> u32;
    /// Computes chunks.
    fn run(&self, command: u32, chunks: Chunks);
    /// Addresses of weights that commands from number `next` on will read, in
    /// order; none but numbers: where no step is under way, commands may be any
    /// bytes.
    fn ahead(&self, next: u32) -> [Range<usize>; RANGES];
    /// Reads a byte of them.
    fn touch(&self, address: usize) -> u32;
}

impl Schedule {
    /// Hands a step of `count` commands to the workers.
    pub fn start(&self, count: u32) {
        self.count.store(count, Ordering::Relaxed);
        self.started.fetch_add(1, Ordering::SeqCst);
        // Whoever takes the one chunk of command 0, which is none, begins.
        self.publish(0, 1);
    }

    /// Commands of the step.
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// Makes the workers return, once they have no chunk.
    pub fn stop(&self) {
        self.stopped.store(1, Ordering::SeqCst);
        self.published.0.fetch_add(1, Ordering::SeqCst);
        wait::notify(&self.published.0, u32::MAX);
    }

    /// Works as one of `workers` until [`Self::stop`]; looks for work `spins`
    /// times before it sleeps, within a step [`STEP_PATIENCE`] times as often.
    pub fn work(&self, workers: u32, spins: u32, work: &impl Work) {
        loop {
            let seen = self.published.0.load(Ordering::SeqCst);
            if self.stopped.load(Ordering::SeqCst) != 0 {
                return;
            }
            let command = self.take_chunks(workers, work);
            self.read_ahead(seen, command, work);
            self.wait(seen, spins);
        }
    }

    /// Gives the number of a command that has no chunk left.
    fn take_chunks(&self, workers: u32, work: &impl Work) -> u32 {
        loop {
            // It may be another command's by the time chunks are taken: then the
            // share is no good one, but chunks are still taken once.
            let share = Ticket(self.ticket.0.load(Ordering::Relaxed)).share(workers);
            let ticket = Ticket(self.ticket.0.fetch_add(u64::from(share), Ordering::AcqRel));
            let first = ticket.chunk();
            let end = ticket.chunks().min(first + share);
            if first >= end {
                return ticket.command();
            }
            // Numbers of commands are one more than their indices.
            if ticket.command() > 0 && !self.is_aborted() {
                work.run(ticket.command() - 1, Chunks { first, end });
            }
            let taken = end - first;
            if self.done.0.fetch_add(taken, Ordering::AcqRel) + taken == ticket.chunks() {
                self.advance(ticket.command(), work);
            }
        }
    }

    /// Reads what commands after one will, until there is work.
    fn read_ahead(&self, seen: u32, command: u32, work: &impl Work) {
        let is_over = || self.published.0.load(Ordering::Acquire) != seen;
        let ahead = work.ahead(command);
        // The host writes commands only after the end of a step, and before the
        // next is published: otherwise what was read of them holds.
        fence(Ordering::SeqCst);
        if !self.is_under_way() {
            return;
        }
        for range in ahead {
            let mut sum = 0;
            for first in range.clone().step_by(LINES_AHEAD * LINE_BYTES) {
                if is_over() {
                    return;
                }
                let lines = first..range.end.min(first + LINES_AHEAD * LINE_BYTES);
                sum += lines.step_by(LINE_BYTES).map(|line| work.touch(line)).sum::<u32>();
            }
            core::hint::black_box(sum);
        }
    }

    /// Goes on with command `next`. The small ones are not worth sharing.
    fn advance(&self, mut next: u32, work: &impl Work) {
        let count = self.count.load(Ordering::Relaxed);
        while next < count && !self.is_aborted() {
            let chunks = work.chunks(next);
            if chunks > 1 {
                return self.publish(next + 1, chunks);
            }
            if chunks == 1 {
                work.run(next, Chunks { first: 0, end: 1 });
            }
            next += 1;
        }
        self.ended.fetch_add(1, Ordering::SeqCst);
        wait::notify(&self.ended, u32::MAX);
    }

    fn publish(&self, command: u32, chunks: u32) {
        self.done.0.store(0, Ordering::Relaxed);
        self.ticket.0.store(Ticket::first(command, chunks).0, Ordering::Release);
        self.published.0.fetch_add(1, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            wait::notify(&self.published.0, u32::MAX);
        }
    }

    fn wait(&self, seen: u32, spins: u32) {
        for spin in 0..spins.saturating_mul(STEP_PATIENCE) {
            if self.published.0.load(Ordering::Acquire) != seen {
                return;
            }
            if spin >= spins && !self.is_under_way() {
                break;
            }
            spin_loop();
        }
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        while self.published.0.load(Ordering::SeqCst) == seen {
            wait::wait(&self.published.0, seen);
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether a step has begun and not ended.
    fn is_under_way(&self) -> bool {
        self.started.load(Ordering::SeqCst) != self.ended.load(Ordering::SeqCst)
    }

    fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Relaxed) != 0
    }
}

#[cfg(target_arch = "wasm32")]
mod wait {
    use core::arch::wasm32::{memory_atomic_notify, memory_atomic_wait32};
    use core::sync::atomic::AtomicU32;

    pub fn wait(word: &AtomicU32, seen: u32) {
        // SAFETY: the word outlives the call.
        unsafe { memory_atomic_wait32(word.as_ptr().cast(), seen as i32, -1) };
    }

    pub fn notify(word: &AtomicU32, waiters: u32) {
        // SAFETY: the word outlives the call.
        unsafe { memory_atomic_notify(word.as_ptr().cast(), waiters) };
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod wait {
    use core::sync::atomic::AtomicU32;

    pub fn wait(_: &AtomicU32, _: u32) {
        std::thread::yield_now();
    }

    pub fn notify(_: &AtomicU32, _: u32) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;
    use std::sync::Mutex;

    fn zeroed() -> Schedule {
        // SAFETY: all fields are integers.
        unsafe { core::mem::zeroed() }
    }

    /// Chunks of each command, and what was run, in order.
    struct Log {
        chunks: Vec<u32>,
        runs: Mutex<Vec<(u32, u32)>>,
    }

    impl Work for &Log {
        fn chunks(&self, command: u32) -> u32 {
            self.chunks[command as usize]
        }

        fn run(&self, command: u32, chunks: Chunks) {
            let runs = (chunks.first..chunks.end).map(|chunk| (command, chunk));
            self.runs.lock().unwrap().extend(runs);
        }

        fn ahead(&self, next: u32) -> [Range<usize>; RANGES] {
            let next = next as usize;
            [next..next + 100_000, 0..0, next..next + 10, 0..0]
        }

        fn touch(&self, _: usize) -> u32 {
            1
        }
    }

    /// Runs steps on so many workers; what each ran.
    fn run_steps(workers: usize, spins: u32, steps: &[Vec<u32>]) -> Vec<Vec<(u32, u32)>> {
        let (schedule, mut results) = (zeroed(), Vec::new());
        for chunks in steps {
            let log = Log { chunks: chunks.clone(), runs: Mutex::default() };
            schedule.stopped.store(0, Ordering::SeqCst);
            let ended = schedule.ended.load(Ordering::SeqCst);
            std::thread::scope(|scope| {
                for _ in 0..workers {
                    scope.spawn(|| schedule.work(workers as u32, spins, &&log));
                }
                schedule.start(chunks.len() as u32);
                while schedule.ended.load(Ordering::SeqCst) == ended {
                    std::thread::yield_now();
                }
                schedule.stop();
            });
            results.push(log.runs.into_inner().unwrap());
        }
        results
    }

    #[test]
    fn every_chunk_runs_once_and_commands_in_turn() {
        let steps = [vec![], vec![1], vec![3, 1, 0, 1, 500, 2, 1], vec![0, 0], vec![40; 50]];
        for workers in 1..4 {
            for spins in [0, 100] {
                let runs = run_steps(workers, spins, &steps);
                for (chunks, mut found) in steps.iter().zip(runs) {
                    assert!(found.is_sorted_by_key(|&(command, _)| command));
                    found.sort();
                    let wanted: Vec<_> = (0..chunks.len() as u32)
                        .flat_map(|c| (0..chunks[c as usize]).map(move |chunk| (c, chunk)))
                        .collect();
                    assert_eq!(found, wanted, "{workers} workers, {spins} spins");
                }
            }
        }
    }

    #[test]
    fn shares_shrink_to_single_chunks() {
        let (mut ticket, mut shares) = (Ticket::first(1, 30), vec![]);
        while ticket.chunk() < ticket.chunks() {
            shares.push(ticket.share(2));
            ticket.0 += u64::from(ticket.share(2));
        }
        assert_eq!(shares, [7, 5, 4, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(Ticket::first(1, 1_000_000).share(2), MAX_SHARE);
        ticket.0 += 100;
        assert_eq!((ticket.share(2), ticket.chunks()), (1, 30), "past the end");
    }

    #[test]
    fn an_abort_leaves_the_rest_and_ends_the_step() {
        struct Aborting<'a>(&'a Schedule, Cell<u32>);
        impl Work for Aborting<'_> {
            fn chunks(&self, _: u32) -> u32 {
                10
            }
            fn run(&self, _: u32, chunks: Chunks) {
                self.1.set(self.1.get() + chunks.end - chunks.first);
                if self.1.get() == 15 {
                    self.0.aborted.store(1, Ordering::SeqCst);
                }
            }
            fn ahead(&self, _: u32) -> [Range<usize>; RANGES] {
                [const { 0..0 }; RANGES]
            }
            fn touch(&self, _: usize) -> u32 {
                0
            }
        }
        let schedule = zeroed();
        let work = Aborting(&schedule, Cell::new(0));
        schedule.start(100);
        schedule.take_chunks(1, &work);
        assert_eq!(work.1.get(), 15);
        assert_eq!(schedule.ended.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_late_worker_takes_nothing() {
        let schedule = zeroed();
        let log = Log { chunks: vec![2], runs: Mutex::default() };
        schedule.start(1);
        schedule.take_chunks(1, &&log);
        for _ in 0..10 {
            schedule.take_chunks(1, &&log);
        }
        assert_eq!(log.runs.into_inner().unwrap().len(), 2);
        assert_eq!(schedule.ended.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn reads_ahead_while_a_step_is_under_way_and_nothing_is_published() {
        struct Reading(Cell<u32>);
        impl Work for Reading {
            fn chunks(&self, _: u32) -> u32 {
                1
            }
            fn run(&self, _: u32, _: Chunks) {}
            fn ahead(&self, next: u32) -> [Range<usize>; RANGES] {
                [64..64 * (next as usize) + 1, 0..0, 640..641, 0..0]
            }
            fn touch(&self, address: usize) -> u32 {
                assert!(address.is_multiple_of(LINE_BYTES));
                self.0.set(self.0.get() + 1);
                0
            }
        }
        let (schedule, work) = (zeroed(), Reading(Cell::new(0)));
        schedule.read_ahead(0, 40, &work);
        assert_eq!(work.0.get(), 0, "before a step");
        schedule.start(1);
        schedule.read_ahead(0, 40, &work);
        assert_eq!(work.0.get(), 0, "while there is work");
        schedule.read_ahead(1, 40, &work);
        assert_eq!(work.0.get(), 41);
        schedule.take_chunks(1, &work);
        schedule.read_ahead(1, 40, &work);
        assert_eq!(work.0.get(), 41, "after the step");
    }
}
