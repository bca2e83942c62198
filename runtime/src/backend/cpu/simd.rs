//! The dot product of 32 bytes of weights with 32 of activations, for the instructions that a processor
//! has: AVX-512 VNNI, AVX2, or none in particular. All give the same sums of integers.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::int8::Rows;
use crate::quant::BLOCK;

/// Eight partial sums in f32; four belong to each half of a block.
pub(super) trait Lanes: Copy {
    /// The scale of each lane.
    type Scale: Copy;

    fn zero() -> Self;

    /// The scales of the two halves of a block of weights, which are the same unless HALVES.
    fn scale<const HALVES: bool>(scales: [f32; 2]) -> Self::Scale;

    /// Adds the products of a block. Lane i takes those of bytes 4 i .. 4 i + 3, an integer, times both
    /// scales. The weights count as signed with SIGNED, else as seven bits at most; the activations are at
    /// least -127.
    fn add<const SIGNED: bool>(
        self,
        w: &[u8; BLOCK],
        x: &[i8; BLOCK],
        w_scale: Self::Scale,
        x_scale: f32,
    ) -> Self;

    /// Adds `a[i] * b[i]` to lane i.
    fn add_products(self, a: &[f32; 8], b: &[f32; 8]) -> Self;

    /// The sum of the lanes.
    fn sum(self) -> f32;

    /// Four sums at once.
    fn sums(lanes: [Self; 4]) -> [f32; 4];
}

/// Runs `rows` with the best instructions that this processor has.
pub(super) fn dispatch(rows: Rows) {
    #[cfg(target_arch = "x86_64")]
    {
        let has_avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let has_avx512 = is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl");
        if has_avx2 && has_avx512 && is_x86_feature_detected!("avx512vnni") {
            // SAFETY: the processor has every feature that the function is compiled with.
            return unsafe { run_vnni(rows) };
        }
        if has_avx2 {
            // SAFETY: as above.
            return unsafe { run_avx2(rows) };
        }
    }
    rows.run::<[f32; 8]>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma")]
fn run_vnni(rows: Rows) {
    rows.run::<Avx<true>>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2(rows: Rows) {
    rows.run::<Avx<false>>();
}

impl Lanes for [f32; 8] {
    type Scale = [f32; 2];

    #[inline(always)]
    fn zero() -> Self {
        [0.0; 8]
    }

    #[inline(always)]
    fn scale<const HALVES: bool>(scales: [f32; 2]) -> [f32; 2] {
        scales
    }

    #[inline(always)]
    fn add<const SIGNED: bool>(
        mut self,
        w: &[u8; BLOCK],
        x: &[i8; BLOCK],
        w_scale: [f32; 2],
        x_scale: f32,
    ) -> Self {
        for (i, lane) in self.iter_mut().enumerate() {
            let mut sum = 0;
            for j in 4 * i..4 * i + 4 {
                let weight = if SIGNED { i32::from(w[j] as i8) } else { i32::from(w[j]) };
                sum += weight * i32::from(x[j]);
            }
            *lane += sum as f32 * x_scale * w_scale[i / 4];
        }
        self
    }

    #[inline(always)]
    fn add_products(mut self, a: &[f32; 8], b: &[f32; 8]) -> Self {
        for i in 0..8 {
            self[i] += a[i] * b[i];
        }
        self
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        self.iter().sum()
    }

    #[inline(always)]
    fn sums(lanes: [Self; 4]) -> [f32; 4] {
        lanes.map(Self::sum)
    }
}

/// The lanes of a register of AVX. `VNNI` tells that the processor multiplies and adds bytes at once.
/// Only the functions above use it, on processors that have its instructions.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Avx<const VNNI: bool>(__m256);

#[cfg(target_arch = "x86_64")]
impl<const VNNI: bool> Lanes for Avx<VNNI> {
    type Scale = __m256;

    #[inline(always)]
    fn zero() -> Self {
        // SAFETY: the processor has AVX.
        Avx(unsafe { _mm256_setzero_ps() })
    }

    #[inline(always)]
    fn scale<const HALVES: bool>([low, high]: [f32; 2]) -> __m256 {
        // SAFETY: the processor has AVX.
        unsafe {
            match HALVES {
                true => _mm256_set_m128(_mm_set1_ps(high), _mm_set1_ps(low)),
                false => _mm256_set1_ps(low),
            }
        }
    }

    #[inline(always)]
    fn add<const SIGNED: bool>(
        self,
        w: &[u8; BLOCK],
        x: &[i8; BLOCK],
        w_scale: __m256,
        x_scale: f32,
    ) -> Self {
        // SAFETY: both arrays hold the 32 bytes that are read, at any alignment; the processor has AVX2,
        // FMA and, where that is said, AVX-512 VNNI.
        unsafe {
            let w = _mm256_loadu_si256(w.as_ptr().cast());
            let x = _mm256_loadu_si256(x.as_ptr().cast());
            // The first factor is unsigned, so the sign of a signed weight goes to its activation.
            let (w, x) = if SIGNED { (_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)) } else { (w, x) };
            let sums = if VNNI {
                _mm256_dpbusd_epi32(_mm256_setzero_si256(), w, x)
            } else {
                // Two products fit 16 bits together: 2 * 128 * 127 is below 2^15.
                _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1))
            };
            let scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), _mm256_set1_ps(x_scale));
            Avx(_mm256_fmadd_ps(scaled, w_scale, self.0))
        }
    }

    #[inline(always)]
    fn add_products(self, a: &[f32; 8], b: &[f32; 8]) -> Self {
        // SAFETY: both arrays hold the eight numbers that are read; the processor has AVX and FMA.
        unsafe { Avx(_mm256_fmadd_ps(_mm256_loadu_ps(a.as_ptr()), _mm256_loadu_ps(b.as_ptr()), self.0)) }
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        Self::sums([self, Self::zero(), Self::zero(), Self::zero()])[0]
    }

    #[inline(always)]
    fn sums([a, b, c, d]: [Self; 4]) -> [f32; 4] {
        let mut out = [0.0; 4];
        // SAFETY: the array holds the four numbers that are written; the processor has AVX.
        unsafe {
            let pairs = _mm256_hadd_ps(_mm256_hadd_ps(a.0, b.0), _mm256_hadd_ps(c.0, d.0));
            let sums = _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps::<1>(pairs));
            _mm_storeu_ps(out.as_mut_ptr(), sums);
        }
        out
    }
}
