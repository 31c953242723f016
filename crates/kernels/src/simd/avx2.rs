//! 8 lanes of AVX2 with FMA.
#![cfg(target_arch = "x86_64")]

use super::{Isa, Kernel, Simd};
use std::arch::x86_64::*;

/// The proof that the processor has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// The proof; `None` if the processor lacks them.
    pub(crate) fn new() -> Option<Self> {
        (Isa::detected() >= Isa::Avx2).then_some(Avx2(()))
    }
}

/// # Safety
/// The processor must have the features, as `simd` proves.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn with_features<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
    kernel.run(simd)
}

/// All bits set in the first `count` lanes, read from a table of ones followed by zeros.
#[inline(always)]
fn first(count: usize) -> __m256i {
    static WINDOW: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    debug_assert!(count <= 8);
    // SAFETY: `count` is at most 8, so that the 8 numbers from `8 - count` on lie in the table; AVX is there
    // wherever a value of `Avx2` exists, and only its methods call this.
    unsafe { _mm256_loadu_si256(WINDOW.as_ptr().add(8 - count).cast()) }
}

// SAFETY of every block below: a value of `Avx2` exists only where the processor has the instructions; loads
// and stores pass on the contract of the trait's method.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Simd for Avx2 {
    const LANES: usize = 8;
    const TILE_ROWS: usize = 6;
    type F32 = __m256;
    type Mask = __m256;

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        unsafe { _mm256_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn load_from(self, from: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn load_first_from(self, from: *const f32, count: usize) -> __m256 {
        unsafe { _mm256_maskload_ps(from, first(count)) }
    }
    #[inline(always)]
    unsafe fn store_to(self, to: *mut f32, value: __m256) {
        unsafe { _mm256_storeu_ps(to, value) }
    }
    #[inline(always)]
    unsafe fn store_first_to(self, to: *mut f32, value: __m256, count: usize) {
        unsafe { _mm256_maskstore_ps(to, first(count), value) }
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn neg_mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fnmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_min_ps(a, b) }
    }
    #[inline(always)]
    fn abs(self, a: __m256) -> __m256 {
        unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), a) }
    }
    #[inline(always)]
    fn sqrt(self, a: __m256) -> __m256 {
        unsafe { _mm256_sqrt_ps(a) }
    }
    #[inline(always)]
    fn round(self, a: __m256) -> __m256 {
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    fn scale(self, a: __m256, n: __m256) -> __m256 {
        unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent)))
        }
    }
    #[inline(always)]
    fn copy_sign(self, a: __m256, sign: __m256) -> __m256 {
        unsafe {
            let bit = _mm256_set1_ps(-0.0);
            _mm256_or_ps(_mm256_andnot_ps(bit, a), _mm256_and_ps(bit, sign))
        }
    }
    #[inline(always)]
    fn less(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_cmp_ps::<_CMP_LT_OQ>(a, b) }
    }
    #[inline(always)]
    fn less_or_nan(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_or_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(a, b), _mm256_cmp_ps::<_CMP_UNORD_Q>(b, b)) }
    }
    #[inline(always)]
    fn evens(self, a: __m256, b: __m256) -> __m256 {
        unsafe {
            // a0 a2 b0 b2 | a4 a6 b4 b6, then its pairs in order
            let pairs = _mm256_castps_pd(_mm256_shuffle_ps::<0b10_00_10_00>(a, b));
            _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(pairs))
        }
    }
    #[inline(always)]
    fn odds(self, a: __m256, b: __m256) -> __m256 {
        unsafe {
            let pairs = _mm256_castps_pd(_mm256_shuffle_ps::<0b11_01_11_01>(a, b));
            _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(pairs))
        }
    }
    #[inline(always)]
    fn interleave(self, a: __m256, b: __m256) -> (__m256, __m256) {
        unsafe {
            // a0 b0 a1 b1 | a4 b4 a5 b5, and a2 b2 a3 b3 | a6 b6 a7 b7
            let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            (_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high))
        }
    }
    #[inline(always)]
    fn select(self, mask: __m256, yes: __m256, no: __m256) -> __m256 {
        unsafe { _mm256_blendv_ps(no, yes, mask) }
    }
    #[inline(always)]
    fn sum(self, a: __m256) -> f32 {
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
    #[inline(always)]
    fn largest(self, a: __m256) -> f32 {
        unsafe {
            let four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
    #[inline(always)]
    fn lanes(self, start: usize, end: usize) -> __m256 {
        unsafe { _mm256_castsi256_ps(_mm256_andnot_si256(first(start), first(end))) }
    }
    #[inline(always)]
    unsafe fn load_where(self, mask: __m256, from: *const f32, other: __m256) -> __m256 {
        unsafe {
            let read = _mm256_maskload_ps(from, _mm256_castps_si256(mask));
            _mm256_blendv_ps(other, read, mask)
        }
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
        unsafe {
            let mut a = [_mm256_setzero_ps(); 8];
            for (r, row) in a.iter_mut().enumerate() {
                if r < rows {
                    *row = if columns == 8 {
                        self.load_from(from.add(r * stride))
                    } else {
                        self.load_first_from(from.add(r * stride), columns)
                    };
                }
            }
            // 1 x 1 blocks change places in pairs of rows, then 2 x 2 blocks, then 4 x 4
            let mut b = a;
            for pair in 0..4 {
                b[2 * pair] = _mm256_unpacklo_ps(a[2 * pair], a[2 * pair + 1]);
                b[2 * pair + 1] = _mm256_unpackhi_ps(a[2 * pair], a[2 * pair + 1]);
            }
            for four in [0, 4] {
                for half in [0, 1] {
                    let (low, high) = (b[four + half], b[four + half + 2]);
                    a[four + 2 * half] = _mm256_shuffle_ps::<0x44>(low, high);
                    a[four + 2 * half + 1] = _mm256_shuffle_ps::<0xee>(low, high);
                }
            }
            for place in 0..4 {
                b[place] = _mm256_permute2f128_ps::<0x20>(a[place], a[place + 4]);
                b[place + 4] = _mm256_permute2f128_ps::<0x31>(a[place], a[place + 4]);
            }
            for (c, column) in b.into_iter().enumerate() {
                if c < columns {
                    if rows == 8 {
                        self.store_to(to.add(c * to_stride), column);
                    } else {
                        self.store_first_to(to.add(c * to_stride), column, rows);
                    }
                }
            }
        }
    }
}
