// Q2_K: 32 weights = half a word of two bits. Scales: for each 256 weights a word of bytes, the low nibble
// the scale and the high one the minimum of 16 weights; then for each the halves d and dmin.
// weight = d * scale * q - dmin * minimum.
#import packed_bits

const SUPER: u32 = 32u;
const SCALE_BYTES: u32 = 20u;
const QUANT_WORDS: u32 = 4u;

// The words are loaded with the block: so many would not stay in registers.
struct Scales { at: u32, n: u32 }

fn load_scales(at: u32, n: u32) -> Scales {
    return Scales(at, n);
}

// Of the 16 weights of each half of the block the scale and the minimum; d and dmin.
struct Block { quants: vec2<u32>, scale: vec2<u32>, minimum: vec2<u32>, d_dmin: vec2<f32> }

fn load_block(s: Scales, at: u32, k: u32) -> Block {
    let bytes_at = word_at(s.at + k / 8u * NEXT)[k % 8u / 2u] >> (16u * (k % 2u));
    let bytes = vec2<u32>(bytes_at) >> vec2<u32>(0u, 8u);
    let d_dmin = unpack2x16float(word_at(s.at + s.n / 8u * NEXT)[k / 8u]);
    let minimum = (bytes >> vec2<u32>(4u)) & vec2<u32>(15u);
    return Block(pair_of(word_at(at + k / 2u * NEXT), k), bytes & vec2<u32>(15u), minimum, d_dmin);
}

// The weight: (1 + q / 4) * 4 * d * scale, less that and dmin * minimum.
fn raw(s: Scales, k: u32, b: Block, i: u32) -> vec4<f32> {
    let scale = 4.0 * b.d_dmin.x * f32(b.scale[i / 4u]);
    let offset = fma(f32(b.minimum[i / 4u]), b.d_dmin.y, scale);
    return fma(unit_floats(pair_bytes(b.quants, i), 2u), vec4<f32>(scale), vec4<f32>(-offset));
}

fn affine(s: Scales, k: u32, b: Block) -> vec2<f32> {
    return vec2<f32>(1.0, 0.0);
}

fn packed(s: Scales, k: u32, b: Block, i: u32) -> u32 {
    return pair_bytes(b.quants, i);
}

fn int_scales(b: Block) -> vec2<i32> {
    return vec2<i32>(b.scale);
}

fn int_offsets(b: Block) -> vec2<i32> {
    return vec2<i32>(b.minimum);
}

fn int_factors(s: Scales, k: u32, b: Block) -> vec2<f32> {
    return vec2<f32>(1.0, -1.0) * b.d_dmin;
}
