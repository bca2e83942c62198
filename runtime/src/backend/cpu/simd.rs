//! The dot product of 32 bytes of weights with 32 of activations, for the instructions that a processor
//! has: AVX-512 VNNI, AVX2, or none in particular. All give the same sums of integers.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::int8::Rows;
use crate::quant::BLOCK;

/// Eight partial sums in f32; four belong to each half of a block.
pub(super) trait Lanes: Copy {
    fn zero() -> Self;

    /// Adds the products of a block. Lane i takes those of bytes 4 i .. 4 i + 3, an integer, times the
    /// scale of its half; both scales are the same unless HALVES. The weights count as signed with
    /// SIGNED, else as seven bits at most; the activations are at least -127.
    fn add<const SIGNED: bool, const HALVES: bool>(
        self,
        w: &[u8; BLOCK],
        x: &[i8; BLOCK],
        scales: [f32; 2],
    ) -> Self;

    fn sum(self) -> f32;
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
    rows.run::<Vnni>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2(rows: Rows) {
    rows.run::<Avx2>();
}

impl Lanes for [f32; 8] {
    #[inline(always)]
    fn zero() -> Self {
        [0.0; 8]
    }

    #[inline(always)]
    fn add<const SIGNED: bool, const HALVES: bool>(
        mut self,
        w: &[u8; BLOCK],
        x: &[i8; BLOCK],
        scales: [f32; 2],
    ) -> Self {
        for (i, lane) in self.iter_mut().enumerate() {
            let mut sum = 0;
            for j in 4 * i..4 * i + 4 {
                let weight = if SIGNED { i32::from(w[j] as i8) } else { i32::from(w[j]) };
                sum += weight * i32::from(x[j]);
            }
            *lane += sum as f32 * scales[i / 4];
        }
        self
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        self.iter().sum()
    }
}

/// Lanes of a processor with AVX-512 VNNI; only [`run_vnni`] uses them.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Vnni(__m256);

#[cfg(target_arch = "x86_64")]
impl Lanes for Vnni {
    #[inline(always)]
    fn zero() -> Self {
        Vnni(zero())
    }

    #[inline(always)]
    fn add<const SIGNED: bool, const HALVES: bool>(
        self,
        w: &[u8; BLOCK],
        x: &[i8; BLOCK],
        scales: [f32; 2],
    ) -> Self {
        let (w, x) = load::<SIGNED>(w, x);
        // SAFETY: `run_vnni` is the only caller, on a processor with these instructions.
        let sums = unsafe { _mm256_dpbusd_epi32(_mm256_setzero_si256(), w, x) };
        Vnni(scale_and_add::<HALVES>(self.0, sums, scales))
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        sum(self.0)
    }
}

/// Lanes of a processor with AVX2 and FMA; only [`run_avx2`] uses them.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Avx2(__m256);

#[cfg(target_arch = "x86_64")]
impl Lanes for Avx2 {
    #[inline(always)]
    fn zero() -> Self {
        Avx2(zero())
    }

    /// The sum of two products fits 16 bits: 2 * 128 * 127 is below 2^15.
    #[inline(always)]
    fn add<const SIGNED: bool, const HALVES: bool>(
        self,
        w: &[u8; BLOCK],
        x: &[i8; BLOCK],
        scales: [f32; 2],
    ) -> Self {
        let (w, x) = load::<SIGNED>(w, x);
        // SAFETY: `run_avx2` is the only caller, on a processor with these instructions.
        let sums = unsafe { _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1)) };
        Avx2(scale_and_add::<HALVES>(self.0, sums, scales))
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        sum(self.0)
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn zero() -> __m256 {
    // SAFETY: part of both sets of lanes, whose processors have AVX.
    unsafe { _mm256_setzero_ps() }
}

/// Weights as unsigned and activations as signed bytes. The sign of a signed weight goes to its activation.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn load<const SIGNED: bool>(w: &[u8; BLOCK], x: &[i8; BLOCK]) -> (__m256i, __m256i) {
    // SAFETY: both arrays hold the 32 bytes that are read, at any alignment; the processors of both sets
    // of lanes have AVX2.
    unsafe {
        let (w, x) = (_mm256_loadu_si256(w.as_ptr().cast()), _mm256_loadu_si256(x.as_ptr().cast()));
        if SIGNED { (_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)) } else { (w, x) }
    }
}

/// `lanes + scale * sums`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn scale_and_add<const HALVES: bool>(lanes: __m256, sums: __m256i, [low, high]: [f32; 2]) -> __m256 {
    // SAFETY: the processors of both sets of lanes have AVX2 and FMA.
    unsafe {
        let scale =
            if HALVES { _mm256_set_m128(_mm_set1_ps(high), _mm_set1_ps(low)) } else { _mm256_set1_ps(low) };
        _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), scale, lanes)
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn sum(lanes: __m256) -> f32 {
    // SAFETY: the array has the size of the register; the processors of both sets of lanes have AVX.
    let parts: [f32; 8] = unsafe { std::mem::transmute(lanes) };
    parts.iter().sum()
}
