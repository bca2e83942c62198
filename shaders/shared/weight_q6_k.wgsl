// Q6_K: for each 256 weights eight words of nibbles, each as in Q4_0, and four words of the high two bits,
// a word for two blocks. Scales: for each 256 weights a word of signed bytes, each of 16 weights; then for
// each the half d. weight = d * scale * (q - 32).
#import packed_bits

const SUPER: u32 = 16u;
const SCALE_BYTES: u32 = 18u;
const QUANT_WORDS: u32 = 12u;

struct Scales { bytes: array<vec4<u32>, 2>, d: u32 }

// A super-block of eight blocks has one word of bytes.
fn load_scales(at: u32, n: u32) -> Scales {
    let second = select(at, at + NEXT, n > 8u);
    return Scales(array<vec4<u32>, 2>(word_at(at), word_at(second)), word_at(second + NEXT).x);
}

// `scale` of the 16 weights of each half of the block.
struct Block { quants: vec4<u32>, high: vec2<u32>, scale: vec2<f32> }

fn load_block(s: Scales, at: u32, k: u32) -> Block {
    let first = at + k / 8u * 12u * NEXT;
    let pair = k % 8u / 2u;
    let bytes = select(s.bytes[0][pair], s.bytes[1][pair], k >= 8u) >> (16u * (k % 2u));
    return Block(
        word_at(first + k % 8u * NEXT),
        pair_of(word_at(first + (8u + pair) * NEXT), k),
        vec2<f32>(bitcast<vec2<i32>>(vec2<u32>(bytes) << vec2<u32>(24u, 16u)) >> vec2<u32>(24u)),
    );
}

// scale * (q - 32) / 64, of 1 + q / 64.
fn raw(s: Scales, k: u32, b: Block, i: u32) -> vec4<f32> {
    let q = unit_floats(nibble_bytes(b.quants[i % 4u], i / 4u) | (pair_bytes(b.high, i) << 4u), 6u);
    let scale = b.scale[i / 4u];
    return fma(q, vec4<f32>(scale), vec4<f32>(-1.5 * scale));
}

fn affine(s: Scales, k: u32, b: Block) -> vec2<f32> {
    let d = unpack2x16float(s.d);
    return vec2<f32>(64.0 * select(d.x, d.y, k >= 8u), 0.0);
}

fn packed(s: Scales, k: u32, b: Block, i: u32) -> u32 {
    return nibble_bytes(b.quants[i % 4u], i / 4u) | (pair_bytes(b.high, i) << 4u);
}

fn int_scales(b: Block) -> vec2<i32> {
    return vec2<i32>(b.scale);
}

fn int_offsets(b: Block) -> vec2<i32> {
    return vec2<i32>(b.scale);
}

fn int_factors(s: Scales, k: u32, b: Block) -> vec2<f32> {
    let d = unpack2x16float(s.d);
    return vec2<f32>(1.0, -32.0) * select(d.x, d.y, k >= 8u);
}
