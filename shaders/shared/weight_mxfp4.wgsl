// MXFP4: 32 weights = 16 bytes of four-bit floats in the order of Q4_0, one exponent of eight bits;
// weight = 2^(exponent - 128) * value, values being twice the floats: 0, 1, 2, 3, 4, 6, 8, 12 and their
// negatives.
#import packed_bits

const SUPER: u32 = 16u;
const SCALE_BYTES: u32 = 8u;
const QUANT_WORDS: u32 = 8u;

struct Scales { exponents: vec4<u32> }

fn load_scales(at: u32, n: u32) -> Scales {
    return Scales(word_at(at));
}

struct Block { quants: vec4<u32> }

fn load_block(s: Scales, at: u32, k: u32) -> Block {
    return Block(word_at(at + k * NEXT));
}

// The size is the largest of three lines through the values.
fn raw(s: Scales, k: u32, b: Block, i: u32) -> vec4<f32> {
    let bytes = nibble_bytes(b.quants[i % 4u], i / 4u);
    let q = fma(unit_floats(bytes, 3u), vec4<f32>(8.0), vec4<f32>(-8.0));
    let size = max(max(q, 2.0 * q - 4.0), 4.0 * q - 16.0);
    let sign = vec4<u32>(bytes << 28u, bytes << 20u, bytes << 12u, bytes << 4u) & vec4<u32>(0x80000000u);
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(size) | sign);
}

// Exponents 0 and 1 stand for subnormal numbers, which a GPU may take for zero.
fn affine(s: Scales, k: u32, b: Block) -> vec2<f32> {
    let exponent = (s.exponents[k / 4u] >> (8u * (k % 4u))) & 255u;
    return vec2<f32>(bitcast<f32>((max(exponent, 1u) - 1u) << 23u), 0.0);
}
