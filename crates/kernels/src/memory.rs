//! Reused memory: an allocator for large blocks, to be put in front of another allocator.
//!
//! A training step frees blocks that the next step allocates again, at the same sizes. A general allocator
//! returns such blocks to the system, and the system zeroes every page of the new ones: 10 to 15 % of a step.
//! [`Recycling`] keeps freed blocks of 64 KiB and more in lists by size class, up to a bound.
//!
//! ```
//! # use bonfire_kernels::memory::Recycling;
//! #[global_allocator]
//! static ALLOCATOR: Recycling<std::alloc::System> = Recycling::new(std::alloc::System);
//! # fn main() {}
//! ```
//!
//! It also counts the bytes that each thread holds, so that [`growth`] can tell the memory that a forward
//! pass leaves behind.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::hint::black_box;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The smallest block that is kept, in bytes. Smaller ones are left to the allocator behind.
const SMALLEST: usize = 1 << 16;
/// The number of size classes between two powers of two. A block is at most an eighth larger than asked for.
const STEPS: usize = 8;
const CLASSES: usize = 24 * STEPS;
/// The alignment of kept blocks in bytes: a cache line, and a vector of AVX-512.
const ALIGNMENT: usize = 64;

static LIMIT: AtomicUsize = AtomicUsize::new(1 << 30);
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// The most bytes kept for later use, 1 GiB unless set. A block that would exceed it is returned at once.
pub fn limit() -> usize {
    LIMIT.load(Ordering::Relaxed)
}

/// Sets [`limit`]. Kept blocks beyond it are returned as other blocks are freed, or at once by
/// [`Recycling::release`].
pub fn set_limit(bytes: usize) {
    LIMIT.store(bytes, Ordering::Relaxed);
}

/// The bytes that are kept for later use now.
pub fn kept() -> usize {
    KEPT.load(Ordering::Relaxed)
}

thread_local! {
    /// The bytes that this thread allocated, less the bytes that it freed, on whichever thread they were
    /// allocated.
    static HELD: Cell<i64> = const { Cell::new(0) };
}

/// Runs `run`. Returns its result and the bytes by which it raised the memory this thread holds.
///
/// Bytes count as requested, without an allocator's overhead. Blocks that other threads allocate or free
/// meanwhile do not count; ops allocate their results on the calling thread. `None` if no [`Recycling`] is
/// the program's allocator.
pub fn growth<T>(run: impl FnOnce() -> T) -> (T, Option<i64>) {
    let before = HELD.get();
    let block = black_box(Box::new(0u64));
    let counted = HELD.get() != before;
    drop(block);
    let outcome = run();
    (outcome, counted.then(|| HELD.get() - before))
}

fn count(bytes: i64) {
    // a thread at its end may free memory after its counter is gone
    let _ = HELD.try_with(|held| held.set(held.get().wrapping_add(bytes)));
}

/// An allocator that keeps large freed blocks for later use.
pub struct Recycling<A> {
    behind: A,
    lists: [Mutex<Block>; CLASSES],
}

/// The head of a list of free blocks. Each block holds the next one's address in its first bytes.
struct Block(*mut u8);

// SAFETY: a list's blocks belong to the list alone, which is behind a mutex.
unsafe impl Send for Block {}

impl<A: GlobalAlloc> Recycling<A> {
    /// An allocator that keeps blocks in front of `behind`.
    pub const fn new(behind: A) -> Self {
        Recycling { behind, lists: [const { Mutex::new(Block(ptr::null_mut())) }; CLASSES] }
    }

    /// Returns all kept blocks to the allocator behind.
    pub fn release(&self) {
        for (class, list) in self.lists.iter().enumerate() {
            let mut next = std::mem::replace(&mut lock(list).0, ptr::null_mut());
            while !next.is_null() {
                let block = next;
                // SAFETY: the block is on the list, so that it is ours and its first bytes are the next one's
                // address; it was allocated with its class's layout.
                unsafe {
                    next = block.cast::<*mut u8>().read();
                    self.behind.dealloc(block, layout_of(class));
                }
                KEPT.fetch_sub(layout_of(class).size(), Ordering::Relaxed);
            }
        }
    }

    /// Returns kept blocks of other classes, the largest first, until `size` more bytes fit under the limit.
    /// True if they fit.
    fn make_room(&self, size: usize, class: usize) -> bool {
        let fits = || KEPT.load(Ordering::Relaxed) + size <= limit();
        for other in (0..CLASSES).rev().filter(|other| *other != class) {
            while !fits() {
                let block = self.take(other);
                if block.is_null() {
                    break;
                }
                // SAFETY: the block was taken off the list, and was allocated with its class's layout.
                unsafe { self.behind.dealloc(block, layout_of(other)) };
            }
        }
        fits()
    }

