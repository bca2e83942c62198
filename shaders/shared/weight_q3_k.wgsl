// Q3_K: a super-block of 256 weights = a header (d, six-bit scales of 16 weights) and four words of the
// low two bits, a word for two blocks of 32. Scales of a block: a u32 of the third bits.
// weight = d * (scale - 32) * (q - 4).
#import packed_bits
#import six_bit_pairs
@group(0) @binding(2) var<storage, read> scales: array<u32>;

// `scale` of the 16 weights of each half of the block.
struct Block { quants: vec4<u32>, high: u32, scale: vec2<f32>, d: f32 }

fn load_block(row: u32, block: u32, n_blocks: u32) -> Block {
    let lane = row % 32u;
    let at = block_index(row, block / 8u, n_blocks / 8u) * 160u + lane;
    let header = quants_at(at);
    return Block(
        pair_of(quants_at(at + 32u + (block / 2u) % 4u * 32u), block),
        scales[block_index(row, block, n_blocks) * 32u + lane],
        six_bit_pair(header, block) - vec2<f32>(32.0),
        unpack2x16float(header.x).x,
    );
}

// scale * (q - 4) / 8, of 1 + q / 8.
fn raw(b: Block, i: u32) -> vec4<f32> {
    let q = unit_floats(pair_bytes(b.quants, i) | (bit_bytes(b.high, i) << 2u), 3u);
    let scale = b.scale[i / 4u];
    return fma(q, vec4<f32>(scale), vec4<f32>(-1.5 * scale));
}

fn affine(b: Block) -> vec2<f32> {
    return vec2<f32>(8.0 * b.d, 0.0);
}
