//! 8 lanes as an array, which the compiler vectorises with the target's instructions.

use super::Simd;

/// Any processor is enough.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

const LANES: usize = 8;

#[inline(always)]
fn each(a: [f32; LANES], f: impl Fn(f32) -> f32) -> [f32; LANES] {
    let mut out = a;
    for lane in &mut out {
        *lane = f(*lane);
    }
    out
}

#[inline(always)]
fn pairs(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    let mut out = a;
    for (lane, b) in out.iter_mut().zip(b) {
        *lane = f(*lane, b);
    }
    out
}

/// Rows end in such a vector once: a branch for each lane, at each of those places, was half of the kernels'
/// code.
///
/// # Safety
/// As [`Simd::load_first_from`].
#[inline(never)]
unsafe fn load_some(from: *const f32, count: usize) -> [f32; LANES] {
    let mut out = [0.0; LANES];
    for (place, lane) in out.iter_mut().enumerate().take(count) {
        // SAFETY: the caller's contract.
        *lane = unsafe { from.add(place).read() };
    }
    out
}

/// # Safety
/// As [`Simd::store_first_to`].
#[inline(never)]
unsafe fn store_some(to: *mut f32, value: &[f32; LANES], count: usize) {
    for (place, lane) in value.iter().enumerate().take(count) {
        // SAFETY: the caller's contract.
        unsafe { to.add(place).write(*lane) }
    }
}

