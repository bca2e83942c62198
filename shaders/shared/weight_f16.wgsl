// F16: 32 weights = four words of eight halves. There are no scales.
const SUPER: u32 = 8u;
const SCALE_WORDS: u32 = 0u;
const WORDS: u32 = 4u;

struct Scales { none: u32 }

fn load_scales(at: u32) -> Scales {
    return Scales(0u);
}

struct Block { quants: array<vec4<u32>, 4> }

fn load_block(at: u32) -> Block {
    return Block(array<vec4<u32>, 4>(
        word_at(at), word_at(at + NEXT), word_at(at + 2u * NEXT), word_at(at + 3u * NEXT),
    ));
}

fn raw(s: Scales, k: u32, b: Block, i: u32) -> vec4<f32> {
    let word = b.quants[i / 2u];
    let at = (i % 2u) * 2u;
    return vec4<f32>(unpack2x16float(word[at]), unpack2x16float(word[at + 1u]));
}

fn affine(s: Scales, k: u32) -> vec2<f32> {
    return vec2<f32>(1.0, 0.0);
}
