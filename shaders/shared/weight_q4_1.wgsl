// Q4_1: 32 weights = 16 bytes of nibbles, an f16 scale and an f16 minimum; weight = d * nibble + m.
// Byte i holds weight i in its low and weight i + 16 in its high nibble. A word of scales holds those of
// four blocks.
const SUPER: u32 = 4u;
const SCALE_WORDS: u32 = 1u;
const WORDS: u32 = 1u;

struct Scales { d_m: vec4<u32> }

fn load_scales(at: u32) -> Scales {
    return Scales(word_at(at));
}

struct Block { quants: vec4<u32> }

fn load_block(at: u32) -> Block {
    return Block(word_at(at));
}

fn raw(s: Scales, k: u32, b: Block, i: u32) -> vec4<f32> {
    return nibbles(b.quants[i % 4u], i / 4u);
}

// raw = 1 + nibble / 16.
fn affine(s: Scales, k: u32) -> vec2<f32> {
    let d_m = unpack2x16float(s.d_m[k]);
    return vec2<f32>(16.0 * d_m.x, d_m.y - 16.0 * d_m.x);
}
