//! Vectors of `f32`, written once and compiled for each instruction set.
//!
//! A kernel is a struct with its operands and one generic method, [`Kernel::run`]. [`run`] compiles that
//! method three times, inside functions that enable AVX-512, AVX2 with FMA, or nothing, and calls the one for
//! this machine.
//!
//! For the vectors to stay in registers, everything between [`Kernel::run`] and the intrinsics must be
//! `#[inline(always)]`. The compiler inlines an intrinsic only into a function that enables its instructions,
//! and closures take no such attribute from the function they stand in.

mod avx2;
mod avx512;
pub(crate) mod math;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
pub(crate) use portable::Portable;

use std::sync::OnceLock;

/// An instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// The target's baseline, present in every processor: 8 lanes, vectorised by the compiler.
    Portable,
    /// x86-64 with AVX2 and FMA: 8 lanes.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL: 16 lanes.
    Avx512,
}

impl Isa {
    /// The widest instruction set of this machine.
    pub fn detected() -> Isa {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            if avx2 && avx512 {
                return Isa::Avx512;
            }
            if avx2 {
                return Isa::Avx2;
            }
        }
        Isa::Portable
    }

    /// The instruction set that kernels run with: [`Isa::from_environment`], read once.
    ///
    /// # Panics
    /// When [`Isa::from_environment`] has an error. A program checks that first.
    pub fn chosen() -> Isa {
        static CHOSEN: OnceLock<Isa> = OnceLock::new();
        *CHOSEN.get_or_init(|| Isa::from_environment().unwrap_or_else(|error| panic!("{error}")))
    }

    /// The widest instruction set of this machine, or the narrower one that the environment variable
    /// `BONFIRE_CPU` names: `portable`, `avx2` or `avx512`.
    ///
    /// # Errors
    /// When the variable names none of these, or one that the machine lacks.
    pub fn from_environment() -> Result<Isa, UnknownIsa> {
        let detected = Isa::detected();
        let Some(name) = std::env::var_os("BONFIRE_CPU") else { return Ok(detected) };
        let named = name.to_str().and_then(Isa::named).filter(|isa| *isa <= detected);
        named.ok_or_else(|| UnknownIsa { name: name.to_string_lossy().into_owned(), detected })
    }

    /// The instruction set that `BONFIRE_CPU` calls `name`.
    pub fn named(name: &str) -> Option<Isa> {
        match name {
            "portable" => Some(Isa::Portable),
            "avx2" => Some(Isa::Avx2),
            "avx512" => Some(Isa::Avx512),
            _ => None,
        }
    }
}

/// The error when `BONFIRE_CPU` names an instruction set that is unknown or that the machine lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownIsa {
    name: String,
    detected: Isa,
}

impl std::fmt::Display for UnknownIsa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let UnknownIsa { name, detected } = self;
        let known: Vec<&str> = ["portable", "avx2", "avx512"]
            .into_iter()
            .filter(|name| Isa::named(name).is_some_and(|isa| isa <= *detected))
            .collect();
        write!(f, "BONFIRE_CPU: expected one that this machine has, {}, found {name:?}", known.join(" or "))
    }
}

impl std::error::Error for UnknownIsa {}

/// A computation for any instruction set, with its operands.
pub(crate) trait Kernel {
    type Output;