    /// A block from the allocator behind. If it has no memory left, the kept blocks are returned first.
    fn fresh(&self, allocate: impl Fn() -> *mut u8) -> *mut u8 {
        let block = allocate();
        if !block.is_null() {
            return block;
        }
        self.release();
        allocate()
    }

    fn take(&self, class: usize) -> *mut u8 {
        let mut head = lock(&self.lists[class]);
        let block = head.0;
        if !block.is_null() {
            // SAFETY: a block on the list is ours, and its first bytes are the next one's address.
            head.0 = unsafe { block.cast::<*mut u8>().read() };
            KEPT.fetch_sub(layout_of(class).size(), Ordering::Relaxed);
        }
        block
    }
}

fn lock(list: &Mutex<Block>) -> std::sync::MutexGuard<'_, Block> {
    // Nothing can panic while a list is held.
    list.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The class of the smallest blocks that hold the layout; `None` if such blocks are not kept.
fn class_of(layout: Layout) -> Option<usize> {
    let size = layout.size();
    if size < SMALLEST || layout.align() > ALIGNMENT {
        return None;
    }
    // sizes in (2^p, 2^(p+1)] are rounded up to one of STEPS steps
    let power = (size - 1).ilog2() as usize;
    let step = ((size - 1) >> (power - STEPS.ilog2() as usize)) - STEPS;
    let class = (power + 1 - SMALLEST.ilog2() as usize) * STEPS + step;
    (class < CLASSES).then_some(class)
}

/// The layout of all blocks of a class.
fn layout_of(class: usize) -> Layout {
    let power = class / STEPS + SMALLEST.ilog2() as usize - 1;
    let size = (1 << power) + ((class % STEPS + 1) << (power - STEPS.ilog2() as usize));
    // SAFETY: the alignment is a power of two, and sizes end far below the largest.
    unsafe { Layout::from_size_align_unchecked(size, ALIGNMENT) }
}

// SAFETY: a block comes from the allocator behind with its class's layout, which holds every layout of that
// class, and goes back with the same; while it is on a list nobody else knows of it.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Recycling<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        let Some(class) = class_of(layout) else {
            // SAFETY: the caller's contract.
            return unsafe { self.behind.alloc(layout) };
        };
        let block = self.take(class);
        if block.is_null() {
            // SAFETY: the class's layout is not empty.
            return self.fresh(|| unsafe { self.behind.alloc(layout_of(class)) });
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        let Some(class) = class_of(layout) else {
            // SAFETY: the caller's contract.
            return unsafe { self.behind.alloc_zeroed(layout) };
        };
        let block = self.take(class);
        if block.is_null() {
            // SAFETY: the class's layout is not empty.
            return self.fresh(|| unsafe { self.behind.alloc_zeroed(layout_of(class)) });
        }
        // SAFETY: the block has the class's size, which is at least the layout's.
        unsafe { block.write_bytes(0, layout.size()) };
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        let Some(class) = class_of(layout) else {
            // SAFETY: the caller's contract.
            return unsafe { self.behind.dealloc(block, layout) };
        };
        let size = layout_of(class).size();
        // sizes in use now push out the sizes of earlier work
        if !self.make_room(size, class) {
            // SAFETY: the block was allocated with its class's layout.
            return unsafe { self.behind.dealloc(block, layout_of(class)) };
        }
        KEPT.fetch_add(size, Ordering::Relaxed);
        let mut head = lock(&self.lists[class]);
        // SAFETY: the block is large enough for an address, aligned for one, and nobody's any more.
        unsafe { block.cast::<*mut u8>().write(head.0) };
        head.0 = block;
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size is not empty and does not overflow with the alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (class_of(layout), class_of(wanted)) {
            (None, None) => {
                count(size as i64 - layout.size() as i64);
                // SAFETY: the caller's contract.
                unsafe { self.behind.realloc(block, layout, size) }
            }
            (Some(old), Some(new)) if old == new => {
                count(size as i64 - layout.size() as i64);
                block
            }
            // SAFETY: the new block does not overlap the old, and each holds the bytes that are copied.
            _ => unsafe {
                let new = self.alloc(wanted);
                if !new.is_null() {
                    ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                new
            },
        }
    }
}

