// F16: 32 weights = four words of eight halves. There are no scales.
const SUPER: u32 = 8u;
const SCALE_BYTES: u32 = 0u;
const QUANT_WORDS: u32 = 32u;

struct Scales { none: u32 }

fn load_scales(at: u32, n: u32) -> Scales {
    return Scales(0u);
}

struct Block { quants: array<vec4<u32>, 4> }

fn load_block(s: Scales, at: u32, k: u32) -> Block {
    let first = at + k * 4u * NEXT;
    return Block(array<vec4<u32>, 4>(
        word_at(first), word_at(first + NEXT), word_at(first + 2u * NEXT), word_at(first + 3u * NEXT),
    ));
}

fn raw(s: Scales, k: u32, b: Block, i: u32) -> vec4<f32> {
    let word = b.quants[i / 2u];
    let at = (i % 2u) * 2u;
    return vec4<f32>(unpack2x16float(word[at]), unpack2x16float(word[at + 1u]));
}

fn affine(s: Scales, k: u32, b: Block) -> vec2<f32> {
    return vec2<f32>(1.0, 0.0);
}
