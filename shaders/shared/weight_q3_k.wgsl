// Q3_K: 32 weights = half a word of the low two bits. Scales of 256 weights: a header (d, six-bit scales of
// 16 weights), then 4 bytes of third bits for each block. weight = d * (scale - 32) * (q - 4).
#import packed_bits
#import six_bit_pairs

const SUPER: u32 = 8u;
const SCALE_BYTES: u32 = 48u;
const QUANT_WORDS: u32 = 4u;

struct Scales { header: vec4<u32>, high: array<vec4<u32>, 2> }

fn load_scales(at: u32, n: u32) -> Scales {
    return Scales(word_at(at), array<vec4<u32>, 2>(word_at(at + NEXT), word_at(at + 2u * NEXT)));
}

// `scale` of the 16 weights of each half of the block.
struct Block { quants: vec2<u32>, high: u32, scale: vec2<f32> }

fn load_block(s: Scales, at: u32, k: u32) -> Block {
    return Block(
        pair_of(word_at(at + k / 2u * NEXT), k),
        select(s.high[0][k % 4u], s.high[1][k % 4u], k >= 4u),
        six_bit_pair(s.header, k) - vec2<f32>(32.0),
    );
}

// scale * (q - 4) / 8, of 1 + q / 8.
fn raw(s: Scales, k: u32, b: Block, i: u32) -> vec4<f32> {
    let q = unit_floats(pair_bytes(b.quants, i) | (bit_bytes(b.high, i) << 2u), 3u);
    let scale = b.scale[i / 4u];
    return fma(q, vec4<f32>(scale), vec4<f32>(-1.5 * scale));
}

fn affine(s: Scales, k: u32, b: Block) -> vec2<f32> {
    return vec2<f32>(8.0 * unpack2x16float(s.header.x).x, 0.0);
}

fn packed(s: Scales, k: u32, b: Block, i: u32) -> u32 {
    return pair_bytes(b.quants, i) | (bit_bytes(b.high, i) << 2u);
}

fn int_scales(b: Block) -> vec2<i32> {
    return vec2<i32>(b.scale);
}

fn int_offsets(b: Block) -> vec2<i32> {
    return vec2<i32>(b.scale);
}

fn int_factors(s: Scales, k: u32, b: Block) -> vec2<f32> {
    return vec2<f32>(1.0, -4.0) * unpack2x16float(s.header.x).x;
}