/// True while kernels are timed: then buffers are not filled.
#[cfg(test)]
pub(crate) static TIMED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// A buffer of `length` numbers that the caller writes in full before reading any.
pub(crate) fn for_overwriting(length: usize) -> Vec<f32> {
    let mut buffer = Vec::with_capacity(length);
    // SAFETY: the capacity is there, every pattern of bits is a number, and callers write before they read.
    #[allow(clippy::uninit_vec)]
    unsafe {
        buffer.set_len(length)
    };
    // so that reading before writing spoils the numbers that a test compares
    #[cfg(test)]
    if !TIMED.load(Ordering::Relaxed) {
        buffer.fill(f32::NAN);
    }
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::alloc::System;

    #[test]
    fn classes_hold_their_sizes_with_little_waste() {
        for size in
            (SMALLEST..1 << 20).step_by(997).chain([SMALLEST, 1 << 17, (1 << 17) + 1, 1 << 30, (1 << 34) + 5])
        {
            let class = class_of(Layout::from_size_align(size, 4).unwrap()).unwrap();
            let block = layout_of(class).size();
            assert!(block >= size && (block as f64) < size as f64 * 1.126, "{size} bytes in {block}");
            assert_eq!(class_of(Layout::from_size_align(block, 4).unwrap()), Some(class), "{size}");
        }
        assert_eq!(class_of(Layout::from_size_align(SMALLEST - 1, 4).unwrap()), None);
        assert_eq!(class_of(Layout::from_size_align(SMALLEST, 4096).unwrap()), None);
    }

    #[test]
    fn growth_is_what_is_still_held() {
        let allocator = Recycling::new(System);
        let [small, large, larger] =
            [100, 100_000, 300_000].map(|size| Layout::from_size_align(size, 16).unwrap());
        let before = HELD.get();
        // SAFETY: every block is freed once, with its layout.
        unsafe {
            let blocks = [small, large].map(|layout| allocator.alloc(layout));
            assert_eq!(HELD.get() - before, 100_100);
            let moved = allocator.realloc(blocks[1], large, larger.size());
            let stayed = allocator.realloc(blocks[0], small, 101);
            assert_eq!(HELD.get() - before, 300_101);
            allocator.dealloc(moved, larger);
            allocator.dealloc(stayed, Layout::from_size_align(101, 16).unwrap());
        }
        assert_eq!(HELD.get(), before);
        assert_eq!(growth(|| 5), (5, None), "the tests run on another allocator");
    }

    /// One test, since kept bytes are counted for the whole process.
    #[test]
    fn blocks_come_back_zeroed_where_asked_and_within_the_limit() {
        let allocator = Recycling::new(System);
        let layout = Layout::from_size_align(100_000, 16).unwrap();
        // SAFETY: every block is freed once, with its layout, and written within its size.
        unsafe {
            let first = allocator.alloc(layout);
            assert_eq!(first as usize % ALIGNMENT, 0);
            first.write_bytes(7, 100_000);
            allocator.dealloc(first, layout);
            assert!(kept() >= 100_000);
            let second = allocator.alloc_zeroed(layout);
            assert_eq!(second, first, "the same block again");
            assert!((0..100_000).all(|place| second.add(place).read() == 0));
            second.write(5);
            assert_eq!(allocator.realloc(second, layout, 100_001), second, "inside its class");
            let larger = allocator.realloc(second, Layout::from_size_align(100_001, 16).unwrap(), 300_000);
            assert_eq!(larger.read(), 5);
            let small = allocator.realloc(larger, Layout::from_size_align(300_000, 16).unwrap(), 10);
            assert_eq!(small.read(), 5);
            allocator.dealloc(small, Layout::from_size_align(10, 16).unwrap());
            let before = limit();
            set_limit(0);
            let block = allocator.alloc(layout);
            allocator.dealloc(block, layout);
            assert_eq!(kept(), 0, "nothing is kept beyond the limit");
            set_limit(400_000);
            let [large, less] = [300_000, 200_000].map(|size| Layout::from_size_align(size, 16).unwrap());
            let blocks = [large, less].map(|layout| allocator.alloc(layout));
            allocator.dealloc(blocks[0], large);
            allocator.dealloc(blocks[1], less);
            assert!((200_000..300_000).contains(&kept()), "the last size pushes out the first");
            assert_eq!(allocator.alloc(less), blocks[1]);
            allocator.dealloc(blocks[1], less);
            set_limit(before);
        }
        allocator.release();
        assert_eq!(kept(), 0);
    }
}
