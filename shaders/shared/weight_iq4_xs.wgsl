// IQ4_XS: blocks of nibbles as in Q4_0. Scales of 256 weights: the half d, the high two bits of the
// six-bit scale of each block, and the low four. weight = d * (scale - 32) * value(nibble).
#import iq4_values

const SUPER: u32 = 16u;
const SCALE_BYTES: u32 = 8u;
const QUANT_WORDS: u32 = 8u;

struct Scales { words: vec4<u32> }

fn load_scales(at: u32, n: u32) -> Scales {
    return Scales(word_at(at));
}

struct Block { quants: vec4<u32> }

fn load_block(s: Scales, at: u32, k: u32) -> Block {
    return Block(word_at(at + k * NEXT));
}

fn raw(s: Scales, k: u32, b: Block, i: u32) -> vec4<f32> {
    return iq4_values(nibbles(b.quants[i % 4u], i / 4u));
}

fn affine(s: Scales, k: u32, b: Block) -> vec2<f32> {
    let j = k % 8u;
    let word = select(s.words.xy, s.words.zw, k >= 8u);
    let scale = ((word.y >> (4u * j)) & 15u) | (((word.x >> (16u + 2u * j)) & 3u) << 4u);
    return vec2<f32>(unpack2x16float(word.x).x * (f32(scale) - 32.0), 0.0);
}
