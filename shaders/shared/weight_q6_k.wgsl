// Q6_K: a super-block of 256 weights = eight words of nibbles, each as in Q4_0, and four words of the high
// two bits, a word for two blocks of 32; 16 signed bytes of scales, each of 16 weights; a u32 with the
// half d. weight = d * scale * (q - 32).
#import packed_bits
@group(0) @binding(2) var<storage, read> scales: array<u32>;

// `scale` of the 16 weights of each half of the block.
struct Block { quants: vec4<u32>, high: vec4<u32>, scale: vec2<f32>, d: f32 }

fn load_block(row: u32, block: u32, n_blocks: u32) -> Block {
    let lane = row % 32u;
    let super_block = block_index(row, block / 8u, n_blocks / 8u);
    let pair = (block / 2u) % 4u;
    let quants = super_block * 384u + lane;
    let at = super_block * 160u + lane;
    let bytes = vec2<u32>(scales[at + pair * 32u] >> (16u * (block % 2u)));
    return Block(
        quants_at(quants + (block % 8u) * 32u),
        pair_of(quants_at(quants + 256u + pair * 32u), block),
        vec2<f32>(bitcast<vec2<i32>>(bytes << vec2<u32>(24u, 16u)) >> vec2<u32>(24u)),
        unpack2x16float(scales[at + 128u]).x,
    );
}

// scale * (q - 32) / 64, of 1 + q / 64.
fn raw(b: Block, i: u32) -> vec4<f32> {
    let q = unit_floats(nibble_bytes(b.quants[i % 4u], i / 4u) | (pair_bytes(b.high, i) << 4u), 6u);
    let scale = b.scale[i / 4u];
    return fma(q, vec4<f32>(scale), vec4<f32>(-1.5 * scale));
}

fn affine(b: Block) -> vec2<f32> {
    return vec2<f32>(64.0 * b.d, 0.0);
}
