// A block of 32 weights meets a block of 32 activations in an exact sum of integers, which is scaled once.
//
// Activations: quantize writes three words of 16 bytes a block: 32 bytes q + 128, then its scale and the sum of
// q over each half. Bytes are unsigned on both sides, as signed dot products take several times as many
// instructions on some GPUs; the 128 goes out by the sum of the weights.
//
// A weight type brings, beside what layout.wgsl names:
//   packed(s, k, b, i)      weights 4 i .. 4 i + 3 of block k as unsigned bytes
//   int_scales(b), int_offsets(b), int_factors(s, k, b)   whole numbers for the halves of the block, and two
//                           floats: weight = factors.x * scale * byte + factors.y * offset

const ONES: u32 = 0x01010101u;

struct IntX { low: vec4<u32>, high: vec4<u32>, scale: f32, sums: vec2<i32> }

struct IntBlock {
    low: vec4<u32>,
    high: vec4<u32>,
    factors: vec2<f32>,
    scales: vec2<i32>,
    offsets: vec2<i32>,
    bias: i32,
}

fn dot16(a: vec4<u32>, b: vec4<u32>) -> i32 {
    let sum = dot4U8Packed(a.x, b.x) + dot4U8Packed(a.y, b.y) + dot4U8Packed(a.z, b.z) + dot4U8Packed(a.w, b.w);
    return i32(sum);
}

fn int_block(s: Scales, k: u32, b: Block) -> IntBlock {
    let low = vec4<u32>(packed(s, k, b, 0u), packed(s, k, b, 1u), packed(s, k, b, 2u), packed(s, k, b, 3u));
    let high = vec4<u32>(packed(s, k, b, 4u), packed(s, k, b, 5u), packed(s, k, b, 6u), packed(s, k, b, 7u));
    let scales = int_scales(b);
    let bias = 128 * (scales.x * dot16(low, vec4<u32>(ONES)) + scales.y * dot16(high, vec4<u32>(ONES)));
    return IntBlock(low, high, int_factors(s, k, b), scales, int_offsets(b), bias);
}

// sum + the dot product of both blocks.
fn int_dot(w: IntBlock, x: IntX, sum: f32) -> f32 {
    let product = w.scales.x * dot16(w.low, x.low) + w.scales.y * dot16(w.high, x.high) - w.bias;
    let offset = w.offsets.x * x.sums.x + w.offsets.y * x.sums.y;
    return fma(x.scale, fma(w.factors.x, f32(product), w.factors.y * f32(offset)), sum);
}
