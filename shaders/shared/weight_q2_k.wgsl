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

// Of the 16 weights of each half of the block: 4 * d * scale, and that plus dmin * minimum.
struct Block { quants: vec2<u32>, scale: vec2<f32>, offset: vec2<f32> }

fn load_block(s: Scales, at: u32, k: u32) -> Block {
    let bytes_at = word_at(s.at + k / 8u * NEXT)[k % 8u / 2u] >> (16u * (k % 2u));
    let bytes = vec2<u32>(bytes_at) >> vec2<u32>(0u, 8u);
    let d_dmin = unpack2x16float(word_at(s.at + s.n / 8u * NEXT)[k / 8u]);
    let scale = 4.0 * d_dmin.x * vec2<f32>(bytes & vec2<u32>(15u));
    let offset = fma(vec2<f32>((bytes >> vec2<u32>(4u)) & vec2<u32>(15u)), vec2<f32>(d_dmin.y), scale);
    return Block(pair_of(word_at(at + k / 2u * NEXT), k), scale, offset);
}

// The weight: (1 + q / 4) * scale - offset.
fn raw(s: Scales, k: u32, b: Block, i: u32) -> vec4<f32> {
    let half = i / 4u;
    return fma(unit_floats(pair_bytes(b.quants, i), 2u), vec4<f32>(b.scale[half]), vec4<f32>(-b.offset[half]));
}

fn affine(s: Scales, k: u32, b: Block) -> vec2<f32> {
    return vec2<f32>(1.0, 0.0);
}