impl Simd for Portable {
    const LANES: usize = LANES;
    const TILE_ROWS: usize = 3;
    type F32 = [f32; LANES];
    type Mask = [bool; LANES];

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; LANES] {
        [value; LANES]
    }
    #[inline(always)]
    unsafe fn load_from(self, from: *const f32) -> [f32; LANES] {
        // SAFETY: the caller's contract; an array of numbers is read without asking for its alignment.
        unsafe { from.cast::<[f32; LANES]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_first_from(self, from: *const f32, count: usize) -> [f32; LANES] {
        // SAFETY: the caller's contract.
        unsafe { if count == LANES { self.load_from(from) } else { load_some(from, count) } }
    }
    #[inline(always)]
    unsafe fn store_to(self, to: *mut f32, value: [f32; LANES]) {
        // SAFETY: the caller's contract; the array is written without asking for its alignment.
        unsafe { to.cast::<[f32; LANES]>().write_unaligned(value) }
    }
    #[inline(always)]
    unsafe fn store_first_to(self, to: *mut f32, value: [f32; LANES], count: usize) {
        // SAFETY: the caller's contract.
        unsafe { if count == LANES { self.store_to(to, value) } else { store_some(to, &value, count) } }
    }
    #[inline(always)]
    fn add(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        pairs(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        pairs(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        pairs(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        pairs(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn mul_add(self, a: [f32; LANES], b: [f32; LANES], c: [f32; LANES]) -> [f32; LANES] {
        // Without the instruction, a fused product is a call of the C library: two roundings are the fast
        // way.
        self.add(self.mul(a, b), c)
    }
    #[inline(always)]
    fn neg_mul_add(self, a: [f32; LANES], b: [f32; LANES], c: [f32; LANES]) -> [f32; LANES] {
        self.sub(c, self.mul(a, b))
    }
    #[inline(always)]
    fn max(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        pairs(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        pairs(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn abs(self, a: [f32; LANES]) -> [f32; LANES] {
        each(a, f32::abs)
    }
    #[inline(always)]
    fn sqrt(self, a: [f32; LANES]) -> [f32; LANES] {
        each(a, f32::sqrt)
    }
    #[inline(always)]
    fn round(self, a: [f32; LANES]) -> [f32; LANES] {
        // Adding 1.5 * 2^23 leaves no bits for a fraction; the instruction for rounding came later than SSE2.
        const SHIFT: f32 = 12_582_912.0;
        each(a, |a| (a + SHIFT) - SHIFT)
    }
    #[inline(always)]
    fn scale(self, a: [f32; LANES], n: [f32; LANES]) -> [f32; LANES] {
        // A saturating conversion would not vectorise; the shift trick leaves `n` in the low bits.
        const SHIFT: f32 = 12_582_912.0;
        pairs(a, n, |a, n| {
            let exponent = (n + SHIFT).to_bits().wrapping_sub(SHIFT.to_bits()).wrapping_add(127);
            a * f32::from_bits(exponent << 23)
        })
    }
    #[inline(always)]
    fn copy_sign(self, a: [f32; LANES], sign: [f32; LANES]) -> [f32; LANES] {
        pairs(a, sign, f32::copysign)
    }
    #[inline(always)]
    fn less(self, a: [f32; LANES], b: [f32; LANES]) -> [bool; LANES] {
        let mut out = [false; LANES];
        for (lane, (a, b)) in out.iter_mut().zip(a.into_iter().zip(b)) {
            *lane = a < b;
        }
        out
    }
    #[inline(always)]
    fn less_or_nan(self, a: [f32; LANES], b: [f32; LANES]) -> [bool; LANES] {
        let mut out = [false; LANES];
        for (out, (a, b)) in out.iter_mut().zip(a.into_iter().zip(b)) {
            *out = a < b || b.is_nan();
        }
        out
    }
    #[inline(always)]
    fn evens(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        let mut out = a;
        for place in 0..LANES / 2 {
            (out[place], out[LANES / 2 + place]) = (a[2 * place], b[2 * place]);
        }
        out
    }
    #[inline(always)]
    fn odds(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        let mut out = a;
        for place in 0..LANES / 2 {
            (out[place], out[LANES / 2 + place]) = (a[2 * place + 1], b[2 * place + 1]);
        }
        out
    }
    #[inline(always)]
    fn interleave(self, a: [f32; LANES], b: [f32; LANES]) -> ([f32; LANES], [f32; LANES]) {
        let (mut first, mut second) = (a, a);
        for place in 0..LANES / 2 {
            (first[2 * place], first[2 * place + 1]) = (a[place], b[place]);
            (second[2 * place], second[2 * place + 1]) = (a[LANES / 2 + place], b[LANES / 2 + place]);
        }
        (first, second)
    }
    #[inline(always)]
    fn select(self, mask: [bool; LANES], yes: [f32; LANES], no: [f32; LANES]) -> [f32; LANES] {
        let mut out = no;
        for (lane, (mask, yes)) in out.iter_mut().zip(mask.into_iter().zip(yes)) {
            *lane = if mask { yes } else { *lane };
        }
        out
    }
    #[inline(always)]
    fn sum(self, a: [f32; LANES]) -> f32 {
        ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))
    }
    #[inline(always)]
    fn largest(self, a: [f32; LANES]) -> f32 {
        a.into_iter().fold(f32::NEG_INFINITY, |largest, lane| if lane > largest { lane } else { largest })
    }
    #[inline(always)]
    fn lanes(self, start: usize, end: usize) -> [bool; LANES] {
        let mut out = [false; LANES];
        for (place, lane) in out.iter_mut().enumerate() {
            *lane = (start..end).contains(&place);
        }
        out
    }
    #[inline(always)]
    unsafe fn load_where(self, mask: [bool; LANES], from: *const f32, other: [f32; LANES]) -> [f32; LANES] {
        let mut out = other;
        for (place, (lane, mask)) in out.iter_mut().zip(mask).enumerate() {
            if mask {
                // SAFETY: the caller's contract.
                *lane = unsafe { from.wrapping_add(place).read() };
            }
        }
        out
    }
    #[inline(always)]
    unsafe fn transpose(
        self,
        from: *const f32,
        stride: usize,
        (rows, columns): (usize, usize),
        to: *mut f32,
        to_stride: usize,
    ) {
        for r in 0..rows {
            for c in 0..columns {
                // SAFETY: the caller's contract.
                unsafe { to.add(c * to_stride + r).write(from.add(r * stride + c).read()) }
            }
        }
    }
}