    /// Runs the computation. Must be `#[inline(always)]`, as must all functions it calls with vectors.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Runs a kernel with the [chosen](Isa::chosen) instruction set.
pub(crate) fn run<K: Kernel>(kernel: K) -> K::Output {
    run_with(Isa::chosen(), kernel)
}

/// Runs a kernel with a given instruction set.
///
/// # Panics
/// When the machine lacks the instruction set.
pub(crate) fn run_with<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    match isa {
        Isa::Portable => kernel.run(Portable),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => {
            let simd = Avx2::new().expect("AVX2 and FMA");
            // SAFETY: the token is only made where the processor has the features that the function enables.
            unsafe { avx2::with_features(simd, kernel) }
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => {
            let simd = Avx512::new().expect("AVX-512 F, BW, DQ and VL");
            // SAFETY: the token is only made where the processor has the features that the function enables.
            unsafe { avx512::with_features(simd, kernel) }
        }
        #[cfg(not(target_arch = "x86_64"))]
        Isa::Avx2 | Isa::Avx512 => unreachable!("never detected on this architecture"),
    }
}

/// Brings the cache line of `at` into the first cache, to be read or written soon. Any address is allowed,
/// since nothing is read now.
#[inline(always)]
pub(crate) fn prefetch(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch of an address that is not there does nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// [`prefetch`] into the second cache, for numbers that are read later.
#[inline(always)]
pub(crate) fn prefetch_for_later(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a prefetch of an address that is not there does nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// All instruction sets of the machine, for tests.
#[cfg(test)]
pub(crate) fn available() -> Vec<Isa> {
    [Isa::Portable, Isa::Avx2, Isa::Avx512].into_iter().filter(|isa| *isa <= Isa::detected()).collect()
}

/// Operations on vectors of [`Simd::LANES`] numbers. A value of the type proves that the processor has the
/// instructions.
///
/// Arithmetic is IEEE's, except for `mul_add`, which the portable path rounds twice.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// The number of lanes.
    const LANES: usize;
    /// The height of the register tile of matrix products, a multiple of 3. With two vectors of columns it
    /// fills the registers.
    const TILE_ROWS: usize;
    /// A vector of `LANES` numbers.
    type F32: Copy;
    /// A truth value for each lane.
    type Mask: Copy;

    fn splat(self, value: f32) -> Self::F32;
    /// # Safety
    /// `LANES` numbers must be readable from `from`.
    unsafe fn load_from(self, from: *const f32) -> Self::F32;
    /// The first `count < LANES` numbers, and 0 in the other lanes.
    ///
    /// # Safety
    /// `count` numbers must be readable from `from`.
    unsafe fn load_first_from(self, from: *const f32, count: usize) -> Self::F32;
    /// # Safety
    /// `LANES` numbers must be writable at `to`.
    unsafe fn store_to(self, to: *mut f32, value: Self::F32);
    /// Stores the first `count < LANES` lanes.
    ///
    /// # Safety
    /// `count` numbers must be writable at `to`.
    unsafe fn store_first_to(self, to: *mut f32, value: Self::F32, count: usize);

    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b + c`
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// `c - a * b`
    fn neg_mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// The larger number, as `a > b ? a : b`, so `b` if `a` is NaN.
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The smaller number, as `a < b ? a : b`, so `b` if `a` is NaN.
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn abs(self, a: Self::F32) -> Self::F32;
    fn sqrt(self, a: Self::F32) -> Self::F32;
    /// The nearest whole number, halves to even. `|a|` must be below 2^22.
    fn round(self, a: Self::F32) -> Self::F32;
    /// `a * 2^n` for whole `n` in [-126, 127].
    fn scale(self, a: Self::F32, n: Self::F32) -> Self::F32;
    /// The sign of `sign` on the magnitude of `a`.
    fn copy_sign(self, a: Self::F32, sign: Self::F32) -> Self::F32;
    /// True in lanes with `a < b`; false if either is NaN.
    fn less(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// True in lanes with `a < b` or with NaN for `b`.
    fn less_or_nan(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// `yes` in the lanes where the mask holds, `no` in the others.
    fn select(self, mask: Self::Mask, yes: Self::F32, no: Self::F32) -> Self::F32;
    /// The lanes 0, 2, 4 and so on of `a`, then those of `b`.
    fn evens(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The lanes 1, 3, 5 and so on of `a`, then those of `b`.
    fn odds(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The two vectors whose [`Simd::evens`] are `a` and whose [`Simd::odds`] are `b`.
    fn interleave(self, a: Self::F32, b: Self::F32) -> (Self::F32, Self::F32);
    /// The sum of all lanes, in a fixed order.
    fn sum(self, a: Self::F32) -> f32;
    /// The largest lane.
    fn largest(self, a: Self::F32) -> f32;

    /// True in the lanes from `start` to `end`.
    fn lanes(self, start: usize, end: usize) -> Self::Mask;
    /// The numbers at `from` in the lanes where the mask holds, and those of `other` in the other lanes.
    ///
    /// # Safety
    /// The numbers of those lanes must be readable. `from` is the place of lane 0, which need not exist.
    unsafe fn load_where(self, mask: Self::Mask, from: *const f32, other: Self::F32) -> Self::F32;
    /// Transposes a block: `to[c * to_stride + r] = from[r * stride + c]` for `r` below `rows` and `c` below
    /// `columns`. `size` is `(rows, columns)`, both at most `LANES`.
    ///
    /// # Safety
    /// The numbers of the block must be readable, and the places that are written be writable; the two must
    /// not overlap.
    unsafe fn transpose(
        self,
        from: *const f32,
        stride: usize,
        size: (usize, usize),
        to: *mut f32,
        to_stride: usize,
    );

    /// The first `LANES` numbers of `from`.
    ///
    /// # Panics
    /// When `from` is shorter.
    #[inline(always)]
    fn load(self, from: &[f32]) -> Self::F32 {
        assert!(from.len() >= Self::LANES);
        // SAFETY: the length was checked.
        unsafe { self.load_from(from.as_ptr()) }
    }

    /// The first numbers of `from`, at most `LANES`, and 0 in the other lanes.
    #[inline(always)]
    fn load_first(self, from: &[f32]) -> Self::F32 {
        if from.len() >= Self::LANES {
            return self.load(from);
        }
        // SAFETY: the slice has that many.
        unsafe { self.load_first_from(from.as_ptr(), from.len()) }
    }

    /// Stores all lanes to the first `LANES` numbers of `to`.
    ///
    /// # Panics
    /// When `to` is shorter.
    #[inline(always)]
    fn store(self, to: &mut [f32], value: Self::F32) {
        assert!(to.len() >= Self::LANES);
        // SAFETY: the length was checked.
        unsafe { self.store_to(to.as_mut_ptr(), value) }
    }

    /// Stores as many lanes as `to` has room for, at most `LANES`.
    #[inline(always)]
    fn store_first(self, to: &mut [f32], value: Self::F32) {
        if to.len() >= Self::LANES {
            return self.store(to, value);
        }
        // SAFETY: the slice has that much room.
        unsafe { self.store_first_to(to.as_mut_ptr(), value, to.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs every operation on the same numbers; each gives a row of results.
    struct All<'a> {
        a: &'a [f32],
        b: &'a [f32],
    }

    impl Kernel for All<'_> {
        type Output = Vec<Vec<f32>>;

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Vec<Vec<f32>> {
            let mut rows = vec![Vec::new(); 15];
            for (a, b) in self.a.chunks(S::LANES).zip(self.b.chunks(S::LANES)) {
                let (x, y) = (s.load_first(a), s.load_first(b));
                let results = [
                    s.add(x, y),
                    s.sub(x, y),
                    s.mul(x, y),
                    s.div(x, y),
                    s.mul_add(x, y, x),
                    s.neg_mul_add(x, y, x),
                    s.max(x, y),
                    s.min(x, y),
                    s.abs(x),
                    s.sqrt(s.abs(x)),
                    s.round(x),
                    s.scale(x, s.round(s.min(s.splat(9.0), s.max(s.splat(-9.0), y)))),
                    s.copy_sign(x, y),
                    s.select(s.less(x, y), x, y),
                    s.select(s.less_or_nan(x, y), x, y),
                ];
                for (row, result) in rows.iter_mut().zip(results) {
                    let mut out = vec![0.0; a.len()];
                    s.store_first(&mut out, result);
                    row.extend(out);
                }
            }
            rows
        }
    }

    #[test]
    fn every_instruction_set_computes_the_same() {
        let a: Vec<f32> = (0..53).map(|i| (i as f32 - 26.0) * 0.73).collect();
        let b: Vec<f32> = (0..53).map(|i| ((i * 7 % 53) as f32 - 20.0) * 0.31 + 0.05).collect();
        let expected: Vec<Vec<f32>> = {
            let each =
                |f: fn(f32, f32) -> f32| a.iter().zip(&b).map(|(a, b)| f(*a, *b)).collect::<Vec<f32>>();
            vec![
                each(|a, b| a + b),
                each(|a, b| a - b),
                each(|a, b| a * b),
                each(|a, b| a / b),
                each(|a, b| a * b + a),
                each(|a, b| a - a * b),
                each(f32::max),
                each(f32::min),
                each(|a, _| a.abs()),
                each(|a, _| a.abs().sqrt()),
                each(|a, _| a.round_ties_even()),
                each(|a, b| a * b.clamp(-9.0, 9.0).round_ties_even().exp2()),
                each(|a, b| a.copysign(b)),
                each(|a, b| if a < b { a } else { b }),
                each(|a, b| if a < b { a } else { b }),
            ]
        };
        for isa in available() {
            let found = run_with(isa, All { a: &a, b: &b });
            for (operation, (found, expected)) in found.iter().zip(&expected).enumerate() {
                for (found, expected) in found.iter().zip(expected) {
                    let close = (found - expected).abs() <= 1e-5 * expected.abs().max(1.0);
                    assert!(close, "{isa:?}, operation {operation}: {found} against {expected}");
                }
            }
        }
    }

    #[test]
    fn reductions_see_every_lane() {
        struct Reduce<'a>(&'a [f32]);
        impl Kernel for Reduce<'_> {
            type Output = (f32, f32);
            #[inline(always)]
            fn run<S: Simd>(self, s: S) -> (f32, f32) {
                let vector = s.load_first(self.0);
                (s.sum(vector), s.largest(vector))
            }
        }
        for isa in available() {
            let lanes = match isa {
                Isa::Avx512 => 16,
                _ => 8,
            };
            for place in 0..lanes {
                let mut values = vec![-1.0; lanes];
                values[place] = 5.0;
                assert_eq!(run_with(isa, Reduce(&values)), (6.0 - lanes as f32, 5.0), "{isa:?}");
            }
        }
    }

    #[test]
    fn masked_loads_read_their_lanes_alone() {
        struct Check;
        impl Kernel for Check {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self, s: S) {
                for start in 0..=S::LANES {
                    for end in start..=S::LANES {
                        let held: Vec<f32> = (1..=end - start).map(|i| i as f32).collect();
                        let from = held.as_ptr().wrapping_sub(start);
                        let mut found = vec![-1.0; S::LANES];
                        // SAFETY: the lanes from `start` to `end` are the numbers held.
                        s.store(&mut found, unsafe {
                            s.load_where(s.lanes(start, end), from, s.splat(-2.0))
                        });
                        for (lane, found) in found.into_iter().enumerate() {
                            let expected =
                                if (start..end).contains(&lane) { held[lane - start] } else { -2.0 };
                            assert_eq!(found, expected, "lane {lane} of {start}..{end}");
                        }
                    }
                }
            }
        }
        available().into_iter().for_each(|isa| run_with(isa, Check));
    }

    #[test]
    fn blocks_are_transposed_within_their_bounds() {
        struct Transpose<'a>(&'a [f32], usize, (usize, usize), &'a mut [f32], usize);
        impl Kernel for Transpose<'_> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self, s: S) {
                let Transpose(from, stride, (rows, columns), to, to_stride) = self;
                let size = (rows.min(S::LANES), columns.min(S::LANES));
                // SAFETY: the slices were made for blocks of this size.
                unsafe { s.transpose(from.as_ptr(), stride, size, to.as_mut_ptr(), to_stride) }
            }
        }
        for isa in available() {
            let lanes: usize = if isa == Isa::Avx512 { 16 } else { 8 };
            for rows in 0..=lanes {
                for columns in 0..=lanes {
                    let (stride, to_stride) = (columns + 3, rows + 2);
                    let from: Vec<f32> = (0..(rows * stride).saturating_sub(3)).map(|i| i as f32).collect();
                    let mut to = vec![-1.0; columns * to_stride];
                    run_with(isa, Transpose(&from, stride, (rows, columns), &mut to, to_stride));
                    for c in 0..columns {
                        for r in 0..to_stride {
                            let expected = if r < rows { (r * stride + c) as f32 } else { -1.0 };
                            assert_eq!(
                                to[c * to_stride + r],
                                expected,
                                "{isa:?}, {rows} x {columns} at {r}, {c}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn lanes_are_parted_and_joined() {
        struct Split<'a>(&'a [f32]);
        impl Kernel for Split<'_> {
            type Output = Vec<f32>;
            #[inline(always)]
            fn run<S: Simd>(self, s: S) -> Vec<f32> {
                let (a, b) = (s.load(self.0), s.load(&self.0[S::LANES..]));
                let (evens, odds) = (s.evens(a, b), s.odds(a, b));
                let (first, second) = s.interleave(evens, odds);
                let mut out = vec![0.0; 4 * S::LANES];
                for (to, value) in out.chunks_mut(S::LANES).zip([evens, odds, first, second]) {
                    s.store(to, value);
                }
                out
            }
        }
        let numbers: Vec<f32> = (0..32).map(|i| i as f32).collect();
        for isa in available() {
            let found = run_with(isa, Split(&numbers));
            let lanes = found.len() / 4;
            let expected = (0..lanes).map(|i| 2 * i).chain((0..lanes).map(|i| 2 * i + 1)).chain(0..2 * lanes);
            assert_eq!(found, expected.map(|i| i as f32).collect::<Vec<_>>(), "{isa:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_seen() {
        struct Compare<'a>(&'a [f32], &'a [f32]);
        impl Kernel for Compare<'_> {
            type Output = [f32; 4];
            #[inline(always)]
            fn run<S: Simd>(self, s: S) -> [f32; 4] {
                let mask = s.less_or_nan(s.load_first(self.0), s.load_first(self.1));
                let mut out = [0.0; 4];
                s.store_first(&mut out, s.select(mask, s.splat(1.0), s.splat(0.0)));
                out
            }
        }
        for isa in available() {
            let nan = f32::NAN;
            assert_eq!(
                run_with(isa, Compare(&[1.0, nan, nan, 2.0], &[nan, 1.0, nan, 2.0])),
                [1.0, 0.0, 1.0, 0.0]
            );
        }
    }

    #[test]
    fn partial_loads_and_stores_stay_inside() {
        struct Copy<'a>(&'a [f32], &'a mut [f32]);
        impl Kernel for Copy<'_> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self, s: S) {
                s.store_first(self.1, s.load_first(self.0));
            }
        }
        for isa in available() {
            for count in 0..=17 {
                let from: Vec<f32> = (0..count).map(|i| i as f32 + 1.0).collect();
                let mut to = [-1.0; 24];
                run_with(isa, Copy(&from, &mut to[..count]));
                let lanes: usize = if isa == Isa::Avx512 { 16 } else { 8 };
                for (i, value) in to.iter().enumerate() {
                    let expected = if i < count.min(lanes) { i as f32 + 1.0 } else { -1.0 };
                    assert_eq!(*value, expected, "{isa:?}, {count} numbers, place {i}");
                }
            }
        }
    }
}
